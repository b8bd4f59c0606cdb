/**
 * What a review of the safety machinery found by living through it: states that nobody leaves,
 * evidence that is forgotten, money that no ceiling sees. None of them held when it was written.
 */
import { afterEach, expect, test } from "bun:test";
import { openSpendBudget } from "../../reconciler/core/safety/spend.ts";
import { stepSafety } from "../../reconciler/core/safety/step.ts";
import type { NodeId } from "../../schema/id.ts";
import { type Fact, factsOf } from "../../schema/safety.ts";
import { reportOf } from "../world/agent.ts";
import { BASE, configOf } from "../world/setting.ts";
import type { World } from "../world/world.ts";
import { adoptPolicy, openLarge, policyWith, watchSteps } from "../world/storm.ts";
import {
  counts,
  closeWorlds,
  fleet,
  open,
  order,
  phaseOf,
  surge,
  threshold,
  WIDE_BUDGETS,
} from "../world/story.ts";

afterEach(closeWorlds);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const pool = (name: string, size: number, extra = ""): string => `
  - name: ${name}
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 10} }
    health: { unhealthy_threshold: 1 }
${extra}`;

const BAD = {
  name: "too-eager",
  condition: "event.metrics.xid_code == 43",
  hold: "until_replaced",
} as const;

const up = (world: World, size: number): Promise<boolean> =>
  world.advance(() => world.serving().length === size, HOUR_MS);
const pass = (world: World, ms: number): Promise<boolean> => world.advance(() => false, ms);
const stateOf = (world: World, scope: string): string =>
  factsOf(world.reconciler.fleet().facts, "breaker").find((one) => one.scope === scope)?.state ??
  "closed";
const putAside = (world: World): string[] =>
  factsOf(world.reconciler.fleet().facts, "quarantine").map((one) => one.rule.split("@")[0] ?? "");

/** A world whose agents tell these versions with their inventory. */
async function openVersions(
  yaml: string,
  told: () => { agent: string; driver: string },
): Promise<World> {
  const world = await open(yaml, { store: "memory" });
  world.say = async (id) => {
    const agent = world.agent(id);
    if (agent.quiet) return;
    const report = reportOf(id, agent, world.clock.wallMs());
    report.agent_version = told().agent;
    if (report.inventory !== null) report.inventory.driver_version = told().driver;
    const pending = world.ingest.accept(report, id as NodeId);
    await world.clock.pass(5);
    const answer = await pending;
    world.said++;
    if (answer.kind !== "reply") return;
    agent.registered = !answer.reply.want_inventory;
    agent.spool = agent.spool.filter((one) => one.seq > answer.reply.ack_seq);
  };
  return world;
}

test("nodes that broke under a new driver are repaired although it is suspected", async () => {
  let driver = "1";
  const world = await openVersions(`${BASE}\npools:${pool("p", 10)}`, () => ({
    agent: "t",
    driver,
  }));
  await up(world, 10);
  driver = "2";
  for (const id of world.serving()) world.agent(id).registered = false;
  await pass(world, MINUTE_MS);
  const sick = world.serving().slice(0, 3);
  for (const id of sick) world.xid(id, 48);
  await pass(world, 4 * HOUR_MS);
  expect(sick.map((id) => phaseOf(world, id))).not.toContain("suspect");
}, 60_000);

test("what a bad agent said does not cost healthy nodes after it was rolled back", async () => {
  let agent = "1";
  const world = await openVersions(`${BASE}\npools:${pool("p", 12)}`, () => ({
    agent,
    driver: "1",
  }));
  await up(world, 12);
  // A fleet that is being built suspects nothing of what it is built of.
  await pass(world, 2 * HOUR_MS);
  agent = "2";
  await pass(world, MINUTE_MS);
  const steps = watchSteps(world);
  for (const id of world.serving().slice(0, 5)) world.xid(id, 48);
  await pass(world, 5 * MINUTE_MS);
  expect(stateOf(world, "pool:p")).toBe("open");
  agent = "1";
  await pass(world, 2 * HOUR_MS);
  expect(steps.ends).toEqual([]);
}, 60_000);

