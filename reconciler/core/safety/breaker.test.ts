/** The breaker of a scope, state by state: what trips it, what holds it, what lets it go. */
import { describe, expect, test } from "bun:test";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Cause, Fact, FactOf } from "../../../schema/safety.ts";
import { configOnce, poolYaml } from "../../../test/world/setting.ts";
import {
  DAY_MS,
  fleetOf,
  HOUR_MS,
  instanceOf,
  lastSessionOf,
  nodeOf,
  poolStateOf,
  sessionOf,
  sickOf,
} from "../../../test/world/part.ts";
import { stepBreakers } from "./breaker.ts";

type Breaker = FactOf<"breaker">;
const MIN = 60_000;
const NOW = 100 * DAY_MS;
const base = configOnce(poolYaml(10));
/** Ten nodes at five failures in 1,000 node-days: two in ten minutes, three in an hour. */
const breaker = {
  enabled: true,
  windowMs: 10 * MIN,
  longWindowMs: HOUR_MS,
  probability: 1e-6,
  ratePrior: 5,
  rateMin: 1,
  rateMax: 50,
};
const CONFIG = { ...base, safety: { ...base.safety, breaker } };
const OFF = { ...CONFIG, safety: { ...CONFIG.safety, breaker: { ...breaker, enabled: false } } };

/** Ten places, of which those told are sick since so many ms ago. */
const well = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => nodeOf(`w${from + i}`, { slot: from + i }));
const sick = (slot: number, agoMs: number, over: Partial<Node> = {}) =>
  sickOf(`s${slot}`, { slot, session: sessionOf({ openedAt: NOW - agoMs }), ...over });
const fleetWith = (...ago: number[]) => [
  ...ago.map((ms, i) => sick(i, ms)),
  ...well(10 - ago.length, ago.length),
];
const step = (nodes: Node[], facts: Fact[] = [], rules = ["r@v1"], now = NOW) =>
  stepBreakers(fleetOf(nodes, facts, [poolStateOf(10)]), CONFIG, now, new Set(rules));
const state = (over: Partial<Breaker> = {}): Breaker => ({
  kind: "breaker",
  scope: "pool:p",
  state: "restrained",
  since: NOW - HOUR_MS,
  trippedAt: NOW - HOUR_MS,
  why: "why",
  cause: null,
  batch: 0,
  batchAt: 0,
  passed: 0,
  looked: 0,
  ...over,
});
const causeOf = (attribute: Cause["attribute"], value: string): Cause => ({
  attribute,
  value,
  ofSessions: 1,
  ofNodes: 0.1,
});
const inPool = ({ put }: ReturnType<typeof step>) =>
  put.find((fact) => fact.kind === "breaker" && fact.scope === "pool:p");
const isTripped = (nodes: Node[], facts: Fact[] = []) => inPool(step(nodes, facts)) !== undefined;

