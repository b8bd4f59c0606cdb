/**
 * Money from durable facts: the sum is that of a plain integration over time, whatever was rolled
 * up when, whoever restarted when, and however the time is cut.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import type { InstanceId, PoolName } from "../../../schema/id.ts";
import { type InstanceFact, Node, type Phase } from "../../../schema/node.ts";
import { Fact, factsOf } from "../../../schema/safety.ts";
import { DAY_MS, fleetOf, HOUR_MS, instanceOf, nodeOf } from "../../../test/world/part.ts";
import type { Fleet } from "../fleet.ts";
import { type Mirror, mirrorChange, newMirror, UnitOfWork } from "../unit-of-work.ts";
import { dayOf, daysOf, monthOf, spanOfMonth } from "./calendar.ts";
import { foldCost, isBilled, MONTHS_KEPT, openStretch } from "./charge.ts";
import { accountsIn, dailyCosts, possibleCost, spanToDate } from "./sum.ts";

const START = Date.UTC(2026, 9, 31, 22);

const fleetIn = (mirror: Mirror): Fleet => ({
  ...fleetOf([]),
  nodes: mirror.nodes,
  facts: mirror.facts,
});

/** One activation: a change, the roll-up, and everything read again as another process would. */
function activate(mirror: Mirror, now: number, edit: (work: UnitOfWork) => void = () => {}): void {
  const work = new UnitOfWork(mirror);
  edit(work);
  foldCost(fleetIn(mirror), now, work);
  const change = work.finish();
  if (change === null) return;
  const read = <S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> =>
    v.parse(schema, JSON.parse(JSON.stringify(value)));
  mirrorChange(mirror, {
    ...change,
    nodes: change.nodes.map((node) => read(Node, node)),
    facts: change.facts.map((fact) => read(Fact, fact)),
  });
}

const gone = (since: number): Phase => ({ kind: "gone", since, purpose: "scale_down" });
const boughtAt = (id: string, at: number, price: number | null, over: Partial<InstanceFact> = {}) =>
  nodeOf(id, {
    instance: instanceOf({
      id: `i-${id}` as InstanceId,
      boundAt: at,
      pricePerHour: price,
      cost: { to: at, pricePerHour: price, endedAt: null },
      ...over,
    }),
  });

const change = (mirror: Mirror, id: string, edit: (node: Node) => Node) => (work: UnitOfWork) => {
  const node = mirror.nodes.get(id as Node["id"]);
  if (node !== undefined) work.putNode(edit(node));
};
const priced = (price: number) => (node: Node) => ({
  ...node,
  instance: node.instance && { ...node.instance, pricePerHour: price },
});
const listed = (absentListings: number) => (node: Node) => ({
  ...node,
  instance: node.instance && { ...node.instance, absentListings },
});

const totalIn = (mirror: Mirror, from: number, to: number, now: number): number =>
  accountsIn(fleetIn(mirror), { from, to }, now).reduce((sum, one) => sum + one.dollars, 0);
const everything = (mirror: Mirror, now: number): number =>
  totalIn(mirror, dayOf(START).from, dayOf(now).to, now);

type Step = {
  node: number;
  afterMs: number;
  what: "price" | "absent" | "shown" | "gone" | "look";
  price: number;
};
const anySteps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    node: fc.integer({ min: 0, max: 2 }),
    afterMs: fc.integer({ min: 0, max: 40 * HOUR_MS }),
    what: fc.constantFrom(
      "price" as const,
      "absent" as const,
      "shown" as const,
      "gone" as const,
      "look" as const,
    ),
    price: fc.integer({ min: 0, max: 3_000 }).map((cents) => cents / 100),
  }),
  { maxLength: 30 },
);