test("a second bad rule is put aside while the first one still is", async () => {
  const world = await openLarge(`${BASE}\npools:${pool("p", 20)}`);
  await up(world, 20);
  await adoptPolicy(world, policyWith(BAD));
  for (const id of world.serving().slice(0, 8)) world.xid(id, 43);
  await pass(world, HOUR_MS);
  expect(putAside(world)).toEqual(["too-eager"]);
  const other = { ...BAD, name: "worse", condition: "event.metrics.xid_code == 13" };
  await adoptPolicy(world, policyWith(BAD, other));
  const steps = watchSteps(world);
  for (const id of world.serving().slice(0, 8)) world.xid(id, 13);
  await pass(world, HOUR_MS);
  expect(putAside(world)).toContain("worse");
  expect(steps.ends.length).toBeLessThan(4);
});

test("a rule that is edited during a true burst is not suspected for it", async () => {
  const world = await openLarge(`${BASE}\npools:${pool("p", 20)}`);
  const rule = (more: string): ReturnType<typeof policyWith> =>
    policyWith({ ...BAD, name: "ours", condition: `event.metrics.xid_code in [43${more}]` });
  world.policy = rule("");
  await adoptPolicy(world, rule(""));
  await up(world, 20);
  // The rule has been there for long.
  await world.reconciler.change((draft) => {
    for (const fact of factsOf(world.reconciler.fleet().facts, "seen")) {
      draft.putFact({ ...fact, at: 0 });
    }
  });
  for (const id of world.serving()) world.agent(id).processes = 3;
  const sick = world.serving().slice(0, 6);
  for (const id of sick) world.xid(id, 43);
  await pass(world, 2 * MINUTE_MS);
  expect(stateOf(world, "pool:p")).toBe("restrained");
  await adoptPolicy(world, rule(", 999"));
  await pass(world, 5 * MINUTE_MS);
  expect(putAside(world)).toEqual([]);
  expect(sick.map((id) => phaseOf(world, id))).not.toContain("serving");
});

test("a device off its bus counts although the rule that says so is put aside", async () => {
  const world = await openLarge(`${BASE}\npools:${pool("p", 20)}`);
  await up(world, 20);
  const key = world.policy.rules.find(({ rule }) => rule.name === "xid-reboot")?.key ?? "";
  // As after an upgrade of the product that changed this rule.
  await world.reconciler.change((draft) =>
    draft.putFact({ kind: "seen", attribute: "rule", value: key, at: world.clock.wallMs() }),
  );
  const [lost = "", ...others] = world.serving();
  for (const id of others.slice(0, 5)) world.xid(id, 151);
  await pass(world, 5 * MINUTE_MS);
  expect(putAside(world)).toEqual(["xid-reboot"]);
  world.xid(lost, 79);
  await pass(world, HOUR_MS);
  expect(phaseOf(world, lost)).not.toBe("serving");
});

test("a rule that its author made a shadow lets its breaker go", async () => {
  const world = await openLarge(`${BASE}\npools:${pool("p", 20)}`);
  await up(world, 20);
  await adoptPolicy(world, policyWith(BAD));
  for (const id of world.serving().slice(0, 8)) world.xid(id, 43);
  await pass(world, 10 * MINUTE_MS);
  await adoptPolicy(world, policyWith({ ...BAD, shadow: true }));
  await pass(world, HOUR_MS);
  expect(stateOf(world, "pool:p")).toBe("closed");
});

test("a node that a rule condemned is not ended after the rule was put aside", async () => {
  const world = await openLarge(`${BASE}\npools:${pool("p", 12)}`);
  await up(world, 12);
  await adoptPolicy(world, policyWith(BAD));
  const steps = watchSteps(world);
  const [first = "", ...others] = world.serving();
  world.agent(first).processes = 3;
  world.xid(first, 43);
  await pass(world, 30_000);
  expect(phaseOf(world, first)).toBe("draining");
  const freeze: Fact = { kind: "freeze", by: "ann", why: "what is this?", at: 0, until: null };
  await world.reconciler.change((draft) => draft.putFact(freeze));
  world.agent(first).processes = 0;
  await pass(world, MINUTE_MS);
  for (const id of others.slice(0, 6)) world.xid(id, 43);
  await pass(world, 2 * MINUTE_MS);
  expect(putAside(world)).toEqual(["too-eager"]);
  await world.reconciler.change((draft) => draft.dropFact("freeze"));
  await pass(world, 5 * MINUTE_MS);
  expect(steps.ends).toEqual([]);
});

