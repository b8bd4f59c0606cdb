/**
 * Who may join an AgentPool as a worker, by tokens of a real API server: the pod's own bound token
 * opens it, the token of any other pod, of a pod that is gone, or of nobody does not.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { PoolBed } from "./bed.ts";

type PoolMeta = { metadata: { uid: string } };

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: identities of workers: ${missing}`);

describe.skipIf(missing !== null)("identities of workers on a real server", () => {
  let bed: PoolBed;
  let worker = "";
  beforeAll(async () => {
    await buildStale();
    bed = await PoolBed.open();
    await bed.applyFile("t1.yaml");
    await bed.waitPods("t1", 2);
    worker = (await bed.pods("t1"))[0]?.metadata.name ?? "";
  }, 600_000);
  afterAll(() => bed?.close(), 120_000);

  async function tokenOf(pod: string, ...more: string[]): Promise<string> {
    const bound = ["--bound-object-kind=Pod", `--bound-object-name=${pod}`];
    return (await bed.kubectl("create", "token", "default", ...bound, ...more)).trim();
  }

  async function join(token: string, node: string, pool: string | null = "t1") {
    const body = JSON.stringify({ pod_token: token, node_id: node, pool });
    const init = { method: "POST", body, token: null };
    const answer = await bed.plane.fetch("/v1/agent/join", init);
    const text = await answer.text();
    return { status: answer.status, text };
  }

  async function strayPod(name: string, namespace = "default"): Promise<void> {
    const spec = { containers: [{ name: "agent", image: "agent" }] };
    const metadata = { name, namespace };
    await bed.apply(JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec }));
  }

  test("V39: a pod that no AgentPool owns cannot join", async () => {
    await strayPod("stray");
    const answer = await join(await tokenOf("stray"), "stray");
    expect(answer).toMatchObject({ status: 403 });
    expect(answer.text).toContain("is no worker of an AgentPool");
  });

  test("V15: a worker cannot join another pool than its own", async () => {
    const answer = await join(await tokenOf(worker), worker, "other");
    expect(answer).toMatchObject({ status: 403 });
    expect(answer.text).toContain("default/t1");
  });

  test("V39: a forged token, and one that is bound to no pod, open nothing", async () => {
    const real = await tokenOf(worker);
    const [head = "", claims = ""] = real.split(".");
    const forged = `${head}.${claims}.${"A".repeat(342)}`;
    expect((await join(forged, worker)).status).toBeGreaterThanOrEqual(401);
    const unbound = (await bed.kubectl("create", "token", "default")).trim();
    const answer = await join(unbound, worker);
    expect([401, 403]).toContain(answer.status);
    expect(answer.text).not.toContain(unbound);
  });

  test("a tenant of another namespace takes over no worker by name, owner or label", async () => {
    await bed.kubectl("create", "namespace", "evil");
    await until("its account is there", 20_000, async () => {
      const { code } = await bed.cluster.kubectl("-n", "evil", "get", "serviceaccount", "default");
      return code === 0 ? true : null;
    });
    const { uid } = (JSON.parse(await bed.kubectl("get", "ap", "t1", "-o", "json")) as PoolMeta)
      .metadata;
    const before = await bed.uids("t1");
    const owners = [
      { apiVersion: "velda.io/v1", kind: "AgentPool", name: "t1", uid, controller: true },
    ];
    for (const more of [{ ownerReferences: owners }, {}]) {
      const metadata = {
        ...{ name: worker, namespace: "evil", labels: { "navarch.dev/agentpool": "t1" } },
        ...more,
      };
      const spec = { containers: [{ name: "agent", image: "agent" }] };
      await bed.apply(JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata, spec }));
      const token = await tokenOf(worker, "-n", "evil");
      const { status, text } = await join(token, worker);
      expect([status, text]).not.toEqual([201, text]);
      await bed.kubectl("-n", "evil", "delete", "pod", worker, "--now", "--wait");
    }
    expect(await bed.uids("t1")).toEqual(before);
  }, 60_000);

  test("V39: a worker joins under its pod's name, and its token opens nothing once it is gone", async () => {
    const token = await tokenOf(worker);
    const joined = await join(token, worker);
    expect(joined.status).toBe(201);
    const { node_id, credential } = JSON.parse(joined.text) as Record<string, string>;
    expect(node_id).toBe(worker);
    await bed.kubectl("delete", "pod", worker, "--wait", "--timeout=30s");
    const refused = await until("its token is refused", 30_000, async () => {
      const answer = await join(token, worker);
      return answer.status === 403 ? answer : null;
    });
    expect(refused.text).not.toContain(token);
    // Its credential ends with the row of the worker.
    await until("its credential is refused", 30_000, async () => {
      const init = { method: "POST", body: "{}", token: credential ?? "" };
      const { status } = await bed.plane.fetch("/v1/agent/report", init);
      return status === 401 || status === 403 ? true : null;
    });
  }, 120_000);
});
