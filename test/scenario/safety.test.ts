/**
 * What stands between a decision and the fleet (docs/reference/safety.md#budgets), each told as a
 * story in which it is the one thing that matters: budgets by scope, the breaker, a common cause,
 * the bootstrap guard by place, hardware that comes back, ceilings, and blindness.
 */
import { afterEach, expect, test } from "bun:test";
import { factsOf } from "../../schema/safety.ts";
import { freeze } from "../world/cluster.ts";
import { BASE } from "../world/setting.ts";
import type { World } from "../world/world.ts";
import { openLarge, watchSteps } from "../world/storm.ts";
import {
  anotherPool,
  closeWorlds,
  fleet,
  loseEnds,
  open,
  order,
  resize,
  threshold,
  told,
  waitOf,
  WIDE_BUDGETS,
} from "../world/story.ts";
import { sayPlan } from "../../reconciler/core/plan.ts";

afterEach(closeWorlds);

const pool = (name: string, size: number, extra = ""): string => `
  - name: ${name}
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 10} }
    health: { unhealthy_threshold: 1, max_unavailable: 100% }
${extra}`;

const breakers = (world: World): string[] =>
  factsOf(world.reconciler.fleet().facts, "breaker").map((one) => `${one.scope} ${one.state}`);

/** Nodes on their way out or in because of a fault, as the cloud and the plan show it. */
function mostOut(world: World): { most: number } {
  const seen = { most: 0 };
  const before = world.onCommit;
  world.onCommit = (change) => {
    before(change);
    const out = world
      .nodes()
      .filter(
        ({ phase, replaces }) =>
          phase.kind !== "serving" &&
          phase.kind !== "suspect" &&
          (replaces !== null || phase.kind === "draining" || phase.kind === "terminating"),
      );
    seen.most = Math.max(seen.most, new Set(out.map((node) => `${node.pool}/${node.slot}`)).size);
  };
  return seen;
}

async function whole(world: World, size: number, ms: number): Promise<void> {
  const done = (): boolean =>
    world.serving().length === size && world.nodes().every((node) => node.phase.kind === "serving");
  if (await world.advance(done, ms)) return;
  throw new Error(
    JSON.stringify({
      nodes: world.nodes().map((n) => `${n.id} ${n.phase.kind}`),
      waits: sayPlan(world.reconciler.lastPlan()).waits,
    }),
  );
}

const HOUR_MS = 3_600_000;

test("budgets hold in every scope: the replace share of a pool is all that is out at once", async () => {
  const wide = WIDE_BUDGETS.replace("replace: { pool: 100%", "replace: { pool: 2");
  const world = await open(`${BASE}${wide}  breaker: { enabled: false }\npools:${pool("p", 10)}`);
  await whole(world, 10, HOUR_MS);
  const out = mostOut(world);
  for (const id of world.serving().slice(0, 6)) world.xid(id, 48);
  await world.advance(() => false, 5_000);
  await whole(world, 10, HOUR_MS);
  expect(out.most).toBe(2);
});

test("a burst is slowed to a trickle, goes on, and the breaker closes by itself", async () => {
  const world = await openLarge(`${BASE}${WIDE_BUDGETS}\npools:${pool("p", 20)}`);
  await whole(world, 20, HOUR_MS);
  const out = mostOut(world);
  const sick = world.serving().slice(0, 6);
  for (const id of sick) world.xid(id, 48);
  await world.advance(() => breakers(world).length > 0, 60_000);
  expect(breakers(world)).toContain("pool:p restrained");
  await whole(world, 20, HOUR_MS);
  expect(out.most).toBe(1);
  for (const id of sick) expect(world.nodes().map((node): string => node.id)).not.toContain(id);
  expect(await world.advance(() => breakers(world).length === 0, 4 * HOUR_MS)).toBe(true);
  expect(told(world, "safety.breaker").at(-1)?.message).toContain("closed");
});