test("surge: a node that is well before its replacement came leaves no second machine", async () => {
  const world = await fleet(2, surge(1), { store: "memory" });
  await adoptPolicy(world, policyWith({ ...BAD, hold: { forMs: 20_000 } }));
  await pass(world, 30_000);
  const [sick = ""] = world.serving();
  world.agent(sick).processes = 3;
  world.xid(sick, 43);
  await pass(world, HOUR_MS);
  expect(counts(world).live).toBe(2);
});

test("hardware that comes back again and again is not bought without end", async () => {
  const world = await fleet(2, threshold(1), { store: "memory" });
  const known = new Set(world.serving());
  const [sick = ""] = known;
  const bad = [...world.agent(sick).uuids];
  const say = world.say.bind(world);
  world.say = async (id) => {
    if (!known.has(id)) world.agent(id).uuids = [...bad];
    await say(id);
  };
  world.xid(sick, 79);
  await pass(world, HOUR_MS);
  // A rest that doubles from half a minute to a quarter of an hour is eight tries in an hour.
  expect(counts(world).asks - 2).toBeLessThanOrEqual(10);
});

test("GPUs that all tell one UUID are no lemons", async () => {
  const world = await open(`${BASE}\npools:${pool("p", 3)}`, { store: "memory" });
  const say = world.say.bind(world);
  world.say = async (id) => {
    world.agent(id).uuids = ["GPU-0", "GPU-0"];
    await say(id);
  };
  await up(world, 3);
  const [sick = ""] = world.serving();
  world.xid(sick, 79);
  await world.advance(() => phaseOf(world, sick) === "gone", 10 * MINUTE_MS);
  await up(world, 3);
  expect(world.serving()).toHaveLength(3);
});

test("a zone that falls dark does not blind the small zones beside it", async () => {
  const zones = [pool("pa", 3, "    zones: [za]\n"), pool("pb", 2, "    zones: [zb]\n")];
  const world = await openLarge(
    `${BASE}${WIDE_BUDGETS}\npools:${zones.join("")}${pool("pc", 2, "    zones: [zc]\n")}`,
  );
  await up(world, 7);
  for (const { id, instance } of world.nodes()) {
    if (instance?.zone === "za") world.agent(id).quiet = true;
  }
  await pass(world, 5 * MINUTE_MS);
  const sick = world.nodes().find(({ instance }) => instance?.zone === "zb")?.id ?? "";
  world.xid(sick, 79);
  await pass(world, HOUR_MS);
  expect(phaseOf(world, sick)).toBe("gone");
});

test("what runs at a price that nobody tells is not free under a ceiling", async () => {
  const world = await open(`${BASE}\npools:${pool("p", 10)}`, { store: "memory" });
  await up(world, 10);
  world.config.safety.spend.perHourMax = 60;
  const spendBudget = openSpendBudget(world.reconciler.fleet(), world.config, world.clock.wallMs());
  expect(
    spendBudget.take({ pool: "p", provider: "fake", price: 30, replaces: false }),
  ).not.toBeNull();
});

test("nothing is given up for a node that no ceiling would let us buy", async () => {
  const world = await open(`${BASE}\npools:${pool("p", 3)}`, { store: "memory" });
  await up(world, 3);
  world.config.safety.spend.perHourMax = 1_000;
  const [sick = ""] = world.serving();
  world.xid(sick, 48);
  await pass(world, 10 * MINUTE_MS);
  expect(phaseOf(world, sick)).toBe("suspect");
});

test("one machine whose agent is dead does not keep the fleet half-open", async () => {
  const world = await openLarge(`${BASE}${WIDE_BUDGETS}\npools:${pool("p", 12)}`);
  await up(world, 12);
  const [mute = "", ...others] = world.serving();
  for (const id of others.slice(0, 5)) world.xid(id, 48);
  await pass(world, 20 * MINUTE_MS);
  world.agent(mute).quiet = true;
  await pass(world, 4 * HOUR_MS);
  expect(stateOf(world, "fleet")).toBe("closed");
}, 60_000);