describe("closed", () => {
  test("two sessions within ten minutes trip it, while that is not over", () => {
    expect(isTripped(fleetWith(0))).toBe(false);
    expect(isTripped(fleetWith(0, 10 * MIN - 1))).toBe(true);
    expect(isTripped(fleetWith(0, 10 * MIN))).toBe(false);
    expect(isTripped(fleetWith(3 * MIN, 10 * MIN - 1))).toBe(true);
  });

  test("three sessions within an hour do", () => {
    expect(isTripped(fleetWith(0, 20 * MIN, HOUR_MS - 1))).toBe(true);
    expect(isTripped(fleetWith(0, 20 * MIN, HOUR_MS))).toBe(false);
    // Of four, the first has aged out, and the later three are as close.
    expect(isTripped(fleetWith(0, 15 * MIN, 30 * MIN, HOUR_MS + 1))).toBe(true);
    expect(isTripped(fleetWith(10 * MIN, 30 * MIN, 55 * MIN))).toBe(true);
  });

  test("a learned rate moves what is plausible, by the size of the scope", () => {
    const burst = fleetWith(0, 9 * MIN);
    const rate = (failures: number): Fact => ({ kind: "rate", failures, nodeDays: 1_000, at: NOW });
    expect(isTripped(burst, [rate(5)])).toBe(true);
    expect(isTripped(burst, [rate(40)])).toBe(false);
    const large = { ...CONFIG, pools: configOnce(poolYaml(1_000)).pools };
    const inLarge = stepBreakers(fleetOf(burst), large, NOW, new Set());
    expect(inPool(inLarge)).toBeUndefined();
  });

  test("what it stores and tells", () => {
    const { put, drop, events, pools } = step(fleetWith(0, MIN));
    const why = RESTRAINED_WHY;
    expect(put[1]).toEqual(state({ since: NOW, trippedAt: NOW, why, looked: 2 }));
    expect(put.map((fact) => fact.kind === "breaker" && fact.scope)).toEqual([
      "fleet",
      "pool:p",
      "domain:provider:fake",
    ]);
    expect([drop, pools]).toEqual([[], []]);
    const told = { at: NOW, kind: "safety.breaker", node: null, session: null, actor: "navarch" };
    const { pool, ...rest } = events[1] ?? { pool: null };
    expect<unknown>(rest).toEqual({
      ...told,
      message: `breaker of pool:p is restrained: ${why}`,
    });
    expect(pool).toBe("p" as PoolName);
    expect(events.map((event) => event.pool)).toEqual([null, "p" as PoolName, null]);
  });

  test("a common cause opens it", () => {
    const place = { instance: instanceOf({ zone: "z" }) };
    const nodes = [0, 1, 2].map((slot) => sick(slot, slot * MIN, place));
    const found = inPool(step([...nodes, ...well(7, 3)]));
    expect(found).toMatchObject({
      state: "open",
      why:
        "3 repair sessions among 10 nodes in an hour share zone fake/z (100 % of the burst): " +
        "its nodes wait until it ends, at most 1h",
      cause: { attribute: "zone", value: "fake/z", ofSessions: 1, ofNodes: 0.3 },
    });
  });

  test("a closed session counts as an open one does, unless it was no fault", () => {
    const past = (slot: number, how: string) =>
      nodeOf(`c${slot}`, { slot, lastSession: lastSessionOf(NOW - MIN, how) });
    const two = (how: string) => [past(0, how), past(1, how), ...well(8, 2)];
    expect(isTripped(two("recovered"))).toBe(true);
    expect(isTripped(two("quarantined"))).toBe(false);
    expect(isTripped(two("lost"))).toBe(false);
    const both = sick(0, 0, { lastSession: lastSessionOf(NOW - MIN, "recovered") });
    expect(isTripped([both, ...well(9, 1)])).toBe(true);
  });

  test("counts a session of exactly an hour ago, and none before", () => {
    const count = (ago: number) => {
      const found = inPool(step(fleetWith(0, MIN, ago)));
      return found?.kind === "breaker" ? found.looked : null;
    };
    expect(count(HOUR_MS)).toBe(3);
    expect(count(HOUR_MS + 1)).toBe(2);
  });

  test("a pool that nobody configured has none", () => {
    const stray = fleetWith(0, MIN).map((node) => ({ ...node, pool: "x" as PoolName }));
    expect(step(stray).put.map((fact) => fact.kind === "breaker" && fact.scope)).toEqual([
      "fleet",
      "domain:provider:fake",
    ]);
    expect(step([], [state({ scope: "pool:x" })]).drop).toEqual(["breaker:pool:x"]);
  });

  test("switched off, it forgets what it knew", () => {
    const fleet = fleetOf(fleetWith(0, MIN), [state()], [poolStateOf(10)]);
    expect(stepBreakers(fleet, OFF, NOW, new Set())).toEqual({
      put: [],
      drop: ["breaker:pool:p"],
      pools: [],
      events: [],
    });
  });

  test("a fleet without sessions is not looked at", () => {
    expect(step(well(10))).toEqual({ put: [], drop: [], pools: [], events: [] });
  });

  test("a place taken by a node that has no instance yet belongs to where its predecessor was", () => {
    const place = { instance: instanceOf({ zone: "z" }) };
    const old = nodeOf("old", { ...place, phase: { kind: "gone", since: 0, purpose: "replace" } });
    const next = nodeOf("next", {
      gen: 1,
      instance: null,
      replaces: old.id,
      phase: { kind: "requested", since: 0, attempt: 1, notBefore: 0, refusal: null },
    });
    const half = state({
      scope: "domain:zone:fake/z",
      state: "half-open",
      batch: 1,
      batchAt: NOW - HOUR_MS,
    });
    // It holds a place there, so the batch goes on; alone, the batch would be over.
    expect(step([old, next], [half]).drop).toEqual([]);
    expect(step([old], [half]).drop).toEqual(["breaker:domain:zone:fake/z"]);
  });
});

