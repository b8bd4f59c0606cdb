/** What a look at the safety machinery remembers, forgets and tells. */
import { describe, expect, test } from "bun:test";
import type { CompiledPolicy } from "../../../health/policy/compile.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import { configOnce, policyOnce, poolYaml } from "../../../test/world/setting.ts";
import {
  agentOf,
  DAY_MS,
  fleetOf,
  heldOf,
  HOUR_MS,
  instanceOf,
  nodeOf,
  poolStateOf,
  sessionOf,
  sickOf,
} from "../../../test/world/part.ts";
import { QUARANTINED_MAX } from "./quarantined-hardware.ts";
import { discreditedIn, frozenBy, quarantineOf, stepSafety } from "./step.ts";

const MIN = 60_000;
const NOW = 100 * DAY_MS;
const CONFIG = configOnce(poolYaml(10));
const [some] = policyOnce().rules;
if (some === undefined) throw new Error("no rule");
const ruled = (...keys: string[]): CompiledPolicy => ({
  ...policyOnce(),
  rules: keys.map((key) => ({
    ...some,
    key: key.replace("shadow:", ""),
    rule: { ...some.rule, shadow: key.startsWith("shadow:") },
  })),
});
type Done = ReturnType<typeof stepSafety>;
const look = (nodes: Node[], facts: Fact[] = [], rules = ruled("r@v1"), config = CONFIG): Done =>
  stepSafety(fleetOf(nodes, facts, [poolStateOf(10)]), config, rules, NOW);
const seen = (attribute: "rule" | "agent" | "driver", value: string, at = 0): Fact => ({
  kind: "seen",
  attribute,
  value,
  at,
});
const KNOWN = seen("rule", "r@v1");
const told = ({ events }: Done) =>
  events.map(({ kind, node, pool, message }) => [kind, node ?? pool, message] as const);
const quiet = { put: [], drop: [], pools: [], events: [] };

describe("what is new in the fleet", () => {
  const nodes = [
    nodeOf("a", { agent: agentOf({ driver_version: "550" }, "1") }),
    nodeOf("b", { agent: agentOf({}, "2") }),
    nodeOf("c", { agent: null }),
  ];

  test("is what was always there, at the first look", () => {
    expect(look(nodes).put).toEqual([
      KNOWN,
      seen("agent", "1"),
      seen("agent", "2"),
      seen("driver", "550"),
    ]);
    expect(look([]).put).toEqual([KNOWN]);
  });

  test("is told with its time later, once", () => {
    const before = [seen("rule", "r@v0"), seen("agent", "1"), seen("driver", "535")];
    const fresh = [seen("rule", "r@v1", NOW), seen("agent", "2", NOW), seen("driver", "550", NOW)];
    expect(look(nodes, before).put).toEqual(fresh);
    expect(look(nodes, [...before, ...fresh])).toEqual(quiet);
    // One kind that was never seen says nothing about the others.
    expect(look(nodes, [seen("agent", "1")]).put).toEqual([
      KNOWN,
      seen("agent", "2", NOW),
      seen("driver", "550"),
    ]);
  });

  test.each([
    [HOUR_MS - 1, 0],
    [HOUR_MS, NOW],
  ])("in a fleet %d ms old an agent is told as seen at %d", (age, at) => {
    const young = nodes.map((node) => ({ ...node, createdAt: NOW - age }));
    const before = [seen("rule", "r@v0"), seen("agent", "1"), seen("driver", "535")];
    expect(look(young, before).put).toEqual([
      seen("rule", "r@v1", NOW),
      seen("agent", "2", at),
      seen("driver", "550", at),
    ]);
    // Its oldest node tells how old it is.
    const [one, ...rest] = young;
    if (one === undefined) throw new Error("no node");
    expect(look([{ ...one, createdAt: 0 }, ...rest], before).put[1]).toEqual(
      seen("agent", "2", NOW),
    );
  });

  test("does not hold a rule that is a shadow", () => {
    expect(look([], [], ruled("shadow:s@1", "r@v1")).put).toEqual([KNOWN]);
  });

  test("is forgotten beyond five hundred, the oldest that is gone first", () => {
    const past = (count: number) =>
      Array.from({ length: count }, (_, i) => seen("driver", `d${i}`, count - i));
    const with550 = [nodes[0] ?? nodeOf("a")];
    const known = [KNOWN, seen("agent", "1")];
    expect(look(with550, [...known, seen("driver", "550"), ...past(499)]).drop).toEqual([]);
    expect(look(with550, [...known, seen("driver", "550"), ...past(501)]).drop).toEqual([
      "seen:driver:d500",
      "seen:driver:d499",
    ]);
  });
});

