/**
 * The oracle of the idle buffer on a real API server, with compiled programs: T2 to T6 (T1 is in
 * `acceptance.test.ts`, all of them in virtual time in `test/agentpool/oracle.test.ts`).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { buildStale, until } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { PoolBed, type PoolObject } from "./bed.ts";

const missing = await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the oracle of AgentPools: ${missing}`);

const pool = (name: string, autoscaler: Record<string, number>): string =>
  JSON.stringify({
    ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
    metadata: { name, namespace: "default" },
    spec: {
      autoscaler: { idleDecaySecond: 3_600, ...autoscaler },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "agent", image: "agent" }] },
      },
    },
  });

const T2 = { minReplicas: 0, minIdle: 2, maxIdle: 4, maxReplicas: 5, defaultSlotsPerAgent: 2 };

describe.skipIf(missing !== null)("the oracle of AgentPools on a real server", () => {
  let bed: PoolBed;
  beforeAll(async () => {
    await buildStale();
    bed = await PoolBed.open();
  }, 600_000);
  afterAll(() => bed?.close(), 120_000);

  async function claims(name: string, count: number): Promise<{ id: string; worker: string }[]> {
    const all: { id: string; worker: string }[] = [];
    for (let i = 0; i < count; i++) {
      const { id, worker } = await bed.claim(name);
      await bed.join(name);
      all.push({ id, worker: worker ?? (await bed.claimOf(id)).worker ?? "" });
    }
    return all;
  }

  test("T2: slots of workers, not workers, are kept free", async () => {
    await bed.apply(pool("t2", T2));
    await bed.waitPods("t2", 1);
    await bed.join("t2");
    const all: string[] = [];
    for (const workers of [2, 2, 3]) {
      all.push((await bed.claim("t2")).id);
      await bed.waitPods("t2", workers);
      await bed.join("t2");
    }
    for (const id of all) await bed.release(id);
    await bed.waitPods("t2", 2);
  }, 120_000);

  test("T3: busy workers stay however many slots are free; the one that empties goes", async () => {
    await bed.apply(pool("t3", T2));
    await bed.waitPods("t3", 1);
    await bed.join("t3");
    const all = await claims("t3", 10);
    await bed.waitPods("t3", 5);
    const of = Map.groupBy(all, ({ worker }) => worker);
    expect([...of.values()].map((held) => held.length)).toEqual([2, 2, 2, 2, 2]);
    const held = [...of.values()].map((two) => two.map(({ id }) => id));
    const release = async (worker: number): Promise<void> => {
      const id = held[worker]?.shift();
      if (id !== undefined) await bed.release(id);
    };
    // Eight of ten slots are busy, then five; no worker is empty.
    for (const worker of [0, 1, 2, 3, 4]) await release(worker);
    await Bun.sleep(3_000);
    expect(await bed.pods("t3")).toHaveLength(5);
    await release(0);
    await bed.waitPods("t3", 4);
    const left = (await bed.pods("t3")).map(({ metadata }) => metadata.name);
    expect(left.sort()).toEqual([...of.keys()].slice(1).sort());
  }, 180_000);

  test("T4: a claim that is cancelled while its worker starts takes the pod along", async () => {
    await bed.apply(pool("t4", { minIdle: 0, maxIdle: 0, maxReplicas: 2 }));
    await until("t4 is served", 10_000, async () => ((await bed.pool("t4")).status ? true : null));
    const { id, state } = await bed.claim("t4");
    expect(state).toBe("queued");
    await bed.waitPods("t4", 1);
    await bed.release(id);
    await bed.waitPods("t4", 0);
  }, 60_000);

  test("T5: a worker whose agent is lost is removed after its time", async () => {
    const size = { minReplicas: 2, minIdle: 0, maxIdle: 2, maxReplicas: 4 };
    await bed.apply(pool("t5", { ...size, killUnknownAfterSecond: 5 }));
    await bed.waitPods("t5", 2);
    await bed.join("t5");
    const [lost = ""] = (await bed.pods("t5")).map(({ metadata }) => metadata.name);
    await bed.killAgent(lost);
    await until(`${lost} is gone`, 40_000, async () => {
      const names = (await bed.pods("t5")).map(({ metadata }) => metadata.name);
      return names.includes(lost) ? null : true;
    });
    await bed.waitPods("t5", 2);
  }, 120_000);

  test("T6: a creation that fails is tried once a minute, whatever the demand", async () => {
    await bed.kubectl("create", "namespace", "t6");
    await bed.kubectl("-n", "t6", "create", "quota", "none", "--hard=pods=0");
    const one = JSON.parse(pool("t6", { minIdle: 0, maxIdle: 0, maxReplicas: 5 })) as {
      metadata: { namespace: string };
    };
    one.metadata.namespace = "t6";
    await bed.apply(JSON.stringify(one));
    const path = "/v1/pools/t6/t6/claims";
    const claim = () => bed.plane.fetch(path, { method: "POST", body: "{}" });
    await until("t6 is served", 10_000, async () => ((await claim()).ok ? true : null));
    const blocked = () => {
      return until("the block is shown", 20_000, async () => {
        const ap = await bed.kubectl("-n", "t6", "get", "ap", "t6", "-o", "json");
        const { conditions = [] } = (JSON.parse(ap) as PoolObject).status ?? {};
        const found = conditions.find(({ type }) => type === "ScaleUpBlocked");
        return found?.status === "True" ? found : null;
      });
    };
    expect((await blocked()).reason).toBe("QuotaExceeded");
    for (let i = 0; i < 3; i++) expect((await claim()).status).toBe(202);
    await Bun.sleep(20_000);
    const attempts = () =>
      bed.cluster.audit().filter(({ verb, objectRef, requestURI, stage }) => {
        const isPod = objectRef?.resource === "pods" && objectRef.namespace === "t6";
        const isReal = stage === "ResponseComplete" && !requestURI.includes("dryRun");
        return isPod && verb === "create" && isReal;
      }).length;
    expect(attempts()).toBe(1);
    await bed.kubectl("-n", "t6", "delete", "resourcequota", "none");
    await until("workers are created", 90_000, () => (attempts() > 1 ? true : null));
  }, 180_000);
});