/** Runs the steps; `looks` adds activations in between, in which nothing happens. */
function play(
  steps: readonly Step[],
  looks: boolean,
): { mirror: Mirror; now: number; plain: number } {
  const mirror = newMirror();
  let now = START;
  const state = [0, 1, 2].map(() => ({ price: 10, since: START, lost: 0, off: false, out: false }));
  let plain = 0;
  const until = (one: (typeof state)[number], at: number): void => {
    if (!one.off) plain += ((at - one.since) / HOUR_MS) * one.price;
    one.since = at;
  };
  activate(mirror, now, (work) =>
    state.forEach((_, i) => work.putNode(boughtAt(`n${i}`, START, 10))),
  );
  for (const { node, afterMs, what, price } of steps) {
    if (looks) activate(mirror, now + Math.floor(afterMs / 2));
    now += afterMs;
    const one = state[node];
    const id = `n${node}`;
    if (one === undefined || one.out) continue;
    if (what === "price" && !one.off) {
      until(one, now);
      one.price = price;
      activate(mirror, now, change(mirror, id, priced(price)));
    } else if (what === "absent" && !one.off) {
      until(one, now);
      one.off = true;
      one.lost = now;
      activate(mirror, now, change(mirror, id, listed(2)));
    } else if (what === "shown" && one.off) {
      // The list was wrong: the time without the instance is billed.
      one.off = false;
      one.since = one.lost;
      activate(mirror, now, change(mirror, id, listed(0)));
    } else if (what === "gone") {
      until(one, now);
      [one.off, one.out] = [true, true];
      // The plan ends a node after the roll-up; the next activation moves its cost.
      const work = new UnitOfWork(mirror);
      change(mirror, id, (gonner) => ({ ...gonner, phase: gone(now) }))(work);
      const ended = work.finish();
      if (ended !== null) mirrorChange(mirror, ended);
    } else if (looks) activate(mirror, now);
  }
  for (const one of state) until(one, now);
  return { mirror, now, plain };
}

describe("foldCost() with accountsIn()", () => {
  test("is the integral of the price over the billed time, restarts and looks or none", () => {
    fc.assert(
      fc.property(anySteps, (steps) => {
        const some = play(steps, false);
        const many = play(steps, true);
        const near = (dollars: number) => expect(dollars).toBeCloseTo(some.plain, 6);
        near(everything(some.mirror, some.now));
        near(everything(many.mirror, many.now));
        // What is left open moves into the roll-up with the records.
        activate(many.mirror, many.now);
        near(everything(many.mirror, many.now));
      }),
      { numRuns: 300 },
    );
  });

  test("adds up over any partition of the days, and is never negative", () => {
    fc.assert(
      fc.property(anySteps, fc.array(fc.nat(60), { maxLength: 5 }), (steps, cuts) => {
        const { mirror, now } = play(steps, true);
        const from = dayOf(START).from;
        const end = dayOf(now).to;
        const edges = [...new Set([from, ...cuts.map((day) => from + day * DAY_MS), end])]
          .filter((at) => at <= end)
          .sort((a, b) => a - b);
        let sum = 0;
        for (const [i, at] of edges.slice(1).entries()) {
          const part = totalIn(mirror, edges[i] ?? from, at, now);
          expect(part).toBeGreaterThanOrEqual(0);
          sum += part;
        }
        expect(sum).toBeCloseTo(totalIn(mirror, from, end, now), 6);
        const days = [...dailyCosts(fleetIn(mirror), { from, to: end }, now).values()];
        expect(days.reduce((total, day) => total + day.dollars, 0)).toBeCloseTo(sum, 6);
      }),
      { numRuns: 200 },
    );
  });

  test("never falls while time passes, also where the clock steps back", () => {
    const mirror = newMirror();
    activate(mirror, START, (work) => work.putNode(boughtAt("a", START, 30)));
    activate(mirror, START + HOUR_MS, change(mirror, "a", priced(60)));
    // An hour back, and the machine ends there.
    activate(mirror, START, change(mirror, "a", priced(90)));
    activate(
      mirror,
      START,
      change(mirror, "a", (node) => ({ ...node, phase: gone(START) })),
    );
    expect(everything(mirror, START + 5 * HOUR_MS)).toBeCloseTo(30, 9);
  });
});