const RESTRAINED_WHY =
  "2 repair sessions among 10 nodes in an hour are more than hardware does: " +
  "one repair at a time until the rate is normal for 20m";
const HALF_WHY = "arrivals are plausible again: repairs go on in growing batches";
const half = { state: "half-open", since: NOW, why: HALF_WHY, batch: 1, batchAt: NOW } as const;

describe("restrained", () => {
  test.each([
    [20 * MIN - 1, false],
    [20 * MIN, true],
  ])("goes half-open two windows after it tripped: %d ms, %p", (ago, opens) => {
    const before = state({ trippedAt: NOW - ago, looked: 3, passed: 1 });
    expect(step(well(10), [before]).put).toEqual(opens ? [{ ...before, ...half, passed: 0 }] : []);
  });

  test("counts from the end of the last implausible window", () => {
    // Two sessions a minute apart: implausible until ten minutes after the first of them.
    const calm = (ago: number) => inPool(step(fleetWith(ago - MIN, ago), [state({ looked: 2 })]));
    expect(calm(30 * MIN - 1)).toBeUndefined();
    expect(calm(30 * MIN)).toMatchObject(half);
  });

  test("tells that it goes half-open, once", () => {
    const { events } = step(well(10), [state({ trippedAt: NOW - HOUR_MS })]);
    expect(events.map((event) => event.message)).toEqual([
      `breaker of pool:p is half-open: ${HALF_WHY}`,
    ]);
  });

  test("looks for a cause once for each new arrival", () => {
    const burst = fleetWith(0, MIN);
    expect(inPool(step(burst, [state({ looked: 2 })]))).toBeUndefined();
    const looked = step(burst, [state({ looked: 1 })]);
    expect(inPool(looked)).toEqual(state({ looked: 2 }));
    expect(looked.events.filter((event) => event.pool !== null)).toEqual([]);
    const place = { instance: instanceOf({ zone: "z" }) };
    const zone = [0, 1, 2].map((slot) => sick(slot, slot * MIN, place));
    expect(inPool(step([...zone, ...well(7, 3)], [state({ looked: 2 })]))).toMatchObject({
      state: "open",
      since: NOW,
      trippedAt: NOW - HOUR_MS,
      looked: 3,
      cause: { attribute: "zone" },
    });
  });
});

