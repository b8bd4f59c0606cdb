/** What may be done at once in each scope, and what a breaker leaves of it. */
import { describe, expect, test } from "bun:test";
import type { PoolName } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import type { Cause, FactOf } from "../../../schema/safety.ts";
import { configOf } from "../../../test/world/setting.ts";
import {
  agentOf,
  fleetOf,
  heldOf,
  instanceOf,
  nodeOf,
  sickOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { openBudgets, type Refusal, type Rung, shareOf } from "./budget.ts";
import { sayWait } from "../say/wait.ts";

const said = (refusal: Refusal | null): string => (refusal === null ? "" : sayWait(refusal.why));

const NOW = 10 * 3_600_000;
const repairing: Phase = { kind: "repairing", since: 0, rung: "reboot", bootId: null };
const fallen = [heldOf({ definitive: true }, { code: 79 })];
const proven = [heldOf({ definitive: true })];

/** Everything is roomy except what a test says. */
const configWith = (size: number, limits: Partial<Record<string, string>> = {}, more = "") => {
  const one = (name: string) =>
    `    ${name}: ${limits[name] ?? "{ pool: 50, domain: 50, fleet: 50 }"}`;
  const rows = ["isolate", "drain", "reboot", "replace"].map(one).join("\n");
  return configOf(`
providers: { fake: {} }
pools:
  - { name: p, provider: fake, instance_type: t, min_nodes: ${size}, max_nodes: 200 }
${more}
safety:
  budgets:
${rows}
`);
};
const at = (slot: number, over: Partial<Node> = {}): Node =>
  nodeOf(`n${slot}`, { slot, instance: instanceOf({ zone: "z" }), ...over });
const sickAt = (slot: number, over: Partial<Node> = {}, held = [heldOf()]): Node =>
  sickOf(`n${slot}`, { slot, instance: instanceOf({ zone: "z" }), ...over }, held);
const why = (
  fleet: ReturnType<typeof fleetOf>,
  config: ReturnType<typeof configWith>,
  node: Node,
  rung: Rung,
) => {
  const refusal = openBudgets(fleet, config, NOW).refusal(node, rung);
  return refusal === null ? null : sayWait(refusal.why);
};

test.each([
  ["10 % of 25", { kind: "percent", percent: 10 }, 25, 2],
  ["10 % of 29", { kind: "percent", percent: 10 }, 29, 2],
  ["10 % of 30", { kind: "percent", percent: 10 }, 30, 3],
  ["a part of one", { kind: "percent", percent: 10 }, 1, 1],
  ["nothing of none", { kind: "percent", percent: 50 }, 0, 1],
  ["a number", { kind: "nodes", nodes: 3 }, 1, 3],
  ["none at all", { kind: "nodes", nodes: 0 }, 100, 0],
] as const)("shareOf() %s", (_, share, desired, expected) => {
  expect(shareOf(share, desired)).toBe(expected);
});

describe("isolation", () => {
  const rest = (column: string) =>
    ["pool", "domain", "fleet"].flatMap((one) => (one === column ? [] : `${one}: 50`)).join(", ");
  const two = (column: string) =>
    configWith(10, { isolate: `{ ${rest(column)}, ${column}: 2, window: 1h }` });
  const cordoned = (slot: number) => at(slot, { isolatedAt: NOW - 1 });

  test.each([
    ["pool", "pool:p"],
    ["fleet", "fleet"],
    ["domain", "domain:provider:fake"],
  ])("is limited by what was cordoned lately in the %s", (column, scope) => {
    const config = two(column).safety.budgets.isolate[column as "pool"];
    expect(config).toEqual({ kind: "nodes", nodes: 2 });
    const fleet = (count: number) =>
      fleetOf([sickAt(9), ...Array.from({ length: count }, (_, i) => cordoned(i))]);
    expect(why(fleet(1), two(column), sickAt(9), "isolate")).toBeNull();
    expect(openBudgets(fleet(2), two(column), NOW).refusal(sickAt(9), "isolate")).toEqual({
      kind: "budget",
      why: { code: "cordons_spent", scope, used: 2, max: 2 },
    });
  });

  test("goes on in the room of a slot that has it, and for evident faults always", () => {
    const fleet = fleetOf([cordoned(0), cordoned(1)]);
    expect(why(fleet, two("pool"), sickAt(1), "isolate")).toBeNull();
    expect(why(fleet, two("pool"), sickAt(5, {}, fallen), "isolate")).toBeNull();
    expect(why(fleet, two("pool"), sickAt(5, {}, proven), "isolate")).toContain("2 of at most 2");
  });

  test("spends the room in every scope of the node", () => {
    const budgets = openBudgets(fleetOf([]), two("fleet"), NOW);
    budgets.spend(sickAt(0), "isolate");
    budgets.spend(sickAt(0), "isolate");
    expect(budgets.refusal(sickAt(1), "isolate")).toBeNull();
    budgets.spend(sickAt(1), "isolate");
    expect(said(budgets.refusal(sickAt(2), "isolate"))).toContain("fleet: 2 of at most 2");
    expect(budgets.refusal(sickAt(2), "replace")).toBeNull();
  });
});

describe("reboot and replacement", () => {
  const full = "{ pool: 50, domain: 50, fleet: 50 }";
  const one = "{ pool: 1, domain: 50, fleet: 50 }";

  test.each([
    ["reboot", "reboot", "pool:p"],
    ["replace", "replace", "pool:p"],
    ["drain", "reboot", "pool:p"],
    ["drain", "replace", "pool:p"],
  ] as const)("the limit of %s holds back a %s", (limit, rung, scope) => {
    const config = configWith(10, { [limit]: one });
    const out = fleetOf([at(0, { phase: repairing })]);
    expect(openBudgets(out, config, NOW).refusal(sickAt(1), rung)).toEqual({
      kind: "budget",
      why: { code: "repairs_spent", scope, used: 1, max: 1 },
    });
    expect(why(out, config, sickAt(0), rung)).toBeNull();
    expect(why(fleetOf([]), config, sickAt(1), rung)).toBeNull();
  });

  test("the limit of the other rung does not", () => {
    const out = fleetOf([at(0, { phase: repairing })]);
    expect(why(out, configWith(10, { reboot: one }), sickAt(1), "replace")).toBeNull();
    expect(why(out, configWith(10, { replace: one }), sickAt(1), "reboot")).toBeNull();
    expect(why(out, configWith(10, { drain: full }), sickAt(1), "reboot")).toBeNull();
  });

  test("a fixed zero lets nothing go", () => {
    const none = configWith(10, { replace: "{ pool: 0, domain: 50, fleet: 50 }" });
    expect(why(fleetOf([]), none, sickAt(1), "replace")).toBe(
      "pool:p: 0 of at most 0 are being repaired or replaced",
    );
  });

  test("spending takes room from both, and none from isolation", () => {
    const config = configWith(10, { replace: one, isolate: "{ pool: 1, domain: 50, fleet: 50 }" });
    const budgets = openBudgets(fleetOf([]), config, NOW);
    budgets.spend(sickAt(0), "replace");
    expect(budgets.refusal(sickAt(1), "replace")?.kind).toBe("budget");
    expect(budgets.refusal(sickAt(1), "isolate")).toBeNull();
  });

  test("each pool may lose one, however small the share of the fleet", () => {
    const q = "  - { name: q, provider: fake, instance_type: t, min_nodes: 2, max_nodes: 200 }";
    const config = configWith(2, { replace: "{ pool: 10%, domain: 50, fleet: 10% }" }, q);
    const inQ = (slot: number, over: Partial<Node> = {}) =>
      nodeOf(`q${slot}`, { slot, pool: "q" as PoolName, ...over });
    const fleet = fleetOf([at(0, { phase: repairing }), at(1), inQ(0), inQ(1)]);
    expect(why(fleet, config, inQ(1), "replace")).toBeNull();
    expect(why(fleet, config, at(1), "replace")).toContain("pool:p: 1 of at most 1");
    const fixed = configWith(2, { replace: "{ pool: 10%, domain: 50, fleet: 1 }" }, q);
    expect(why(fleet, fixed, inQ(1), "replace")).toContain("fleet: 1 of at most 1");
  });

  test("what is unmanaged is judged by all that is out, and ours by ours", () => {
    const config = configWith(10, { replace: one });
    const theirs = unboughtOf("u", { phase: repairing });
    expect(why(fleetOf([theirs]), config, sickAt(1), "replace")).toBeNull();
    expect(why(fleetOf([theirs]), config, unboughtOf("v"), "replace")).toContain("1 of at most 1");
    const budgets = openBudgets(fleetOf([]), config, NOW);
    budgets.spend(unboughtOf("u"), "replace");
    expect(budgets.refusal(sickAt(1), "replace")).toBeNull();
    expect(budgets.refusal(unboughtOf("v"), "replace")?.kind).toBe("budget");
    const ours = openBudgets(fleetOf([]), config, NOW);
    ours.spend(sickAt(0), "replace");
    expect(ours.refusal(unboughtOf("v"), "replace")?.kind).toBe("budget");
  });

  test("a scope that nobody has heard of has one place", () => {
    const elsewhere = at(3, {
      pool: "x" as PoolName,
      instance: instanceOf({ provider: "y" as PoolName }),
    });
    expect(why(fleetOf([]), configWith(10), elsewhere, "replace")).toBeNull();
  });
});

test("rooms() tells each scope's room for each rung", () => {
  const config = configWith(10, {
    isolate: "{ pool: 5, domain: 6, fleet: 7, window: 1h }",
    drain: "{ pool: 4, domain: 4, fleet: 4 }",
    reboot: "{ pool: 1, domain: 2, fleet: 3 }",
    replace: "{ pool: 9, domain: 3, fleet: 2 }",
  });
  const fleet = fleetOf([
    at(0, { phase: repairing }),
    at(1, { isolatedAt: NOW - 3_599_999 }),
    at(2, { isolatedAt: NOW - 3_600_000 }),
    unboughtOf("u", { phase: repairing }),
    unboughtOf("s", { phase: repairing, pool: null }),
  ]);
  const rooms = openBudgets(fleet, config, NOW).rooms();
  const row = (scope: string) =>
    rooms.filter((room) => room.scope === scope).map(({ rung, used, max }) => [rung, used, max]);
  expect(row("pool:p")).toEqual([
    ["isolate", 1, 5],
    ["reboot", 1, 1],
    ["replace", 1, 4],
  ]);
  expect(row("fleet")).toEqual([
    ["isolate", 1, 7],
    ["reboot", 1, 3],
    ["replace", 1, 2],
  ]);
  expect(row("domain:zone:fake/z")).toEqual([
    ["isolate", 1, 6],
    ["reboot", 1, 2],
    ["replace", 1, 3],
  ]);
  expect(row("domain:unmanaged")).toEqual([
    ["isolate", 0, 6],
    ["reboot", 1, 2],
    ["replace", 1, 3],
  ]);
  expect(rooms).toHaveLength(15);
});

describe("under a breaker", () => {
  const config = configWith(100);
  const breaker = (over: Partial<FactOf<"breaker">> = {}): FactOf<"breaker"> => ({
    kind: "breaker",
    scope: "pool:p",
    state: "restrained",
    since: 0,
    trippedAt: 0,
    why: "too many",
    cause: null,
    batch: 0,
    batchAt: 0,
    passed: 0,
    looked: 0,
    ...over,
  });
  const cause = (attribute: Cause["attribute"], value: string): Cause => ({
    attribute,
    value,
    ofSessions: 1,
    ofNodes: 0,
  });
  const out = (count: number) =>
    Array.from({ length: count }, (_, i) => at(i, { phase: repairing }));
  const refusal = (node: Node, rung: Rung, fact: FactOf<"breaker">, others: Node[] = []) =>
    openBudgets(fleetOf([node, ...others], [fact]), config, NOW).refusal(node, rung);

  test("a pool gets on one by one", () => {
    expect(refusal(sickAt(9), "replace", breaker())).toBeNull();
    expect(refusal(sickAt(9), "replace", breaker(), out(1))).toEqual({
      kind: "breaker",
      why: { code: "breaker", scope: "pool:p", state: "restrained", why: "too many" },
    });
    expect(refusal(sickAt(9), "reboot", breaker(), out(1))?.kind).toBe("breaker");
    expect(refusal(sickAt(9), "isolate", breaker(), out(1))).toBeNull();
  });

  test.each([
    [1, 1],
    [4, 4],
    [5, 5],
    [9, 5],
  ])("a fleet of %d domains gets on by %d at once", (domains, most) => {
    const nodes = Array.from({ length: domains }, (_, i) =>
      at(50 + i, { instance: instanceOf({ provider: `y${i}` as PoolName }) }),
    );
    const node = sickOf("x", { slot: 40, instance: instanceOf({ provider: "y0" as PoolName }) });
    const fact = breaker({ scope: "fleet" });
    const busy = (count: number) =>
      out(count).map((one) => ({ ...one, instance: instanceOf({ provider: "y0" as PoolName }) }));
    expect(refusal(node, "replace", fact, [...nodes, ...busy(most - 1)])).toBeNull();
    expect(refusal(node, "replace", fact, [...nodes, ...busy(most)])?.kind).toBe("breaker");
  });

  test("half-open lets a batch go, and no fewer than before", () => {
    const batch = (count: number) => breaker({ state: "half-open", batch: count });
    expect(refusal(sickAt(9), "replace", batch(3), out(2))).toBeNull();
    expect(said(refusal(sickAt(9), "replace", batch(3), out(3)))).toBe(
      "pool:p is half-open: too many",
    );
    expect(refusal(sickAt(9), "replace", batch(0), [])).toBeNull();
    expect(refusal(sickAt(9), "replace", breaker({ batch: 3 }), out(2))?.kind).toBe("breaker");
  });

  test("what is evident by itself goes on, one in its place", () => {
    const evident = sickAt(9, {}, fallen);
    expect(refusal(evident, "replace", breaker(), out(1))).toBeNull();
    // A plain fault in the same place does not take that room; another evident one does.
    const other = sickAt(3, { phase: repairing }, fallen);
    expect(refusal(evident, "replace", breaker(), [...out(1), other])?.kind).toBe("breaker");
    const elsewhere = { ...other, instance: instanceOf({ zone: "y" }) };
    expect(refusal(evident, "replace", breaker(), [...out(1), elsewhere])).toBeNull();
    const racked = (zone: string | null) => ({
      instance: instanceOf({ zone }),
      agent: agentOf({ labels: { rack: "r" } }),
    });
    // The rack is too small a place to have a room of its own.
    expect(
      refusal(sickAt(9, racked("z"), fallen), "replace", breaker(), [...out(1), other])?.kind,
    ).toBe("breaker");
  });

  test("without a place, the whole fleet has one room for what is evident", () => {
    const evident = unboughtOf("u", sickOf("u", {}, fallen));
    const node = { ...evident, id: "u", slot: null, instance: null } as Node;
    const other = sickAt(3, { phase: repairing }, fallen);
    expect(refusal(node, "replace", breaker(), out(1))).toBeNull();
    expect(refusal(node, "replace", breaker(), [other])?.kind).toBe("breaker");
  });

  test("open: what the cause explains is not touched, and the rest trickles", () => {
    const open = breaker({ state: "open", cause: cause("rule", "r@v1"), why: "rule r@v1" });
    expect(said(refusal(sickAt(9), "replace", open))).toBe("pool:p is open: rule r@v1");
    expect(said(refusal(sickAt(9), "isolate", open))).toBe("pool:p is open: rule r@v1");
    const other = sickAt(9, {}, [heldOf({ rule: "other" })]);
    expect(refusal(other, "replace", open)).toBeNull();
    expect(refusal(other, "isolate", open)).toBeNull();
    expect(refusal(other, "replace", open, out(1))?.kind).toBe("breaker");
    // Only an open breaker has a cause that holds its nodes back.
    const closed = breaker({ cause: open.cause });
    expect(refusal(sickAt(9), "replace", closed)).toBeNull();
    expect(refusal(sickAt(9), "isolate", closed)).toBeNull();
  });

  test("open for a rule: proof is isolated, and what is evident is replaced", () => {
    const open = breaker({ state: "open", cause: cause("rule", "r@v1") });
    expect(refusal(sickAt(9, {}, proven), "isolate", open)).toBeNull();
    expect(refusal(sickAt(9, {}, proven), "replace", open)?.kind).toBe("breaker");
    expect(refusal(sickAt(9, {}, fallen), "isolate", open)).toBeNull();
    expect(refusal(sickAt(9, {}, fallen), "replace", open)).toBeNull();
  });

  test.each([
    ["zone", "fake/z", "breaker"],
    ["rack", "r", "breaker"],
    ["provider", "fake", null],
    ["driver", "550", null],
    ["agent", "1.0.0", null],
  ] as const)(
    "open for a %s: an evident fault there is refused with %s %p",
    (name, value, kind) => {
      const open = breaker({ state: "open", cause: cause(name, value) });
      const agent = agentOf({ driver_version: "550", labels: { rack: "r" } });
      const node = sickAt(9, { agent }, fallen);
      expect(refusal(node, "replace", open)?.kind ?? null).toBe(kind);
      expect(refusal(node, "isolate", open)).toBeNull();
      expect(refusal({ ...node, ...sickAt(9, { agent }) }, "replace", open)?.kind).toBe("breaker");
    },
  );
});