describe("foldCost()", () => {
  test("writes nothing while nothing ends and no price changes, also for older rows", () => {
    const mirror = newMirror();
    const old = boughtAt("old", START, 4);
    const { cost: _, ...instance } = old.instance ?? instanceOf();
    mirror.nodes.set(old.id, { ...old, instance });
    const work = new UnitOfWork(mirror);
    foldCost(fleetIn(mirror), START + HOUR_MS, work);
    expect(work.finish()).toBeNull();
    expect(everything(mirror, START + HOUR_MS)).toBeCloseTo(4, 9);
  });

  test("counts the first price from the purchase, and a time without any apart", () => {
    const mirror = newMirror();
    activate(mirror, START, (work) => {
      work.putNode(boughtAt("late", START, null));
      work.putNode(boughtAt("never", START, null));
    });
    activate(mirror, START + HOUR_MS, change(mirror, "late", priced(5)));
    const now = START + 2 * HOUR_MS;
    const [account] = accountsIn(fleetIn(mirror), spanToDate(now), now);
    // The new month has just begun, and nothing was billed in it.
    expect(account).toBeUndefined();
    const span = { from: dayOf(START).from, to: dayOf(now).to };
    expect(accountsIn(fleetIn(mirror), span, now)).toMatchObject([
      { pool: "p", provider: "fake", knownMs: 2 * HOUR_MS, unknownMs: 2 * HOUR_MS },
    ]);
    expect(everything(mirror, now)).toBeCloseTo(10, 9);
  });

  test("survives the record of its node, and old months go", () => {
    const mirror = newMirror();
    activate(mirror, START, (work) => work.putNode(boughtAt("a", START, 10)));
    const end = START + 4 * HOUR_MS;
    activate(
      mirror,
      end,
      change(mirror, "a", (node) => ({ ...node, phase: gone(end) })),
    );
    mirror.nodes.clear();
    const facts = factsOf(mirror.facts, "cost");
    expect(facts.map(({ month, days }) => [month, days.at(-1)])).toEqual([
      ["2026-10", { dollars: 20, knownMs: 2 * HOUR_MS, unknownMs: 0 }],
      ["2026-11", { dollars: 20, knownMs: 2 * HOUR_MS, unknownMs: 0 }],
    ]);
    const later = Date.UTC(2026, 9 + MONTHS_KEPT, 2);
    activate(mirror, later, (work) => work.putNode(boughtAt("b", later, 1)));
    activate(
      mirror,
      later + 1,
      change(mirror, "b", (node) => ({ ...node, phase: gone(later + 1) })),
    );
    expect(factsOf(mirror.facts, "cost").map(({ month }) => month)).toEqual(["2026-11", "2027-11"]);
  });
});

const phase = (kind: "held" | "booting" | "serving"): Phase =>
  kind === "held" ? { kind, since: 0, heldBy: "ann", why: "x" } : { kind, since: 0 };
test.each([
  ["serving", {}, true],
  ["held", {}, true],
  ["held", { state: "terminated" }, false],
  ["held", { absentListings: 1 }, true],
  ["held", { absentListings: 2 }, false],
  ["booting", { absentListings: 2 }, true],
  ["booting", { state: "terminated" }, false],
  ["serving", { state: "stopped" }, true],
] as const)("isBilled() of a node that is %s with %p: %p", (kind, over, billed) => {
  expect(isBilled(nodeOf("n", { phase: phase(kind), instance: instanceOf(over) }))).toBe(billed);
});

test("openStretch() of a node without an instance is none", () => {
  expect(openStretch(nodeOf("n", { instance: null }), START)).toBeNull();
});

describe("the calendar", () => {
  test("cuts a span at midnight UTC and knows the length of each month", () => {
    const span = { from: Date.UTC(2024, 1, 28, 12), to: Date.UTC(2024, 2, 1, 6) };
    const parts = [...daysOf(span)].map(({ from, to }) => (to - from) / HOUR_MS);
    expect(parts).toEqual([12, 24, 6]);
    const long = ["2024-02", "2026-02", "2026-11", "2026-12"].map((month) => {
      const { from, to } = spanOfMonth(month);
      return (to - from) / DAY_MS;
    });
    expect(long).toEqual([29, 28, 30, 31]);
    expect([monthOf(span.from), monthOf(span.to)]).toEqual(["2024-02", "2024-03"]);
  });
});

test("possibleCost() counts an open purchase from its first call, at its frozen price", () => {
  const now = START + 3 * HOUR_MS;
  const operation = {
    pool: "p" as PoolName,
    askedAt: now - 60_000,
    firstAskedAt: START,
    payload: { kind: "create", provider: "fake", pricePerHour: 20 },
  };
  const operations = new Map([["o", operation]]) as unknown as Fleet["operations"];
  const span = { from: dayOf(START).from, to: dayOf(now).to };
  const [cost] = possibleCost({ ...fleetOf([]), operations }, span, now);
  expect(cost).toMatchObject({ pool: "p", provider: "fake", dollars: 60 });
});
