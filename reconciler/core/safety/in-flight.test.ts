/** Which slots count as out of service, in each phase of a repair and between two machines. */
import { expect, test } from "bun:test";
import type { NodeId, OperationId, PoolName } from "../../../schema/id.ts";
import { type Node, type Phase, type Purpose, PURPOSES } from "../../../schema/node.ts";
import { instanceOf, nodeOf, sessionOf, sickOf } from "../../../test/world/part.ts";
import { holdsPlace, isReplaced, isSick, leavesGap, vacantSlots } from "./in-flight.ts";

const OLD = "old" as NodeId;
const at = { since: 0 };
const draining = (purpose: Purpose): Phase => ({
  kind: "draining",
  ...at,
  deadlineAt: 0,
  drainedAt: null,
  sawWork: false,
  purpose,
});
const ending = (purpose: Purpose): Phase => ({
  kind: "terminating",
  ...at,
  accepted: null,
  notBefore: 0,
  purpose,
});
const gone = (purpose: Purpose): Phase => ({ kind: "gone", ...at, purpose });
const requested: Phase = { kind: "requested", ...at, attempt: 1, notBefore: 0, refusal: null };
const suspect: Phase = { kind: "suspect", ...at };

const COMING: Phase[] = [
  requested,
  { kind: "booting", ...at },
  { kind: "bootstrapping", ...at, attempt: 1 },
  { kind: "verifying", ...at },
];

test.each(COMING)("a node that is $kind holds a place if it replaces another", (phase) => {
  expect(holdsPlace(nodeOf("n", { phase, replaces: OLD }))).toBe(true);
  expect(holdsPlace(nodeOf("n", { phase, replaces: null }))).toBe(false);
});

const FIXED: [Phase, boolean][] = [
  [{ kind: "repairing", ...at, rung: "reboot", bootId: null }, true],
  [{ kind: "replacing", ...at, replacement: OLD }, true],
  [{ kind: "serving", ...at }, false],
  [{ kind: "held", ...at, heldBy: "a", why: "b" }, false],
];
test.each(FIXED)("holdsPlace() of %p is %p", (phase, expected) => {
  expect(holdsPlace(nodeOf("n", { phase, replaces: OLD }))).toBe(expected);
});

test("a suspect node holds a place once its drain is asked for", () => {
  const operation = (kind: string) => `n.1.${kind}` as OperationId;
  expect(holdsPlace(nodeOf("n", { phase: suspect, operation: null }))).toBe(false);
  expect(holdsPlace(nodeOf("n", { phase: suspect, operation: operation("cordon") }))).toBe(false);
  expect(holdsPlace(nodeOf("n", { phase: suspect, operation: operation("drain") }))).toBe(true);
});

test("a node whose replacement a person ordered holds a place before it begins", () => {
  const order = (goal: "drain" | "terminate" | "replace"): Node["order"] => {
    return { goal, by: "ann", why: "", force: false, at: 0, timeoutMs: null };
  };
  const held: Phase = { kind: "held", ...at, heldBy: "a", why: "b" };
  for (const phase of [suspect, held, { kind: "serving", ...at } satisfies Phase]) {
    expect(holdsPlace(nodeOf("n", { phase, order: order("replace") }))).toBe(true);
    expect(holdsPlace(nodeOf("n", { phase, order: order("drain") }))).toBe(false);
    expect(holdsPlace(nodeOf("n", { phase, order: order("terminate") }))).toBe(false);
  }
});

test("a silent node whose cloud ended its machine holds a place before that is noted", () => {
  const { health } = nodeOf("n");
  const instance = instanceOf({ state: "terminated" });
  for (const phase of [suspect, { kind: "serving", ...at } satisfies Phase]) {
    const heard = nodeOf("n", { phase, instance });
    expect(holdsPlace(heard)).toBe(false);
    const silent = { ...heard, health: { ...health, silentSince: 1 } };
    expect(holdsPlace(silent)).toBe(true);
    expect(holdsPlace({ ...silent, instance: instanceOf({ state: "stopped" }) })).toBe(false);
  }
});

/** For each purpose: leaves a gap on a first purchase, and where it replaced another. */
const GAPS: Record<Purpose, [boolean, boolean]> = {
  replace: [true, true],
  lost: [true, true],
  failed: [false, true],
  lemon: [false, true],
  repair: [false, false],
  scale_down: [false, false],
  operator: [false, false],
  surplus: [false, false],
  preempted: [false, false],
};

