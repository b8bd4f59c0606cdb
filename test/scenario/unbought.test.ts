/**
 * Stories about machines that this fleet did not buy: agents that a DaemonSet or a person started.
 * They are counted, cordoned, drained and given back like the rest of the pool that they name, and
 * a person can have them forgotten once they are gone.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { World } from "../world/world.ts";
import { BASE, poolYaml } from "../world/world.ts";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { closeWorlds, open, told } from "../world/story.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

/** Pool p of `size` bought nodes, and agents of other machines that name `pool`. */
async function mixed(
  from: { size?: number; names?: string[]; pool?: string; extra?: string } = {},
): Promise<World> {
  const { size = 1, names = ["k1", "k2"], extra = "" } = from;
  const w = await open(poolYaml(size, extra));
  join(w, names, from.pool ?? "p");
  await w.until(() => w.serving().length === size + names.length, 120);
  return w;
}

/** From now on these speak, too. */
function join(w: World, names: readonly string[], pool: string): void {
  const report = w.report.bind(w);
  for (const name of names) w.agent(name).pool = pool;
  w.report = async () => {
    await report();
    for (const name of names) await w.say(name);
  };
}

async function gauges(a: WorldApp, name: string): Promise<Record<string, number>> {
  const { text } = await a.call("GET", "/metrics", undefined, null);
  const found = [...text.matchAll(new RegExp(`^${name}\\{pool="([^"]*)"\\} (\\d+)$`, "gm"))];
  return Object.fromEntries(found.map(([, pool = "", value]) => [pool, Number(value)]));
}

const waitOf = (w: World, id: string) =>
  sayPlan(w.reconciler.lastPlan()).waits.find((wait) => wait.node === id)?.message ?? null;

const isLeft = (w: World, id: string) => w.nodes().some((node) => node.id === id);

