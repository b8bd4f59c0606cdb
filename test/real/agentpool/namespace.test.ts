/**
 * An account that may act in one of two configured namespaces, on a real API server: the pools of
 * the one go on, those of the other stand still and are named, until the rights are there.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AGENT_POOL_CRD } from "../../../deploy/agentpool/crd.ts";
import { navarch } from "../../cli/spawn.ts";
import { buildStale, Plane, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { type Cluster, openCluster } from "../kubernetes/cluster.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: namespaces of AgentPools: ${missing}`);

const ROLE = "velda-apiserver.velda.agentpools";

const NARROW = ["--user=narrow", "--dry-run=client", "-o", "json"];

const poolIn = (namespace: string) => ({
  ...{ apiVersion: "velda.io/v1", kind: "AgentPool", metadata: { name: "p", namespace } },
  spec: {
    autoscaler: { minIdle: 1, maxIdle: 1, maxReplicas: 2 },
    template: {
      metadata: { labels: { app: "p" } },
      spec: { containers: [{ name: "agent", image: "agent:1" }] },
    },
  },
});

describe.skipIf(missing !== null)("AgentPools in two namespaces", () => {
  let cluster: Cluster;
  let plane: Plane;
  let kubeconfig = "";

  async function ok(...args: string[]): Promise<string> {
    const { code, out, err } = await cluster.kubectl(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(" ")}: ${err}`);
    return out;
  }

  async function apply(text: string): Promise<void> {
    const how = { user: "admin" as const, stdin: text };
    const { code, err } = await cluster.kubectlWith(how, "apply", "-f", "-");
    if (code !== 0) throw new Error(`kubectl apply: ${err}`);
  }

  /** The Role of the named namespaces, bound to the account of this control plane. */
  async function grant(...namespaces: string[]): Promise<void> {
    const { out } = await navarch(["manifests", "agentpool", "--in", namespaces.join(",")]);
    await apply(out);
    const whole = [`--clusterrole=${ROLE}`, ...NARROW];
    await apply(await ok("create", "clusterrolebinding", "narrow", ...whole));
    for (const one of namespaces) {
      const own = [`--role=${ROLE}`, ...NARROW];
      await apply(await ok("-n", one, "create", "rolebinding", "narrow", ...own));
    }
  }

  const podsIn = async (namespace: string): Promise<string[]> => {
    const names = await ok("-n", namespace, "get", "pods", "-o", "name");
    return names.split("\n").filter((one) => one !== "");
  };

  const hasPod = (namespace: string, ms = 40_000) =>
    until(`a worker in ${namespace}`, ms, async () =>
      (await podsIn(namespace)).length === 1 ? true : null,
    );

  beforeAll(async () => {
    await buildStale();
    cluster = await openCluster({ parts: { kwok: false } });
    kubeconfig = cluster.issue("narrow");
    plane = new Plane(`
server: { address: 127.0.0.1:0 }
provisioners:
  - kubernetes: { namespace: [team-a, team-b], kubeconfig: ${kubeconfig}, sync_interval: 1s }
pools: []
`);
    await apply(JSON.stringify(AGENT_POOL_CRD));
    await ok("wait", "--for=condition=Established", "crd/agentpools.velda.io", "--timeout=30s");
    for (const one of ["team-a", "team-b"]) {
      await ok("create", "namespace", one);
      await until("pools are served", 20_000, async () => {
        await apply(JSON.stringify(poolIn(one)));
        return true;
      });
    }
    await grant("team-a");
    await plane.start();
  }, 300_000);
  afterAll(async () => {
    await plane?.destroy();
    await cluster?.close();
  }, 120_000);

  test("V9: a namespace without rights darkens no other, and is named", async () => {
    await hasPod("team-a");
    expect(await podsIn("team-b")).toEqual([]);
    const lines = plane.log().split("\n");
    const told = lines.filter((line) => line.includes("AgentPools of a namespace stand still"));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("team-b");
    const claim = (pool: string) =>
      plane.fetch(`/v1/pools/${pool}/claims`, { method: "POST", body: "{}" });
    expect((await claim("team-a/p")).status).toBe(202);
    const refused = await claim("team-b/p");
    expect(refused.status).toBe(503);
    expect(await refused.text()).toContain("namespace team-b");
  }, 90_000);

  test("V9: doctor agentpool names the namespace that lacks the rights", async () => {
    const place = ["--namespace", "team-a,team-b", "--kubeconfig", kubeconfig];
    const { code, out } = await navarch(["doctor", "agentpool", ...place, "-o", "json"]);
    const rows = JSON.parse(out) as { check: string; outcome: string; message: string }[];
    const said = (check: string) =>
      rows.filter((one) => one.check === check).map((one) => `${one.outcome}: ${one.message}`);
    const [a = "", b = ""] = said("permissions");
    expect(a).toBe("ok: this account may do what AgentPools need in namespace team-a");
    expect(b).toMatch(/^fail: .*namespace team-b/);
    expect(said("pools").join()).toMatch(/^fail: AgentPools in namespace team-b cannot be listed/);
    expect(said("template").join()).toContain("team-a/p");
    expect(code).toBe(1);
  }, 60_000);

  test("V46: a pool whose pods alone may not be read says so, with its namespace", async () => {
    await apply(
      JSON.stringify({
        ...{ apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role" },
        metadata: { name: ROLE, namespace: "team-b" },
        rules: [
          {
            apiGroups: ["velda.io"],
            resources: ["agentpools", "agentpools/status", "agentpools/finalizers"],
            verbs: ["get", "list", "watch", "patch", "update"],
          },
        ],
      }),
    );
    const words = [`--role=${ROLE}`, "--user=narrow"];
    await ok("-n", "team-b", "create", "rolebinding", "narrow", ...words);
    type Pool = { status?: { conditions?: { type: string; reason: string; message: string }[] } };
    const ready = await until("the pool says why", 40_000, async () => {
      const found = JSON.parse(await ok("-n", "team-b", "get", "ap", "p", "-o", "json")) as Pool;
      return found.status?.conditions?.find(({ type }) => type === "Ready") ?? null;
    });
    expect(ready.reason).toBe("PodsUnknown");
    expect(ready.message).toMatch(/^Nothing is changed: namespace team-b: .*pods.*forbidden/);
    expect(await podsIn("team-b")).toEqual([]);
  }, 90_000);

  test("V9: it goes on once the rights are there", async () => {
    await grant("team-a", "team-b");
    await hasPod("team-b", 60_000);
    // One for the claim, one idle.
    expect(await podsIn("team-a")).toHaveLength(2);
    expect(plane.log()).toContain("AgentPools of a namespace go on");
  }, 90_000);
});