const open = (attribute: "rule" | "agent" | "zone", value: string, over = {}): Fact => ({
  kind: "breaker",
  scope: "pool:p",
  state: "open",
  since: NOW,
  trippedAt: NOW,
  why: "a burst",
  cause: { attribute, value, ofSessions: 1, ofNodes: 1 },
  batch: 0,
  batchAt: 0,
  passed: 0,
  looked: 0,
  ...over,
});
const ill = (count: number, over: Partial<Node> = {}) =>
  Array.from({ length: count }, (_, slot) =>
    sickOf(`s${slot}`, { slot, session: sessionOf({ openedAt: NOW - 2 * HOUR_MS }), ...over }),
  );
const KNOWN_ALL = [KNOWN, seen("agent", "1.0.0")];
const quarantine: Fact = { kind: "quarantine", rule: "r@v1", at: NOW, why: "a burst" };
const trusted: Fact = { kind: "trusted", rule: "r@v1", by: "ann", at: 0, why: "" };

describe("a rule that a burst is traced to", () => {
  test("is put aside, once", () => {
    const done = look(ill(4), [...KNOWN_ALL, open("rule", "r@v1")]);
    expect(done.put).toEqual([quarantine]);
    const message = "rule r@v1 is suspended, its verdicts do not count: a burst";
    expect(told(done)).toEqual([["safety.quarantine", null, message]]);
    const again = [...KNOWN_ALL, open("rule", "r@v1"), { ...quarantine, at: 1 }];
    expect(look(ill(4), again)).toEqual(quiet);
  });

  test("is not, if a person trusts it, or nothing is open", () => {
    const trust = look(ill(4), [...KNOWN_ALL, open("rule", "r@v1"), trusted]);
    expect(trust.put.map(({ kind }) => kind)).toEqual(["breaker"]);
    const looked = { state: "restrained", trippedAt: NOW };
    expect(look(ill(4), [...KNOWN_ALL, open("rule", "r@v1", looked)])).toEqual(quiet);
    expect(
      look(ill(4), [...KNOWN_ALL, open("zone", "fake/z")]).put.map(({ kind }) => kind),
    ).toEqual(["breaker"]);
  });

  test("is put aside in the look in which the burst is seen", () => {
    const burst = [0, 1, 2, 3].map((slot) =>
      sickOf(`s${slot}`, { slot, session: sessionOf({ openedAt: NOW - slot }) }),
    );
    const done = look(burst, [seen("rule", "r@v1", NOW - HOUR_MS), seen("agent", "1.0.0")]);
    expect(done.put.map(({ kind }) => kind)).toEqual([
      "breaker",
      "breaker",
      "breaker",
      "quarantine",
    ]);
    // Also where it is new in this very look.
    const fresh = [seen("rule", "r@v0"), seen("agent", "1.0.0")];
    const now = burst.map((node) => ({ ...node, session: sessionOf({ openedAt: NOW }) }));
    expect(look(now, fresh).put.map(({ kind }) => kind)).toEqual([
      "seen",
      "breaker",
      "breaker",
      "breaker",
      "quarantine",
    ]);
  });

  test("counts again when it is trusted, or the breaker is switched off", () => {
    const again = look([], [...KNOWN_ALL, quarantine, trusted]);
    expect(again.drop).toEqual(["quarantine:r@v1"]);
    const message = "rule r@v1 counts again: it is not suspended";
    expect(told(again)).toEqual([["safety.quarantine", null, message]]);
    const { safety } = CONFIG;
    const off = {
      ...CONFIG,
      safety: { ...safety, breaker: { ...safety.breaker, enabled: false } },
    };
    expect(look([], [...KNOWN_ALL, quarantine], ruled("r@v1"), off).drop).toEqual([
      "quarantine:r@v1",
    ]);
    expect(look([], [...KNOWN_ALL, quarantine])).toEqual(quiet);
  });

  test("is forgotten when the policy has it no more", () => {
    const done = look([], [seen("rule", "r@v2"), quarantine], ruled("r@v2"));
    expect(done.drop).toEqual(["quarantine:r@v1"]);
    const message = "rule r@v1 does not count in the policy any more: it is not suspended";
    expect(told(done)).toEqual([["safety.quarantine", null, message]]);
  });
});

describe("an agent's release that a burst is traced to", () => {
  const discredited: Fact = { kind: "discredited", agent: "1.0.0", at: NOW, why: "a burst" };

  test("is discredited, once", () => {
    const done = look(ill(4), [...KNOWN_ALL, open("agent", "1.0.0")]);
    expect(done.put).toEqual([discredited]);
    expect(done.events).toEqual([]);
    expect(look(ill(4), [...KNOWN_ALL, open("agent", "1.0.0"), discredited])).toEqual(quiet);
    const calm = { state: "restrained", trippedAt: NOW };
    expect(look(ill(4), [...KNOWN_ALL, open("agent", "1.0.0", calm)])).toEqual(quiet);
    expect(
      look(ill(4), [...KNOWN_ALL, open("zone", "1.0.0", { since: NOW })]).put.map(
        ({ kind }) => kind,
      ),
    ).toEqual(["breaker"]);
  });

  test("stays so while a node runs it, or what it said is held", () => {
    const dropped = (nodes: Node[]) => look(nodes, [...KNOWN_ALL, discredited]).drop;
    expect(dropped([])).toEqual(["discredited:1.0.0"]);
    expect(dropped([nodeOf("a")])).toEqual([]);
    const gone = { kind: "gone", since: 0, purpose: "replace" } as const;
    expect(dropped([nodeOf("a", { phase: gone })])).toEqual(["discredited:1.0.0"]);
    const word = (agent: string) => [sickOf("b", { agent: null }, [heldOf({}, {}, { agent })])];
    expect(dropped(word("1.0.0"))).toEqual([]);
    expect(dropped(word("0.9.0"))).toEqual(["discredited:1.0.0"]);
  });
});