test("a cause that one zone shares stops repairs there, and the other zones go on", async () => {
  const zones = ["a", "b", "c"].map((zone) => pool(`p${zone}`, 8, `    zones: [z${zone}]\n`));
  const world = await openLarge(`${BASE}${WIDE_BUDGETS}\npools:${zones.join("")}`);
  await whole(world, 24, HOUR_MS);
  const inZone = (zone: string) =>
    world
      .nodes()
      .filter((node) => node.instance?.zone === zone)
      .map((node): string => node.id);
  const steps = watchSteps(world);
  const dark = inZone("za");
  for (const id of dark) world.xid(id, 48);
  await world.advance(() => breakers(world).includes("fleet open"), 60_000);
  expect(breakers(world)).toContain("fleet open");
  const [other = ""] = inZone("zb");
  world.xid(other, 48);
  await world.advance(() => !inZone("zb").includes(other), 10 * 60_000);
  expect(steps.ends).toEqual([other]);
  expect(waitOf(world, dark[0] ?? "")).toBe("breaker");
}, 30_000);

test("a place whose nodes never come up is left alone, and another one is used", async () => {
  const places = `    providers: [{ name: fake, regions: [bad, good] }]\n`;
  const yaml = pool("p", 2, places).replace("    provider: fake\n", "");
  const world = await open(`${BASE.replace("heartbeat_timeout: 30s", "heartbeat_timeout: 30s")}
instance_manager: { registration_timeout: 1m }
pools:${yaml}`);
  const say = world.say.bind(world);
  world.say = async (id) => {
    const instance = world.node(id).instance;
    if (instance?.region !== "bad") await say(id);
  };
  await world.advance(() => world.serving().length === 2, HOUR_MS);
  expect(world.serving()).toHaveLength(2);
  expect(world.nodes().map((node) => node.instance?.region)).toEqual(["good", "good"]);
  const state = [...world.reconciler.fleet().pools.values()][0];
  const suspect = Object.entries(state?.guards ?? {}).filter(([, guard]) => guard.failures > 0);
  expect(suspect.map(([key]) => key.split("#")[0])).toEqual(["fake/bad//h100-8x"]);
});

test("hardware that failed is refused when the cloud hands it back", async () => {
  const world = await fleet(2, threshold(1));
  const [sick = ""] = world.serving();
  const bad = world.agent(sick).uuids;
  const known = new Set(world.nodes().map((node): string => node.id));
  world.xid(sick, 79);
  // The first machine that comes is the one that went.
  const say = world.say.bind(world);
  let returned: string | null = null;
  world.say = async (id) => {
    if (!known.has(id)) {
      returned ??= id;
      if (returned === id) world.agent(id).uuids = [...bad];
    }
    await say(id);
  };
  await world.advance(
    () => returned !== null && world.nodes().every((n) => n.id !== returned),
    HOUR_MS,
  );
  await whole(world, 2, HOUR_MS);
  const events = world.events.filter((event) => event.node === returned).map((event) => event.kind);
  expect(events).not.toContain("node.verified");
  expect(events).toContain("node.failed");
  const [lemon] = factsOf(world.reconciler.fleet().facts, "lemon");
  expect(lemon).toMatchObject({ uuid: bad[0], refused: 1, sessions: 1 });
  // The pool's guard is about set-ups, not about bad boards.
  expect([...world.reconciler.fleet().pools.values()][0]?.failures).toBe(0);
});

test("a ceiling of instances is never passed, and what waits for it says so", async () => {
  const world = await open(
    `${BASE}\nsafety: { spend: { max_instances: 3 } }\npools:${pool("p", 3, "    replacement: surge\n")}`,
  );
  await whole(world, 3, HOUR_MS);
  let most = 0;
  world.onCommit = () => {
    most = Math.max(most, world.cloud.reality().live.length);
  };
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.advance(() => false, 10 * 60_000);
  expect(most).toBe(3);
  expect(sayPlan(world.reconciler.lastPlan()).waits.map((wait) => wait.reason)).toContain("spend");
  // The sick node stays: nothing is ended for a replacement that may not be bought.
  expect(world.node(sick).phase.kind).toBe("suspect");
});

