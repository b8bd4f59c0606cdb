/** Every rule of the autoscalers as a table, and what holds for any snapshot. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Autoscaler } from "../../../schema/config.ts";
import {
  composite,
  external,
  idle,
  NOW,
  type Of,
  predictive,
  queue,
  reactive,
  scheduled,
  sizeOf,
  snap,
  window,
} from "../../../test/world/autoscaler.ts";
import { slopeOf } from "./forecast.ts";
import { flatten, recommend } from "./recommend.ts";
import { windowAt } from "./scheduled.ts";
import type { Snapshot } from "./snapshot.ts";

const ONE_OF_EACH: Autoscaler[] = [
  reactive(),
  queue(),
  scheduled([window("0:00", "1:00")]),
  predictive(),
  composite("max", reactive(), queue()),
  idle(),
  external(),
];

describe("recommend() brings a size outside the bounds back, in every type and without any signal", () => {
  for (const autoscaler of ONE_OF_EACH) {
    test(autoscaler.type, () => {
      expect(sizeOf(autoscaler, snap(0, { min: 2 }))).toBe(2);
      expect(sizeOf(autoscaler, snap(9, { max: 5 }))).toBe(5);
      const answer = recommend(autoscaler, snap(9, { max: 5 }));
      expect(answer.kind === "size" ? answer.cause : null).toBe("bounds");
    });
  }
});

describe("recommend() reactive", () => {
  test.each([
    ["above the upper threshold: one more", 3, 80.1, 4],
    ["exactly the upper threshold: as it is", 3, 80, 3],
    ["between: as it is", 3, 50, 3],
    ["exactly the lower threshold: as it is", 3, 20, 3],
    ["below the lower threshold: one less", 3, 19.9, 2],
    ["measured zero is a signal", 3, 0, 2],
    ["never below min", 1, 0, 1],
    ["never above max", 50, 100, 50],
    ["unknown: held", 3, null, "hold unknown"],
  ])("%s", (_, desired, utilization, expected) => {
    expect(sizeOf(reactive(), snap(desired, { utilization }))).toBe(expected);
  });

  test("takes the configured step and its own thresholds", () => {
    expect(sizeOf(reactive(60, 30, 3), snap(5, { utilization: 61 }))).toBe(8);
    expect(sizeOf(reactive(60, 30, 2), snap(5, { utilization: 29 }))).toBe(3);
    expect(sizeOf(reactive(60, 30, 9), snap(5, { utilization: 9 }))).toBe(1);
  });

  test("a step down never leaves so few that their load asks for more at once", () => {
    expect(sizeOf(reactive(60, 30, 9), snap(5, { utilization: 29 }))).toBe(3);
    expect(sizeOf(reactive(80, 20, 10), snap(11, { utilization: 10 }))).toBe(2);
    // One of two at 49 % would be at 98 %, and above 60 % a second one is bought.
    expect(sizeOf(reactive(60, 50, 1), snap(2, { utilization: 49 }))).toBe(2);
    expect(sizeOf(reactive(60, 50, 1), snap(2, { utilization: 27 }))).toBe(1);
  });

  test("buys for the load of those that carry it, however long the rest boots", () => {
    const booting = (desired: number): Snapshot =>
      snap(desired, { registered: 2, utilization: 100 });
    expect(sizeOf(reactive(), booting(2))).toBe(3);
    expect(sizeOf(reactive(), booting(3))).toBe(3);
    const eight = snap(9, { registered: 8, utilization: 100 });
    expect(sizeOf(reactive(), eight)).toBe(10);
    expect(sizeOf(reactive(), { ...eight, desired: 10 })).toBe(10);
  });

  test("with nothing booting the bound on growth never bites", () => {
    const loads = fc.double({ min: 0, max: 100, noNaN: true });
    const thresholds = fc.integer({ min: 1, max: 99 });
    const step = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), loads, thresholds, step, (n, load, up, by) => {
        fc.pre(load > up);
        const from = snap(n, { utilization: load, max: 1_000 });
        expect(sizeOf(reactive(up, 0, by), from)).toBe(n + by);
      }),
    );
  });
});

describe("recommend() queue", () => {
  test.each([
    ["rounds up", 3, 21, 3, 3],
    ["exact", 3, 20, 3, 2],
    ["grows at once to what is needed", 2, 95, 0, 10],
    ["an empty queue, all idle: down to min", 9, 0, 9, 1],
    ["an empty queue, all busy: nothing is touched", 9, 0, 0, 9],
    ["down by the idle ones only", 9, 0, 3, 6],
    ["never above max", 9, 100_000, 9, 50],
    ["unknown is not empty", 9, null, 9, "hold unknown"],
  ])("%s", (_, desired, queueDepth, spare, expected) => {
    expect(sizeOf(queue(), snap(desired, { queueDepth, spare }))).toBe(expected);
  });

  test("17 jobs at 8 a node are 3 nodes", () => {
    expect(sizeOf(queue(8), snap(1, { queueDepth: 17 }))).toBe(3);
  });

  test.each([
    ["GPUs where GPUs are counted", "gpus", 3, 24, 3],
    ["pods where pods are counted", "pods", 3, 24, 1],
    ["unknown GPUs are not zero, whatever the pods are", "gpus", 3, null, "hold unknown"],
  ] as const)("counts %s", (_, count, queueDepth, gpuDepth, expected) => {
    const from = snap(2, { queueDepth, gpuDepth });
    expect(sizeOf({ ...queue(8), count }, from)).toBe(expected);
  });
});

describe("recommend() scheduled", () => {
  const at = (iso: string): number => Date.parse(iso);
  const opens = (autoscaler: Of<"scheduled">, iso: string): boolean =>
    windowAt(autoscaler, at(iso)) !== null;

  test("an open window is a floor and a ceiling, at once", () => {
    const open = scheduled([window("8:00", "20:00")]);
    const answer = recommend(open, snap(2));
    expect(answer).toMatchObject({ kind: "size", nodes: 4, cause: "bounds" });
    expect(sizeOf(open, snap(12))).toBe(8);
    expect(sizeOf(open, snap(6))).toBe(6);
  });

  test("no open window and no fallback: nothing to say", () => {
    expect(sizeOf(scheduled([window("0:00", "1:00")]), snap(6))).toBe("hold quiet");
  });

  test("the fallback decides inside the window's bounds, and outside in the pool's", () => {
    const open = scheduled([window("8:00", "20:00")], "UTC", reactive());
    expect(sizeOf(open, snap(8, { utilization: 100 }))).toBe(8);
    expect(sizeOf(open, snap(4, { utilization: 0 }))).toBe(4);
    expect(sizeOf(open, snap(5, { utilization: 100 }))).toBe(6);
    const shut = scheduled([window("0:00", "1:00")], "UTC", reactive());
    expect(sizeOf(shut, snap(8, { utilization: 100 }))).toBe(9);
  });

  test("the first matching window wins, and none leaves the pool's bounds", () => {
    const two = scheduled([window("8:00", "20:00"), window("0:00", "24:00", { minNodes: 7 })]);
    expect(sizeOf(two, snap(2))).toBe(4);
    expect(sizeOf(two, snap(2, { now: at("2026-01-07T22:00Z") }))).toBe(7);
    const low = scheduled([window("0:00", "24:00", { minNodes: 0, maxNodes: 0 })]);
    expect(sizeOf(low, snap(5, { min: 2 }))).toBe(2);
  });

  test("start inclusive, end exclusive, to the minute", () => {
    const half = scheduled([window("9:30", "17:45")]);
    expect(opens(half, "2026-01-07T09:29:59Z")).toBe(false);
    expect(opens(half, "2026-01-07T09:30:00Z")).toBe(true);
    expect(opens(half, "2026-01-07T17:44:59Z")).toBe(true);
    expect(opens(half, "2026-01-07T17:45:00Z")).toBe(false);
    expect(opens(scheduled([window("20:00", "24:00")]), "2026-01-07T23:59:59Z")).toBe(true);
  });

  test("a window over midnight belongs to the day on which it starts, across the week's end too", () => {
    const saturday = scheduled([window("22:00", "6:00", { days: [6] })]);
    expect(opens(saturday, "2026-01-10T21:59Z")).toBe(false);
    expect(opens(saturday, "2026-01-10T22:00Z")).toBe(true);
    expect(opens(saturday, "2026-01-11T05:59Z")).toBe(true);
    expect(opens(saturday, "2026-01-11T06:00Z")).toBe(false);
    expect(opens(saturday, "2026-01-11T22:00Z")).toBe(false);
    expect(opens(saturday, "2026-01-10T03:00Z")).toBe(false);
  });

  test("days and hours are those of the named zone", () => {
    const tokyo = scheduled([window("9:00", "18:00", { days: [4] })], "Asia/Tokyo");
    expect(opens(tokyo, "2026-01-08T00:00Z")).toBe(true);
    expect(opens(tokyo, "2026-01-07T23:59Z")).toBe(false);
    const kathmandu = scheduled([window("9:00", "18:00")], "Asia/Kathmandu");
    expect(opens(kathmandu, "2026-01-08T03:14Z")).toBe(false);
    expect(opens(kathmandu, "2026-01-08T03:15Z")).toBe(true);
  });

  test("spring: a boundary in the skipped hour takes effect right after it", () => {
    // Oslo, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
    const early = scheduled([window("2:30", "5:00")], "Europe/Oslo");
    expect(opens(early, "2026-03-29T00:59:59Z")).toBe(false);
    expect(opens(early, "2026-03-29T01:00:00Z")).toBe(true);
    expect(opens(early, "2026-03-29T02:59:59Z")).toBe(true);
    expect(opens(early, "2026-03-29T03:00:00Z")).toBe(false);
    const late = scheduled([window("0:00", "2:30")], "Europe/Oslo");
    expect(opens(late, "2026-03-29T00:59:59Z")).toBe(true);
    expect(opens(late, "2026-03-29T01:00:00Z")).toBe(false);
  });

  test("autumn: the repeated hour counts both times, and office hours keep the wall clock", () => {
    // Oslo, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    const night = scheduled([window("2:00", "3:00")], "Europe/Oslo");
    expect(opens(night, "2026-10-24T23:59:59Z")).toBe(false);
    expect(opens(night, "2026-10-25T00:00Z")).toBe(true);
    expect(opens(night, "2026-10-25T01:30Z")).toBe(true);
    expect(opens(night, "2026-10-25T02:00Z")).toBe(false);
    const office = scheduled([window("9:00", "17:00")], "America/New_York");
    expect(opens(office, "2026-07-01T13:00Z")).toBe(true);
    expect(opens(office, "2026-01-05T13:00Z")).toBe(false);
    expect(opens(office, "2026-01-05T14:00Z")).toBe(true);
  });

  test("29 February is a day like any other", () => {
    const sunday = scheduled([window("0:00", "24:00", { days: [2] })]);
    expect(opens(sunday, "2028-02-29T12:00Z")).toBe(true);
    expect(opens(sunday, "2028-03-01T00:00Z")).toBe(false);
  });
});

describe("recommend() predictive", () => {
  const rising = { history: [60, 65, 70], utilization: 70 };
  test.each([
    // Slope 5 × 1.2 + 70 = 76.
    ["a trend that stays below 80: nothing to say", 4, rising, "hold quiet"],
    // Slope 10 × 1.2 + 75 = 87: ceil(4 × 87 / 70) = 5.
    ["a ramp over 80", 4, { history: [55, 65, 75], utilization: 75 }, 5],
    // Slope 10 × 1.2 + 85 = 97: ceil(10 × 97 / 70) = 14.
    ["the bigger pool by more", 10, { history: [65, 75, 85], utilization: 85 }, 14],
    // 3 × 81 / 70 = 3.47: upstream truncated it to no change.
    ["at least one more", 3, { history: [81, 81, 81], utilization: 81 }, 4],
    [
      "only the newest samples count",
      4,
      { history: [0, 0, 0, 60, 65, 70], utilization: 70 },
      "hold quiet",
    ],
    ["a short history", 4, { history: [90, 95], utilization: 95 }, "hold quiet"],
    ["no reading now", 4, { history: [90, 95, 99], utilization: null }, "hold unknown"],
  ])("%s", (_, desired, seen, expected) => {
    expect(sizeOf(predictive(), snap(desired, seen))).toBe(expected);
  });

  test("whatever it does not decide is its fallback's", () => {
    const both = predictive(queue());
    expect(sizeOf(both, snap(4, { ...rising, queueDepth: 70 }))).toBe(7);
    expect(sizeOf(both, snap(4, { history: [1], utilization: 1, queueDepth: 11 }))).toBe(2);
    expect(sizeOf(both, snap(4, { queueDepth: 11 }))).toBe(2);
  });

  test("a purchase that boots is not made again at the next look", () => {
    const seen = { history: [55, 65, 75], utilization: 75, registered: 4 };
    expect(sizeOf(predictive(), snap(5, seen))).toBe(5);
  });

  test("slopeOf() is that of a line through equally spaced points", () => {
    expect(slopeOf([3, 3, 3])).toBe(0);
    expect(slopeOf([1, 3, 5, 7])).toBeCloseTo(2, 12);
    expect(slopeOf([9, 5, 1])).toBeCloseTo(-4, 12);
    expect(slopeOf([7])).toBe(0);
  });
});

describe("recommend() composite", () => {
  test("sees the GPUs' load beside the queue, whichever of the two is missing", () => {
    const both = composite("max", reactive(), queue(8));
    expect(sizeOf(both, snap(2, { utilization: 95, queueDepth: 3 }))).toBe(3);
    expect(sizeOf(both, snap(2, { utilization: 5, queueDepth: 40 }))).toBe(5);
    expect(sizeOf(both, snap(2, { utilization: 95, queueDepth: null }))).toBe(3);
    expect(sizeOf(both, snap(2, { utilization: null, queueDepth: 40 }))).toBe(5);
    expect(sizeOf(both, snap(2))).toBe("hold unknown");
  });

  const seen = { utilization: 100, queueDepth: 25 };
  test.each([
    ["max", 6, 7],
    ["min", 6, 3],
    ["avg rounds up", 5, 5],
  ])("%s", (words, desired, expected) => {
    const mode = words.slice(0, 3) as "max" | "min" | "avg";
    expect(sizeOf(composite(mode, reactive(), queue()), snap(desired, seen))).toBe(expected);
  });

  test("a member without a signal votes neither its present size nor zero", () => {
    const from = snap(9, { queueDepth: 25 });
    for (const mode of ["max", "min", "avg"] as const) {
      expect(sizeOf(composite(mode, reactive(), queue()), from)).toBe(3);
    }
  });

  test("a member that sees no reason to change votes for the present size", () => {
    const from = snap(9, { queueDepth: 25, utilization: 50 });
    expect(sizeOf(composite("max", reactive(), queue()), from)).toBe(9);
  });

  test("no signal at all: held", () => {
    expect(sizeOf(composite("max", reactive(), queue()), snap(9))).toBe("hold unknown");
    const shut = scheduled([window("0:00", "1:00")]);
    expect(sizeOf(composite("min", shut, predictive()), snap(9))).toBe("hold unknown");
    expect(sizeOf(composite("min", shut), snap(9))).toBe("hold quiet");
  });

  test("a window inside it waits for no cooldown, an opinion does", () => {
    const open = composite("max", scheduled([window("8:00", "20:00")]), queue());
    expect(recommend(open, snap(2, { queueDepth: 1 }))).toMatchObject({
      nodes: 4,
      cause: "bounds",
    });
    expect(recommend(open, snap(5, { queueDepth: 90 }))).toMatchObject({
      nodes: 9,
      cause: "signal",
    });
  });
});

/** Any autoscaler of at most three levels. */
const leaf: fc.Arbitrary<Autoscaler> = fc.oneof(
  fc
    .record({ up: fc.integer({ min: 50, max: 100 }), down: fc.integer({ min: 0, max: 49 }) })
    .map((t) => reactive(t.up, t.down)),
  fc.integer({ min: 1, max: 20 }).map(queue),
  fc.constant(predictive()),
  fc.constant(external(8)),
  fc
    .record({ from: fc.integer({ min: 0, max: 23 }), hours: fc.integer({ min: 1, max: 23 }) })
    .map((w) =>
      scheduled([window(`${w.from}:00`, `${(w.from + w.hours) % 24}:00`)], "Europe/Oslo"),
    ),
);
const anyAutoscaler: fc.Arbitrary<Autoscaler> = fc.oneof(
  leaf,
  leaf.map((fallback) => predictive(fallback)),
  leaf.map((fallback) => scheduled([window("6:00", "18:00")], "UTC", fallback)),
  fc
    .record({
      mode: fc.constantFrom("max" as const, "min" as const, "avg" as const),
      members: fc.array(leaf, { minLength: 1, maxLength: 4 }),
    })
    .map((c) => composite(c.mode, ...c.members)),
);
const load = fc.double({ min: 0, max: 100, noNaN: true });
const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .record({
    desired: fc.integer({ min: 0, max: 60 }),
    booting: fc.integer({ min: 0, max: 60 }),
    spare: fc.integer({ min: 0, max: 60 }),
    min: fc.integer({ min: 0, max: 20 }),
    over: fc.integer({ min: 0, max: 30 }),
    utilization: fc.option(load),
    queueDepth: fc.option(fc.nat(2_000)),
    gpuDepth: fc.option(fc.nat(2_000)),
    history: fc.array(load, { maxLength: 6 }),
    hour: fc.nat(24 * 365),
  })
  .map((r) =>
    snap(r.desired, {
      registered: Math.max(0, r.desired - r.booting),
      spare: Math.min(r.spare, r.desired),
      min: r.min,
      max: Math.max(1, r.min + r.over),
      utilization: r.utilization,
      queueDepth: r.queueDepth,
      gpuDepth: r.gpuDepth,
      history: r.history,
      now: NOW + r.hour * 3_600_000,
    }),
  );