describe("open", () => {
  const ZONE = causeOf("zone", "fake/z");
  const open = (cause: Cause | null, over: Partial<Breaker> = {}) =>
    state({ state: "open", cause, since: NOW - HOUR_MS + 1, looked: 1, ...over });
  const inZone = (count: number, ill: number, agoMs = 2 * HOUR_MS) =>
    Array.from({ length: count }, (_, slot) => {
      const place = { slot, instance: instanceOf({ zone: "z" }) };
      return slot < ill ? sick(slot, agoMs, place) : nodeOf(`z${slot}`, place);
    });

  test("a place is back when a fifth of it or less is still sick", () => {
    expect(inPool(step(inZone(5, 2), [open(ZONE, { looked: 2 })]))).toBeUndefined();
    expect(inPool(step(inZone(5, 1), [open(ZONE)]))).toMatchObject({ ...half, cause: null });
    expect(inPool(step(inZone(5, 0), [open(ZONE)]))).toMatchObject(half);
    // Those who are gone are neither sick nor there.
    const gone = inZone(5, 2).map((node) =>
      node.session === null
        ? node
        : { ...node, phase: { kind: "gone", since: 0, purpose: "replace" } as const },
    );
    expect(inPool(step(gone, [open(ZONE, { looked: 2 })]))).toMatchObject(half);
  });

  test("a place that stays sick holds its nodes back for an hour", () => {
    const after = (ms: number) =>
      inPool(step(inZone(5, 5), [open(ZONE, { since: NOW - ms, looked: 5 })]));
    expect(after(HOUR_MS - 1)).toBeUndefined();
    expect(after(HOUR_MS)).toMatchObject(half);
  });

  test("withdrawn while arrivals are implausible, it is restrained", () => {
    const nodes = [...inZone(10, 0).slice(2), sick(0, 0), sick(1, MIN)];
    expect(inPool(step(nodes, [open(ZONE, { looked: 2 })]))).toMatchObject({
      state: "restrained",
      since: NOW,
      cause: null,
      why: RESTRAINED_WHY,
    });
  });

  const RULE = causeOf("rule", "r@v1");
  const four = [0, 1, 2, 3].map((slot) => sick(slot, 2 * HOUR_MS));
  const nodes = [...four, ...well(6, 4)];
  const quarantine: Fact = { kind: "quarantine", rule: "r@v1", at: 0, why: "" };
  const ruled = (facts: Fact[], rules = ["r@v1"], over: Partial<Breaker> = {}, all = nodes) =>
    inPool(step(all, [open(RULE, { looked: 4, ...over }), ...facts], rules));

  test("a rule is withdrawn when it is no more, or is trusted", () => {
    expect(ruled([])).toBeUndefined();
    expect(ruled([], ["r@v2"])).toMatchObject(half);
    expect(ruled([{ kind: "trusted", rule: "r@v1", by: "ann", at: 0, why: "" }])).toMatchObject(
      half,
    );
  });

  test("a rule that is put aside is withdrawn when nobody is sick of it, or after an hour", () => {
    expect(ruled([quarantine])).toBeUndefined();
    expect(ruled([quarantine], ["r@v1"], { since: NOW - HOUR_MS })).toMatchObject(half);
    expect(ruled([], ["r@v1"], { since: NOW - HOUR_MS })).toBeUndefined();
    expect(ruled([], ["r@v1"], {}, well(10))).toBeUndefined();
    expect(ruled([quarantine], ["r@v1"], {}, well(10))).toMatchObject(half);
  });

  test("without a cause it is not open for long", () => {
    expect(inPool(step(nodes, [open(null, { looked: 4 })]))).toMatchObject(half);
  });

  test("what the cause does not explain is looked at for another", () => {
    const later = [5, 6, 7].map((slot) =>
      sick(slot, (slot - 5) * MIN, { instance: instanceOf({ zone: "y" }) }),
    );
    const place = inZone(4, 4, 30 * MIN);
    const all = [...place, ...later, ...well(3, 8)];
    expect(inPool(step(all, [open(ZONE, { looked: 6 })]))).toMatchObject({
      state: "open",
      since: NOW,
      looked: 7,
      cause: { attribute: "zone", value: "fake/y" },
    });
    expect(inPool(step(all, [open(ZONE, { looked: 7 })]))).toBeUndefined();
    const same = [...inZone(8, 8, 0), ...well(2, 8)];
    expect(inPool(step(same, [open(ZONE, { looked: 7 })]))).toMatchObject({
      since: NOW - HOUR_MS + 1,
      looked: 8,
      cause: ZONE,
    });
  });

  test("a rule that a person trusts, or that was always here, is no cause", () => {
    const seen = (at: number): Fact => ({ kind: "seen", attribute: "rule", value: "r@v1", at });
    const burst = [...[0, 1, 2, 3].map((slot) => sick(slot, slot * MIN)), ...well(6, 4)];
    const causeWith = (...facts: Fact[]) => {
      const found = inPool(step(burst, facts));
      return found?.kind === "breaker" ? found.cause?.value : undefined;
    };
    expect(causeWith(seen(NOW - HOUR_MS))).toBe("r@v1");
    expect(causeWith(seen(0))).toBeUndefined();
    expect(causeWith()).toBeUndefined();
    const trusted: Fact = { kind: "trusted", rule: "r@v1", by: "ann", at: 0, why: "" };
    expect(causeWith(seen(NOW - HOUR_MS), trusted)).toBeUndefined();
    const agents: Fact = { kind: "seen", attribute: "agent", value: "1.0.0", at: NOW - HOUR_MS };
    expect(causeWith(agents, { ...trusted, rule: "1.0.0" })).toBe("1.0.0");
  });
});