test("under a ceiling in dollars nothing is bought whose price is not known", async () => {
  const world = await open(
    `${BASE}\nsafety: { spend: { max_per_hour: 100 } }\npools:${pool("p", 1)}`,
  );
  await world.advance(() => false, 60_000);
  expect(world.cloud.reality().asks).toBe(0);
  expect(sayPlan(world.reconciler.lastPlan()).waits).toMatchObject([{ reason: "spend" }]);
});

test("a list that collapses blinds everything, and sight comes back by itself", async () => {
  const world = await open(`${BASE}${WIDE_BUDGETS}\npools:${pool("p", 4)}${anotherPool("q", 4)}`);
  await whole(world, 8, HOUR_MS);
  const list = world.cloud.list.bind(world.cloud);
  world.cloud.list = async () => ({ kind: "ok", instances: [] });
  await world.advance(() => (world.reconciler.lastSight()?.blind.length ?? 0) > 0, 5 * 60_000);
  const said = world.reconciler.lastSight()?.blind.join();
  expect(said).toMatch(
    /^the list of fake shrank implausibly, to 0 of 8 known instances: it is believed after .+Z, /,
  );
  expect(said).toContain("navarch doctor providers --config FILE");
  expect(said).toContain("navarch freeze --reason WHY");
  const steps = watchSteps(world);
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.advance(() => false, 2 * 60_000);
  expect(steps.ends).toEqual([]);
  expect(waitOf(world, sick)).toBe("blind");
  // Told once to each pool that buys there, and shown as its condition while it lasts.
  const conditions = () =>
    told(world, "pool.condition").map(({ pool, message }) => `${pool}: ${message.slice(0, 46)}`);
  const begun = "provider fake: the list of fake shrank implaus";
  expect(conditions()).toEqual([`p: ${begun}`, `q: ${begun}`]);
  world.cloud.list = list;
  await whole(world, 8, HOUR_MS);
  expect(steps.ends).toEqual([sick]);
  expect(conditions().slice(2)).toEqual([
    "p: provider fake: nothing is wrong there any more",
    "q: provider fake: nothing is wrong there any more",
  ]);
});

test("an end that the cloud does not confirm is told to a person, once", async () => {
  const world = await fleet(2, threshold(1));
  // The cloud says yes and does nothing, for ever.
  world.cloud.terminate = async () => ({ kind: "accepted" });
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.advance(() => false, 0.75 * HOUR_MS);
  const bills = told(world, "provider.error").filter((event) => event.message.includes("billed"));
  expect(bills.map((event): string | null => event.node)).toEqual([sick]);
});

test("isolation has a budget of its own, refilled by time", async () => {
  const tight = WIDE_BUDGETS.replace("isolate: { pool: 100%", "isolate: { pool: 2");
  const stuck =
    "    health: { unhealthy_threshold: 1, max_unavailable: 100%, auto_replace: false }\n";
  const yaml = pool("p", 12).replace(/ {4}health: .*\n/, stuck);
  const world = await open(`${BASE}${tight}\npools:${yaml}`);
  await whole(world, 12, HOUR_MS);
  for (const id of world.serving().slice(0, 5)) world.xid(id, 48);
  const cordoned = (): number =>
    world.nodes().filter((node) => node.cordon.product !== null).length;
  await world.advance(() => false, 9 * 60_000);
  expect(cordoned()).toBe(2);
  await world.advance(() => false, 3 * 60_000);
  expect(cordoned()).toBe(4);
});

test("a replacement gives no isolation budget back before the window ends", async () => {
  // Known since the first start, the rule is no suspect: only the budget is in its way.
  const world = await openLarge(`${BASE}\npools:${pool("p", 12)}`);
  await whole(world, 12, HOUR_MS);
  const steps = watchSteps(world);
  for (const id of world.serving().slice(0, 5)) world.xid(id, 48);
  await world.advance(() => false, 9 * 60_000);
  expect(steps.cordons.size).toBe(1);
  expect(steps.ends).toEqual([...steps.cordons]);
  await world.advance(() => false, 10 * 60_000);
  expect(steps.cordons.size).toBe(2);
  // What is evident by itself neither waits nor spends.
  const [dead = ""] = world.serving();
  world.xid(dead, 79);
  await world.advance(() => steps.cordons.has(dead), 60_000);
  expect(steps.cordons).toContain(dead);
});