describe("an unmanaged machine", () => {
  test("is counted in its pool and in the alerts, and not in the pool's size", async () => {
    const w = await mixed({ names: ["k1", "k2", "k3"] });
    join(w, ["lone"], "elsewhere");
    await w.until(() => w.serving().length === 5, 60);
    const a = openWorldApp(w);
    expect(await gauges(a, "navarch_nodes_total")).toEqual({ p: 4, "": 1 });
    expect(await gauges(a, "navarch_nodes_unmanaged")).toEqual({ p: 3, "": 1 });
    w.xid("k1", 79);
    w.xid("lone", 79);
    await w.advance(() => w.node("lone").cordon.product !== null, 120_000);
    expect(await gauges(a, "navarch_nodes_unhealthy")).toEqual({ p: 1, "": 1 });
    expect(await gauges(a, "navarch_nodes_healthy")).toEqual({ p: 3, "": 0 });
    expect(await gauges(a, "navarch_pool_healthy_nodes")).toEqual({ p: 1 });
    expect(await gauges(a, "navarch_pool_desired_nodes")).toEqual({ p: 1 });
    const status = (await a.call("GET", "/v1/pools/p/status")).body;
    expect(status).toMatchObject({ total_nodes: 4, unhealthy_nodes: 1, unmanaged_nodes: 3 });
    expect((await a.call("GET", "/v1/pools/p")).body).toMatchObject({ nodes: 1, ready: 1 });
    expect((await a.call("GET", "/v1/pools/p/explain")).text).toContain(
      "1 serving of 1 wanted by config (1…6), and 3 that this fleet did not buy",
    );
    expect(w.cloud.reality().live).toHaveLength(1);
  });

  test("is cordoned and drained, and comes back once it is repaired", async () => {
    const w = await mixed({ extra: "    health: { unhealthy_threshold: 2 }\n" });
    const a = openWorldApp(w);
    w.agent("k1").processes = 3;
    await w.live(20);
    w.xid("k1", 79);
    await w.advance(() => w.node("k1").phase.kind === "draining", 300_000);
    expect(w.node("k1").phase).toMatchObject({ purpose: "repair", deadlineAt: 0 });
    await w.advance(() => false, 2_100_000);
    expect(w.node("k1").phase.kind).toBe("draining");
    w.agent("k1").processes = 0;
    const drained = () => {
      const { phase } = w.node("k1");
      return phase.kind === "draining" && phase.drainedAt !== null;
    };
    await w.advance(drained, 120_000);
    await w.advance(() => false, 10_000);
    const why = (await a.call("GET", "/v1/nodes/k1/explain")).body;
    expect(String(why["state"])).toContain("not bought by this fleet, counted in pool p");
    expect(why["blockers"]).toEqual([
      "drained, and this fleet did not buy it: repair it: it comes back by itself, or " +
        "`navarch forget k1` once the machine is gone",
    ] as never);
    for (const order of ["terminate", "replace"]) {
      const refused = await a.call("POST", `/v1/nodes/k1/${order}`, {});
      expect(refused.status).toBe(409);
      expect(refused.text).toContain("nothing can end it: drain it, or forget it");
    }
    const agent = w.agent("k1");
    Object.assign(agent, { boot: agent.boot + 1, registered: false, spool: [], active: [] });
    await w.advance(() => w.serving().includes("k1"), 300_000);
    expect(w.node("k1").cordon.product).toBeNull();
    expect(w.story("k1").slice(-2)).toEqual(["node.uncordoned", "node.recovered"]);
  });

  test("takes part in the budgets of its pool and of the fleet", async () => {
    const names = Array.from({ length: 20 }, (_, i) => `k${i}`);
    const w = await mixed({ size: 0, names });
    for (const name of names) w.xid(name, 48);
    await w.advance(() => false, 60_000);
    const marked = names.filter((name) => w.node(name).cordon.product !== null);
    // 20 % of the pool's twenty, 10 % of the fleet's twenty.
    expect(marked.length).toBeGreaterThan(0);
    expect(marked.length).toBeLessThanOrEqual(4);
  });

  test.each([79, 48])(
    "holds up no repair of ours while it waits for a person (XID %i)",
    async (code) => {
      const w = await mixed({ size: 4, names: ["k1"] });
      w.agent("k1").processes = 1;
      w.xid("k1", 79);
      await w.advance(() => w.node("k1").phase.kind === "draining", 120_000);
      const [sick = ""] = w.serving();
      w.xid(sick, code);
      await w.advance(() => w.nodes().some((one) => one.replaces === sick), 600_000);
      await w.advance(() => w.serving().length === 4, 600_000);
      expect(w.serving()).not.toContain(sick);
      expect(w.cloud.reality().live).toHaveLength(4);
      expect(w.node("k1").phase.kind).toBe("draining");
      expect(sayPlan(w.reconciler.lastPlan()).waits.map(({ node }) => node)).toEqual([
        "k1" as never,
      ]);
    },
  );

  test("is forgotten by a person, once it is silent", async () => {
    const w = await mixed();
    const a = openWorldApp(w);
    const forget = (id: string) => a.call("DELETE", `/v1/nodes/${id}`, { reason: "scrapped" });
    const speaking = await forget("k1");
    expect([speaking.status, speaking.text]).toEqual([
      409,
      expect.stringContaining("still reports"),
    ]);
    const [bought = ""] = w.serving().filter((id) => id !== "k1" && id !== "k2");
    expect((await forget(bought)).text).toContain("was bought by this fleet: terminate it");
    expect((await a.call("DELETE", "/v1/nodes/k1", {}, "both")).status).toBe(409);
    w.agent("k1").quiet = true;
    await w.advance(() => w.node("k1").health.silentSince !== null, 300_000);
    await w.advance(() => w.node("k1").cordon.product !== null, 120_000);
    expect(waitOf(w, "k1")).toMatch(
      /^silent since \S+, and this fleet did not buy it, so no cloud can be asked: restart its agent, or run `navarch forget k1`/,
    );
    expect(await gauges(a, "navarch_nodes_unhealthy")).toEqual({ p: 1 });
    expect((await forget("k1")).body).toEqual({ node_id: "k1", forgotten_by: "admin" } as never);
    expect(isLeft(w, "k1")).toBe(false);
    expect(await gauges(a, "navarch_nodes_unhealthy")).toEqual({ p: 0 });
    expect(told(w, "node.forgotten").map(({ node, actor }) => `${node} ${actor}`)).toEqual([
      "k1 human:admin",
    ]);
    await w.advance(() => false, 60_000);
    expect(isLeft(w, "k1")).toBe(false);
    expect((await forget("k1")).status).toBe(404);
    // It was not scrapped after all.
    Object.assign(w.agent("k1"), { quiet: false, registered: false });
    await w.advance(() => w.serving().includes("k1"), 120_000);
  });
});