test("a place that has nothing to sell does not hold up repairs elsewhere", async () => {
  const pools = ["a", "b", "c", "d"].map((at) => pool(at, 6, `    zones: [z${at}]\n`));
  const world = await openLarge(`${BASE}\npools:${pools.join("")}`);
  await up(world, 24);
  const create = world.cloud.create.bind(world.cloud);
  world.cloud.create = async (request, fence, credential) =>
    request.zone === "za"
      ? { kind: "refused", class: "capacity", message: "sold out", retryAfterMs: null }
      : create(request, fence, credential);
  const of = (name: string): string => world.nodes().find((n) => n.pool === name)?.id ?? "";
  const sick = ["a", "b", "c", "d"].map(of);
  for (const id of sick) world.xid(id, 48);
  await pass(world, 4 * HOUR_MS);
  expect(sick.slice(1).map((id) => phaseOf(world, id))).toEqual(["gone", "gone", "gone"]);
}, 60_000);

test("a dead device is cordoned although an empty slot uses up the pool's budget", async () => {
  const world = await open(`${BASE}\npools:${pool("p", 5)}`, { store: "memory" });
  await up(world, 5);
  const [first = "", second = ""] = world.serving();
  world.cloud.create = async () => {
    return { kind: "refused", class: "capacity", message: "sold out", retryAfterMs: null };
  };
  world.xid(first, 79);
  await pass(world, 5 * MINUTE_MS);
  world.xid(second, 79);
  await pass(world, 10 * MINUTE_MS);
  expect(world.node(second).cordon.product).not.toBeNull();
});

test("a person's cordon on a sick node does not keep the next one in use", async () => {
  const world = await open(`${BASE}\npools:${pool("p", 5)}`, { store: "memory" });
  await up(world, 5);
  const [first = "", second = ""] = world.serving();
  await order(world, first, "cordon");
  world.xid(first, 79);
  await pass(world, MINUTE_MS);
  world.xid(second, 79);
  await pass(world, 10 * MINUTE_MS);
  expect(phaseOf(world, second)).toBe("gone");
});

test("four failures confirmed in one plan count as four", async () => {
  const wide = pool("p", 4).replace("threshold: 1", "threshold: 1, max_unavailable: 100%");
  const world = await open(`${BASE}${WIDE_BUDGETS}  breaker: { enabled: false }\npools:${wide}`, {
    store: "memory",
  });
  await up(world, 4);
  for (const id of world.serving()) world.xid(id, 48);
  await pass(world, 5 * MINUTE_MS);
  const [rate] = factsOf(world.reconciler.fleet().facts, "rate");
  expect(rate?.failures ?? 0).toBeGreaterThan(8.9);
});

test("a version that was here for a month is not new after a moment's absence", async () => {
  const world = await fleet(1, threshold(1), { store: "memory" });
  const { facts, nodes, ...rest } = world.reconciler.fleet();
  const now = world.clock.wallMs() + 40 * 24 * HOUR_MS;
  const seenAt = now - 31 * 24 * HOUR_MS;
  const known = new Map<string, Fact>(facts);
  known.set("seen:agent:0", { kind: "seen", attribute: "agent", value: "0", at: 0 });
  known.set("seen:agent:t", { kind: "seen", attribute: "agent", value: "t", at: seenAt });
  const empty = { ...rest, facts: known, nodes: new Map() };
  const { drop } = stepSafety(empty, world.config, world.policy, now);
  for (const key of drop) known.delete(key);
  const back = stepSafety({ ...empty, nodes }, world.config, world.policy, now + MINUTE_MS);
  expect(back.put.filter((fact) => fact.kind === "seen" && fact.value === "t")).toEqual([]);
});

test("a probability that no burst can have is refused", () => {
  const yaml = `${BASE}\nsafety: { breaker: { probability: 0 } }\npools:${pool("p", 1)}`;
  expect(() => configOf(yaml)).toThrow();
});