test("what is evident by itself moves on while a doubtful fault holds the trickle", async () => {
  const world = await openLarge(`${BASE}${WIDE_BUDGETS}\npools:${pool("p", 20)}`);
  await whole(world, 20, HOUR_MS);
  const doubtful = world.serving().slice(0, 4);
  // Their work does not leave: the one that may go is not gone for long.
  for (const id of doubtful) {
    world.agent(id).processes = 3;
    world.xid(id, 48);
  }
  await world.advance(() => breakers(world).includes("pool:p restrained"), 60_000);
  const steps = watchSteps(world);
  const [plain = ""] = world.serving();
  world.xid(plain, 79);
  const gone = (): boolean => world.nodes().every((node) => node.id !== plain);
  expect(await world.advance(gone, 10 * 60_000)).toBe(true);
  expect(steps.ends).toEqual([plain]);
  expect(doubtful.map((id) => waitOf(world, id))).toContain("breaker");
});

test("a call that was intended before the darkness is not made in it", async () => {
  const world = await fleet(4, threshold(1));
  const ends = loseEnds(world);
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  expect(await world.advance(() => ends.asked > 1, HOUR_MS)).toBe(true);
  const list = world.cloud.list.bind(world.cloud);
  world.cloud.list = async () => ({ kind: "ok", instances: [] });
  await world.advance(() => (world.reconciler.lastSight()?.blind.length ?? 0) > 0, 5 * 60_000);
  const before = ends.asked;
  await world.advance(() => false, 5 * 60_000);
  expect(ends.asked).toBe(before);
  world.cloud.list = list;
  ends.fix();
  await whole(world, 4, HOUR_MS);
});

test("machines that no slot wants are ended one in a sweep, behind the scheduler's cordon", async () => {
  const world = await fleet(2, threshold(1));
  const made = [...world.cloud.world().instances.values()][0]?.instance;
  if (made === undefined) throw new Error("no instance");
  for (let n = 0; n < 4; n++) {
    await world.cloud.create(
      {
        token: `stray-${n}`,
        name: `stray-${n}`,
        nodeId: `stray-${n}`,
        region: null,
        zone: null,
        instanceType: "h100-8x",
        // Its slot has somebody already.
        tags: { ...made.tags, "navarch-node": `stray-${n}`, "navarch-gen": String(90 + n) },
        market: "on-demand",
        reservation: null,
        sshKeys: [],
      },
      { nodeId: `stray-${n}`, fence: 1, sessionId: null },
      null,
    );
  }
  const ends: number[] = [];
  const terminate = world.cloud.terminate.bind(world.cloud);
  world.cloud.terminate = async (id, fence) => {
    ends.push(world.clock.monoMs());
    return terminate(id, fence);
  };
  const two = (): boolean => world.cloud.reality().live.length === 2;
  expect(await world.advance(two, HOUR_MS)).toBe(true);
  expect(ends).toHaveLength(4);
  for (let n = 1; n < ends.length; n++) {
    expect((ends[n] ?? 0) - (ends[n - 1] ?? 0)).toBeGreaterThanOrEqual(30_000);
  }
  const cordons = told(world, "node.cordoned").map((event) => event.node);
  expect(cordons).toHaveLength(4);
});

test("a slot that a smaller pool gave up takes no room from the next repair", async () => {
  const world = await open(
    `${BASE}\npools:${pool("p", 6).replace("max_unavailable: 100%", "max_unavailable: 20%")}`,
  );
  await whole(world, 6, HOUR_MS);
  const [first = "", second = ""] = world.serving();
  await order(world, first, "replace", { force: true });
  await resize(world, 5);
  await world.advance(() => world.serving().length === 5, HOUR_MS);
  world.xid(second, 79);
  const gone = (): boolean => world.nodes().every((node) => node.id !== second);
  expect(await world.advance(gone, HOUR_MS)).toBe(true);
  await whole(world, 5, HOUR_MS);
});