describe("recommend() for any autoscaler and snapshot", () => {
  test("stays inside min…max, in whole nodes", () => {
    fc.assert(
      fc.property(anyAutoscaler, anySnapshot, (autoscaler, from) => {
        const answer = recommend(autoscaler, from);
        if (answer.kind === "hold") return;
        expect(Number.isInteger(answer.nodes)).toBe(true);
        expect(answer.nodes).toBeGreaterThanOrEqual(from.min);
        expect(answer.nodes).toBeLessThanOrEqual(from.max);
      }),
      { numRuns: 1_000 },
    );
  });

  test("without any signal it never moves a size that is inside the bounds, but by the calendar", () => {
    fc.assert(
      fc.property(anyAutoscaler, anySnapshot, (autoscaler, from) => {
        fc.pre(flatten(autoscaler).every((one) => one.type !== "scheduled"));
        const blind = { ...from, utilization: null, queueDepth: null, gpuDepth: null, history: [] };
        fc.pre(blind.desired >= blind.min && blind.desired <= blind.max);
        expect(recommend(autoscaler, blind).kind).toBe("hold");
      }),
      { numRuns: 1_000 },
    );
  });

  test("the order of members changes nothing", () => {
    const members = fc.array(leaf, { minLength: 1, maxLength: 5 });
    const modes = fc.constantFrom("max" as const, "min" as const, "avg" as const);
    fc.assert(
      fc.property(modes, members, fc.nat(), anySnapshot, (mode, list, turn, from) => {
        const cut = turn % list.length;
        const other = [...list.slice(cut), ...list.slice(0, cut)].reverse();
        const size = sizeOf(composite(mode, ...list), from);
        expect(sizeOf(composite(mode, ...other), from)).toBe(size);
      }),
      { numRuns: 1_000 },
    );
  });

  test("more load never means fewer nodes", () => {
    const signals = fc.tuple(anySnapshot, load, load, fc.nat(500), fc.nat(500));
    const mode = fc.constantFrom("max" as const, "min" as const, "avg" as const);
    fc.assert(
      fc.property(mode, signals, (chosen, [from, a, b, c, d]) => {
        const both = composite(chosen, reactive(), queue());
        const low = { ...from, utilization: Math.min(a, b), queueDepth: Math.min(c, d) };
        const high = { ...from, utilization: Math.max(a, b), queueDepth: Math.max(c, d) };
        const sizes = [recommend(both, low), recommend(both, high)].map((one) =>
          one.kind === "size" ? one.nodes : Number.NaN,
        );
        expect(sizes[1]).toBeGreaterThanOrEqual(sizes[0] ?? Number.NaN);
      }),
      { numRuns: 1_000 },
    );
  });
});