test.each([...PURPOSES])("what leaves for %s leaves a gap or not", (purpose) => {
  for (const [replaces, expected] of [
    [null, GAPS[purpose][0]],
    [OLD, GAPS[purpose][1]],
  ] as const) {
    for (const phase of [draining(purpose), ending(purpose), gone(purpose)])
      expect(leavesGap(nodeOf("n", { phase, replaces }))).toBe(expected);
    expect(holdsPlace(nodeOf("n", { phase: ending(purpose), replaces }))).toBe(expected);
    expect(holdsPlace(nodeOf("n", { phase: gone(purpose), replaces }))).toBe(false);
    expect(holdsPlace(nodeOf("n", { phase: draining(purpose), replaces }))).toBe(
      expected || purpose === "repair",
    );
  }
});

test("a node in a phase without a purpose leaves no gap", () => {
  for (const [phase] of FIXED) expect(leavesGap(nodeOf("n", { phase, replaces: OLD }))).toBe(false);
});

test.each([...PURPOSES])("isReplaced() of what leaves for %s", (purpose) => {
  const expected = ["replace", "lost", "failed", "lemon"].includes(purpose);
  for (const phase of [draining(purpose), ending(purpose)]) {
    expect(isReplaced(nodeOf("n", { phase }))).toBe(expected);
    const human = { by: "ann", why: "", at: 0 };
    expect(isReplaced(nodeOf("n", { phase, cordon: { product: null, human } }))).toBe(false);
    expect(isReplaced(nodeOf("n", { phase, cordon: { product: human, human: null } }))).toBe(
      expected,
    );
    const order = (goal: "drain" | "replace") =>
      ({ goal, by: "ann", why: "", force: false, at: 0, timeoutMs: null }) as const;
    expect(isReplaced(nodeOf("n", { phase, order: order("drain") }))).toBe(false);
    expect(isReplaced(nodeOf("n", { phase, order: order("replace") }))).toBe(expected);
  }
  expect(isReplaced(nodeOf("n", { phase: gone(purpose) }))).toBe(false);
});

test("isSick() is an open session over evidence, and not silence alone", () => {
  expect(isSick(sickOf("n"))).toBe(true);
  expect(isSick(sickOf("n", { session: null }))).toBe(false);
  expect(isSick(nodeOf("n", { session: sessionOf() }))).toBe(false);
});

const inSlot = (slot: number | null, gen: number, phase: Phase, pool = "p"): Node =>
  nodeOf(`${pool}-${slot}-${gen}`, { slot, gen, phase, pool: pool as PoolName });
const serving: Phase = { kind: "serving", ...at };
const idsOf = (nodes: readonly Node[]): string[] => nodes.map((node) => node.id);

test("vacantSlots() are those that a fault emptied and nobody has filled yet", () => {
  const nodes = [
    inSlot(0, 1, gone("lost")),
    inSlot(1, 2, serving),
    inSlot(2, 3, gone("scale_down")),
  ];
  expect(idsOf(vacantSlots(nodes, () => 3))).toEqual(["p-0-1"]);
});

test("vacantSlots() forgets a slot that has somebody again", () => {
  const nodes = [inSlot(0, 1, gone("lost")), inSlot(0, 3, serving), inSlot(1, 2, serving)];
  expect(vacantSlots(nodes, () => 9)).toEqual([]);
});

test("vacantSlots() judges a slot by its last node, in whatever order they come", () => {
  const [first, last] = [inSlot(0, 0, gone("lost")), inSlot(0, 1, gone("scale_down"))];
  expect(vacantSlots([first, last], () => 3)).toEqual([]);
  expect(vacantSlots([last, first], () => 3)).toEqual([]);
  const again = inSlot(0, 2, gone("lost"));
  expect(idsOf(vacantSlots([again, last, first], () => 3))).toEqual(["p-0-2"]);
  expect(idsOf(vacantSlots([first], () => 3))).toEqual(["p-0-0"]);
});

test("vacantSlots() are never more than the pool is missing: the rest was given up", () => {
  const nodes = [inSlot(0, 1, gone("lost")), inSlot(1, 2, gone("lost")), inSlot(2, 3, serving)];
  expect(vacantSlots(nodes, () => 1)).toEqual([]);
  expect(vacantSlots(nodes, () => 0)).toEqual([]);
  expect(idsOf(vacantSlots(nodes, () => 2))).toEqual(["p-1-2"]);
  expect(idsOf(vacantSlots(nodes, () => 3))).toEqual(["p-1-2", "p-0-1"]);
});

test("vacantSlots() keeps pools apart and leaves out machines without a slot", () => {
  const nodes = [
    inSlot(0, 1, gone("lost")),
    inSlot(0, 2, serving, "q"),
    inSlot(1, 3, gone("replace"), "q"),
    inSlot(null, 4, gone("lost")),
    { ...inSlot(5, 5, gone("lost")), pool: null },
  ];
  const asked: string[] = [];
  const found = vacantSlots(nodes, (pool) => (asked.push(pool), 2));
  expect(idsOf(found)).toEqual(["p-0-1", "q-1-3"]);
  expect(asked).toEqual(["p", "q"]);
});