describe("a pool with adopt: true", () => {
  test("counts them, buys the rest, and gives up what it pays for first", async () => {
    const w = await open(poolYaml(0, "    adopt: true\n"));
    join(w, ["k1", "k2"], "p");
    await w.until(() => w.serving().length === 2, 60);
    const a = openWorldApp(w);
    await w.advance(() => false, 60_000);
    // The configuration's floor alone gives up nothing.
    expect(w.serving()).toHaveLength(2);
    const size = (nodes: number) => a.call("PUT", "/v1/pools/p/size", { nodes, reason: "x" });
    expect((await size(3)).status).toBe(200);
    await w.advance(() => w.serving().length === 3, 300_000);
    await w.advance(() => false, 60_000);
    expect(w.cloud.reality().live).toHaveLength(1);
    await size(1);
    await w.advance(() => w.cloud.reality().live.length === 0, 300_000);
    await w.advance(() => w.serving().length === 1, 300_000);
    const drained = w.nodes().filter((node) => node.phase.kind === "draining");
    expect(drained.map((node) => node.phase)).toMatchObject([{ purpose: "scale_down" }]);
    expect(waitOf(w, drained[0]?.id ?? "")).toContain("uncordon it, or `navarch forget ");
  });

  test("gives up no machine of its own for one that comes, sick or well, and goes", async () => {
    const w = await open(poolYaml(3, "    adopt: true\n"));
    await w.until(() => w.serving().length === 3, 120);
    const own = w.serving();
    join(w, ["sick", "well"], "p");
    w.xid("sick", 79);
    for (const pool of ["p", "elsewhere", "p", "elsewhere", "p"]) {
      for (const name of ["sick", "well"]) {
        Object.assign(w.agent(name), { pool, registered: false });
      }
      await w.advance(() => false, 120_000);
      expect(w.serving().filter((id) => own.includes(id))).toEqual(own);
      expect(w.cloud.reality().live).toHaveLength(3);
    }
    // Whoever sets the size counts those that serve.
    const a = openWorldApp(w);
    expect((await a.call("PUT", "/v1/pools/p/size", { nodes: 3, reason: "x" })).status).toBe(200);
    await w.advance(() => w.cloud.reality().live.length === 2, 300_000);
    await w.advance(() => false, 120_000);
    expect(w.cloud.reality().live).toHaveLength(2);
    expect(w.serving()).toContain("well");
  });

  test("needs no provider, and says so if nodes are missing", async () => {
    const w = await open(`${BASE}
pools:
  - { name: q, adopt: true, instance_type: t, scaling: { min_nodes: 1, max_nodes: 5 } }
`);
    await w.advance(() => false, 10_000);
    const waits = () => sayPlan(w.reconciler.lastPlan()).waits.map((wait) => wait.message);
    const missing = "1 node is missing, and the pool names no provider to buy them at";
    expect(waits()).toEqual([missing]);
    join(w, ["k1"], "q");
    await w.advance(() => w.serving().includes("k1"), 60_000);
    await w.advance(() => false, 10_000);
    expect(waits()).toEqual([]);
  });
});
