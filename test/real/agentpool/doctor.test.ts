/**
 * `navarch doctor agentpool` against a real API server: each trouble of the list is made, named,
 * and gone once its advice is followed.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import type { Diagnosis } from "../../../cli/diagnosis-row.ts";
import { json, navarch } from "../../cli/spawn.ts";
import { until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: doctor agentpool on a real API server: ${missing}`);

const GUIDE = join(ROOT, "deploy/guide/agentpool");
const SEED = join(ROOT, "test/agentpool/seed");

let cluster: Cluster;

async function ok(...args: string[]): Promise<string> {
  const { code, out, err } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${code}\n${out}${err}`);
  return out;
}

const apply = (object: unknown): Promise<unknown> =>
  cluster.kubectlWith({ user: "admin", stdin: JSON.stringify(object) }, "apply", "-f", "-");

async function doctor(...words: string[]): Promise<{ code: number; rows: Diagnosis[] }> {
  const place = ["--kubeconfig", cluster.kubeconfig(), "-o", "json"];
  const { code, out, err } = await navarch(["doctor", "agentpool", ...words, ...place]);
  expect(err).toBe("");
  return { code, rows: json(out) as Diagnosis[] };
}

const row = (rows: readonly Diagnosis[], check: string): string[] =>
  rows.filter((one) => one.check === check).map((one) => `${one.outcome}: ${one.message}`);

describe.skipIf(missing !== null)("navarch doctor agentpool", () => {
  beforeAll(async () => {
    cluster = await openCluster({ parts: { kwok: false }, productRules: null });
  }, 180_000);
  afterAll(() => cluster.close());

  test("V50: no definition is a failure, and the advice installs it", async () => {
    const before = await doctor();
    expect(before.code).toBe(1);
    expect(row(before.rows, "definition")).toEqual(["fail: no CRD agentpools.velda.io"]);
    const crd = await navarch(["manifests", "crd"]);
    await cluster.kubectlWith({ user: "admin", stdin: crd.out }, "apply", "-f", "-");
    await ok("wait", "--for=condition=Established", "--timeout=30s", "crd/agentpools.velda.io");
    // The server opens its storage a moment after the definition is established.
    const { code, rows } = await until("AgentPools are listed", 20_000, async () => {
      const found = await doctor();
      return row(found.rows, "pools").join().startsWith("fail") ? null : found;
    });
    expect(row(rows, "definition")).toEqual(["ok: agentpools.velda.io is current"]);
    expect(row(rows, "pools")).toEqual(["warn: there is no AgentPool in any namespace"]);
    expect(code).toBe(0);
  }, 60_000);

  test("V50: permissions are those of the named account, until velda-rbac.yaml is applied", async () => {
    const account = ["--account", "velda/velda-apiserver"];
    const before = await doctor(...account);
    expect(row(before.rows, "permissions")).toEqual([
      "fail: velda/velda-apiserver may not do anything for AgentPools",
    ]);
    await ok("apply", "-f", join(GUIDE, "velda-rbac.yaml"));
    await until("the role is known", 20_000, async () => {
      const { rows } = await doctor(...account);
      const [said = ""] = row(rows, "permissions");
      return said.startsWith("ok: velda/velda-apiserver may do") || null;
    });
    const self = await doctor();
    expect(row(self.rows, "permissions")).toEqual(["ok: this account may do what AgentPools need"]);
  }, 60_000);

  test("V50: template, ConfigMap, labels and pending pods of a pool", async () => {
    await ok("apply", "-f", join(SEED, "shell.yaml"));
    const first = await doctor("shell");
    expect(first.code).toBe(1);
    expect(row(first.rows, "template")).toEqual(["ok: default/shell: a dry run accepts the pod"]);
    expect(row(first.rows, "config maps")).toEqual([
      "fail: default/shell: ConfigMapNotFound: the template names ConfigMap velda-config, " +
        "which is not in default",
    ]);
    expect(row(first.rows, "control plane")).toEqual([
      "warn: default/shell: no control plane reports on it",
    ]);
    await ok("apply", "-f", join(SEED, "velda-config.yaml"));
    expect(row((await doctor("shell")).rows, "address")).toEqual([
      expect.stringMatching(/^fail: default\/shell: broker\.address .* leads to no Service: /),
    ]);
    await ok("apply", "-f", join(GUIDE, "velda-service.yaml"));
    const uid = await ok("get", "ap", "shell", "-o", "jsonpath={.metadata.uid}");
    const owner = { apiVersion: "velda.io/v1", kind: "AgentPool", name: "shell", uid };
    await apply({
      ...{ apiVersion: "v1", kind: "Pod" },
      metadata: {
        ...{ name: "shell-aaaaa", namespace: "default" },
        labels: { "navarch.dev/agentpool": "shell" },
        ownerReferences: [{ ...owner, controller: true }],
      },
      spec: { containers: [{ name: "agent", image: "agent:1" }] },
    });
    // There is no node.
    const rows = await until("the scheduler has looked", 30_000, async () => {
      const found = await doctor("shell");
      return row(found.rows, "pods").length === 2 ? found : null;
    });
    expect(rows.code).toBe(0);
    expect(row(rows.rows, "config maps")).toEqual([]);
    // The seed's file has an address alone: it is accepted, and told.
    expect(row(rows.rows, "connection")).toEqual([
      expect.stringMatching(/^warn: default\/shell: workers speak plain http to .*:50051 /),
    ]);
    const data = JSON.stringify({ data: { "ca.crt": "-----BEGIN CERTIFICATE-----" } });
    await ok("patch", "configmap", "velda-config", "--type", "merge", "-p", data);
    expect(row((await doctor("shell")).rows, "connection")).toEqual([]);
    expect(row(rows.rows, "pods")).toEqual([
      "ok: default/shell: 0 of 1 pods run",
      expect.stringMatching(/^warn: default\/shell: pod shell-aaaaa: .*no nodes available/),
    ]);
  }, 60_000);

  test("V50: an unknown pool has the nearest name, and a refused pod its reason", async () => {
    const unknown = await doctor("shel");
    expect(unknown.code).toBe(1);
    const found = unknown.rows.find(({ check }) => check === "pools");
    expect(found).toMatchObject({
      message: "no AgentPool shel in namespace default",
      advice: "did you mean shell?",
    });
    await apply({
      ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
      metadata: { name: "wrong", namespace: "default" },
      spec: {
        autoscaler: { maxReplicas: 1, minIdle: 0, maxIdle: 0 },
        template: {
          metadata: { labels: { app: "wrong" } },
          spec: { containers: [{ name: "Not_A_Name", image: "agent:1" }] },
        },
      },
    });
    const wrong = await doctor("wrong");
    expect(wrong.code).toBe(1);
    expect(row(wrong.rows, "template")).toEqual([
      expect.stringMatching(/^fail: default\/wrong: .*InvalidTemplate: .*Not_A_Name/),
    ]);
  }, 60_000);
});