describe("half-open", () => {
  const before = (over: Partial<Breaker> = {}) =>
    state({ state: "half-open", since: NOW - HOUR_MS, batch: 2, batchAt: NOW - 5 * MIN, ...over });
  const due = sick(0, 5 * HOUR_MS);
  const verified = (over: Partial<Node> = {}) =>
    nodeOf("v", {
      slot: 5,
      replaces: "old" as NodeId,
      phase: { kind: "serving", since: NOW - 5 * MIN },
      ...over,
    });
  const after = (nodes: Node[], over: Partial<Breaker> = {}) => {
    const done = step(nodes, [before(over)]);
    if (done.drop.includes("breaker:pool:p")) return "closed";
    return inPool(done) ?? "same";
  };

  test("a new burst trips it again, an old one does not", () => {
    const burst = [...fleetWith(0, MIN)];
    expect(after(burst)).toMatchObject({
      state: "restrained",
      since: NOW,
      trippedAt: NOW,
      batch: 0,
    });
    expect(after(burst, { since: NOW })).toBe("same");
    expect(after(burst, { since: NOW - 1 })).toMatchObject({ state: "restrained" });
  });

  test("a batch is judged after five minutes", () => {
    expect(after([due, verified()], { batchAt: NOW - 5 * MIN })).toMatchObject({ batch: 4 });
    expect(after([due, verified()], { batchAt: NOW - 5 * MIN + 1 })).toBe("same");
    expect(after([], { batchAt: NOW - 5 * MIN + 1 })).toBe("same");
  });

  test("it closes, and says so, when nothing is left to try", () => {
    expect(after(well(10))).toBe("closed");
    expect(after([due])).toBe("same");
    expect(
      after([
        nodeOf("r", { phase: { kind: "repairing", since: 0, rung: "reboot", bootId: null } }),
      ]),
    ).toBe("same");
    expect(step(well(10), [before()]).events.map((event) => event.message)).toEqual([
      "breaker of pool:p is closed: repairs go on as usual",
    ]);
  });

  test("a batch that passed doubles the next, and the second one closes", () => {
    expect(after([due, verified()])).toEqual(before({ batch: 4, batchAt: NOW, passed: 1 }));
    expect(after([due, verified()], { passed: 1 })).toBe("closed");
    expect(after([due, verified()], { batch: 40 })).toMatchObject({ batch: 64 });
    expect(after([due])).toBe("same");
  });

  test.each<[string, Partial<Node>, boolean]>([
    ["the replacement of another, since the batch began", {}, true],
    ["one that served before", { phase: { kind: "serving", since: NOW - 5 * MIN - 1 } }, false],
    ["one that does not serve", { phase: { kind: "verifying", since: NOW } }, false],
    ["one that replaced nobody", { replaces: null }, false],
    [
      "one that was rebooted",
      { replaces: null, rebootedAt: 7, lastSession: lastSessionOf(7, "recovered") },
      true,
    ],
    [
      "one that was rebooted in an earlier repair",
      { replaces: null, rebootedAt: 6, lastSession: lastSessionOf(7, "recovered") },
      false,
    ],
    [
      "one that got well by itself",
      { replaces: null, lastSession: lastSessionOf(7, "recovered") },
      false,
    ],
    [
      "one whose repair ended otherwise",
      { replaces: null, rebootedAt: 7, lastSession: lastSessionOf(7, "cancelled") },
      false,
    ],
    ["one without a repair", { replaces: null, rebootedAt: 7, lastSession: null }, false],
  ])("what proves a batch: %s", (_, over, passes) => {
    const found = after([due, verified(over)]);
    if (passes) expect(found).toMatchObject({ passed: 1 });
    else expect(found).toBe("same");
  });

  const person = { by: "ann", why: "", at: 0 };
  const order = {
    goal: "replace",
    by: "ann",
    why: "",
    force: false,
    at: 0,
    timeoutMs: null,
  } as const;
  test.each<[string, Partial<Node>, boolean]>([
    ["sick", {}, true],
    ["on its way out", { phase: { kind: "serving", since: 0 } }, false],
    ["held by a person", { cordon: { product: null, human: person } }, false],
    ["held and ordered by a person", { cordon: { product: null, human: person }, order }, true],
    ["in no pool that is configured", { pool: "x" as PoolName }, false],
  ])("a node that is %s waits for the breaker: %#", (_, over, waits) => {
    const scope = { scope: "fleet" };
    const done = step([sick(0, 5 * HOUR_MS, over)], [before(scope)]);
    expect(done.drop.includes("breaker:fleet")).toBe(!waits);
  });

  test("one that is only silent, or whose pool replaces nobody, waits for nothing", () => {
    const silent = { ...due, health: { ...due.health, verdict: "healthy" as const } };
    expect(after([silent])).toBe("closed");
    const [pool] = CONFIG.pools;
    if (pool === undefined) throw new Error("no pool");
    const still = {
      ...CONFIG,
      pools: [{ ...pool, health: { ...pool.health, autoReplace: false } }],
    };
    const fleet = fleetOf([due], [before()], [poolStateOf(10)]);
    expect(stepBreakers(fleet, still, NOW, new Set()).drop).toEqual(["breaker:pool:p"]);
  });
});