describe("what a person stopped", () => {
  const freeze = (until: number | null): Fact => ({
    kind: "freeze",
    by: "ann",
    why: "move",
    at: 0,
    until,
  });

  test.each([
    [null, false],
    [NOW + 1, false],
    [NOW, true],
    [NOW - 1, true],
  ])("a freeze until %p is over: %p", (until, over) => {
    const done = look([], [...KNOWN_ALL, freeze(until)]);
    expect(done.drop).toEqual(over ? ["freeze"] : []);
    const message = "the freeze by ann ran out: move";
    expect(told(done)).toEqual(over ? [["safety.released", null, message]] : []);
    const { facts } = fleetOf([], [freeze(until)]);
    expect(frozenBy(facts, NOW)).toBe(over ? null : "move (ann)");
  });

  test.each([
    [NOW + 1, false],
    [NOW, true],
  ])("a hold of a pool until %p is over: %p", (until, over) => {
    const state = poolStateOf(10, { hold: { by: "ann", why: "test", until } });
    const done = stepSafety(fleetOf([], KNOWN_ALL, [state]), CONFIG, ruled("r@v1"), NOW);
    expect(done.pools).toEqual(over ? [{ ...state, hold: null }] : []);
    const message = "the hold by ann ran out: test";
    expect(told(done)).toEqual(over ? [["safety.released", state.name, message]] : []);
    expect(done.events.every(({ at, actor }) => at === NOW && actor === "navarch")).toBe(true);
  });

  test("frozenBy() is null where nobody froze anything", () => {
    expect(frozenBy(new Map(), NOW)).toBeNull();
  });
});

describe("an instance that is billed after its end was due", () => {
  const ending = (agoMs: number, over: Partial<Node> = {}) =>
    nodeOf("n", {
      phase: {
        kind: "terminating",
        since: NOW - agoMs,
        purpose: "replace",
        accepted: null,
        notBefore: 0,
      },
      instance: instanceOf({ id: "i-7" as InstanceId, pricePerHour: 30 }),
      ...over,
    });
  const billed: Fact = { kind: "billed", instance: "fake/i-7", at: NOW };

  test("is told after half an hour, once", () => {
    expect(look([ending(30 * MIN - 1)], KNOWN_ALL)).toEqual(quiet);
    const done = look([ending(30 * MIN)], KNOWN_ALL);
    expect(done.put).toEqual([billed]);
    const message = "instance fake/i-7 is still billed at $30/h, 30 min after its end was due";
    expect(told(done)).toEqual([["provider.error", nodeOf("n").id, message]]);
    expect(look([ending(9 * HOUR_MS)], [...KNOWN_ALL, billed])).toEqual(quiet);
  });

  test("without a price says no price, and minutes to the nearest", () => {
    const free = ending(31.4 * MIN, { instance: instanceOf({ pricePerHour: null }) });
    expect(look([free], KNOWN_ALL).events[0]?.message).toBe(
      "instance fake/i-1 is still billed, 31 min after its end was due",
    );
  });

  test("is nobody's business once it is gone", () => {
    expect(look([], [...KNOWN_ALL, billed]).drop).toEqual(["billed:fake/i-7"]);
    expect(look([ending(9 * HOUR_MS, { instance: null })], KNOWN_ALL).put).toEqual([]);
    const serving = ending(0, { phase: { kind: "serving", since: 0 } });
    expect(look([serving], KNOWN_ALL).put).toEqual([]);
  });
});

test("lemons beyond their bound are forgotten", () => {
  const lemon = (i: number): Fact => ({
    kind: "lemon",
    uuid: `u${i}`,
    serial: null,
    sessions: 1,
    firstAt: 0,
    lastAt: i,
    because: "",
    nodes: [],
    instances: [],
    provider: "",
    place: "",
    refused: 0,
  });
  const facts = [KNOWN, ...Array.from({ length: QUARANTINED_MAX + 1 }, (_, i) => lemon(i))];
  expect(look([], facts).drop).toEqual(["lemon:u0"]);
});

test("quarantineOf() and discreditedIn() are the names in force", () => {
  const other: Fact = { kind: "discredited", agent: "1.0", at: 0, why: "" };
  const { facts } = fleetOf([], [quarantine, other, trusted]);
  expect([...quarantineOf(facts)]).toEqual(["r@v1"]);
  expect([...discreditedIn(facts)]).toEqual(["1.0"]);
});