test("max_unavailable caps all rungs together, however wide the budgets are", async () => {
  const two = pool("p", 10).replace("max_unavailable: 100%", "max_unavailable: 2");
  const world = await open(`${BASE}${WIDE_BUDGETS}  breaker: { enabled: false }\npools:${two}`);
  await whole(world, 10, HOUR_MS);
  const out = mostOut(world);
  for (const id of world.serving().slice(0, 6)) world.xid(id, 48);
  await world.advance(() => false, 5_000);
  await whole(world, 10, HOUR_MS);
  expect(out.most).toBe(2);
});

test("after a pause of its own the process looks for a while before it acts", async () => {
  const world = await fleet(3, threshold(1));
  const steps = watchSteps(world);
  world.clock.sleepThrough(60_000);
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.advance(() => false, 20_000);
  expect(waitOf(world, sick)).toBe("blind");
  expect(steps.ends).toEqual([]);
  await whole(world, 3, HOUR_MS);
  expect(steps.ends).toEqual([sick]);
});

test("what was listed once is not taken in, and what stays is", async () => {
  const world = await fleet(2, threshold(1));
  const made = [...world.cloud.world().instances.values()][0]?.instance;
  if (made === undefined) throw new Error("no instance");
  const ghost = {
    ...made,
    id: "ghost-1" as typeof made.id,
    name: "ghost",
    tags: { ...made.tags, "navarch-node": "ghost", "navarch-gen": "77" },
  };
  const list = world.cloud.list.bind(world.cloud);
  let shown = 0;
  world.cloud.list = async () => {
    const answer = await list();
    if (answer.kind !== "ok" || ++shown !== 2) return answer;
    return { kind: "ok", instances: [...answer.instances, ghost] };
  };
  await world.advance(() => shown > 6, HOUR_MS);
  expect(told(world, "instance.surplus")).toEqual([]);
  expect(world.nodes().map((node): string => node.id)).not.toContain("ghost");
});

test("a replacement that fails at once is replaced as well, within the same room", async () => {
  const world = await fleet(2, threshold(1));
  for (let round = 0; round < 3; round++) {
    const newest = world.nodes().sort((a, b) => b.gen - a.gen)[0];
    const sick = newest?.id ?? "";
    world.xid(sick, 48);
    const gone = (): boolean => world.nodes().every((node) => node.id !== sick);
    expect(await world.advance(gone, 5 * 60_000)).toBe(true);
    await whole(world, 2, 5 * 60_000);
  }
});

test("a ceiling in dollars is filled to its last dollar, by the provider's own prices", async () => {
  const world = await open(
    `${BASE}\nsafety: { spend: { max_per_hour: 100 } }\npools:${pool("p", 5)}`,
    { terms: { pricePerHour: 30 } },
  );
  await world.advance(() => false, 5 * 60_000);
  expect(world.serving()).toHaveLength(3);
  const waits = sayPlan(world.reconciler.lastPlan()).waits.map((wait) => wait.message);
  expect(waits).toContain("fleet would cost $90.00/h + $30.00/h, above $100.00/h");
  // One that fails is replaced: it frees what it costs.
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  const gone = (): boolean => world.nodes().every((node) => node.id !== sick);
  expect(await world.advance(gone, 10 * 60_000)).toBe(true);
  expect(await world.advance(() => world.serving().length === 3, 10 * 60_000)).toBe(true);
});

test("a call that was intended before a freeze is not made in it", async () => {
  const world = await fleet(3, threshold(1));
  const ends = loseEnds(world);
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  expect(await world.advance(() => ends.asked > 1, HOUR_MS)).toBe(true);
  const thaw = await freeze(world);
  const before = ends.asked;
  await world.advance(() => false, 10 * 60_000);
  expect(ends.asked).toBe(before);
  await thaw();
  ends.fix();
  await whole(world, 3, HOUR_MS);
});
