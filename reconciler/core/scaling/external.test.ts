/** Sizes by a number from outside, and by free slots. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  composite,
  external,
  idle,
  reactive,
  reads,
  scheduled,
  sizeOf,
  snap,
  window,
} from "../../../test/world/autoscaler.ts";
import { recommend } from "./recommend.ts";
import type { Snapshot, WorkerSight } from "./snapshot.ts";

describe("recommend() external", () => {
  test.each([
    ["the wanted size itself", null, 7, 3, 7],
    ["part of a node is a node", null, 6.2, 3, 7],
    ["a rounding error is none", null, 0.1 + 0.2 + 6.7, 3, 7],
    ["a load and what one node serves", 8, 17, 3, 3],
    ["exactly", 8, 16, 1, 2],
    ["a float target", 0.5, 2, 1, 4],
    ["zero is a number: down to min", 8, 0, 5, 1],
    ["never above max", null, 1e300, 3, 50],
  ])("%s", (_, target, value, desired, expected) => {
    const autoscaler = external(target);
    expect(sizeOf(autoscaler, reads(autoscaler, value, snap(desired)))).toBe(expected);
  });

  test("a smaller load takes idle nodes only; a smaller size is the operator's own", () => {
    const load = external(8);
    expect(sizeOf(load, reads(load, 0, snap(9, { spare: 2 })))).toBe(7);
    const wanted = external();
    expect(sizeOf(wanted, reads(wanted, 4, snap(9, { spare: 0 })))).toBe(4);
  });

  test("not read, failed or old: held, with the reason", () => {
    const autoscaler = external(null, { intervalMs: 10_000 });
    expect(recommend(autoscaler, snap(5)).because).toBe("prometheus: not read yet");
    const fresh = reads(autoscaler, 2, snap(5), 30_000);
    expect(sizeOf(autoscaler, fresh)).toBe(2);
    const old = reads(autoscaler, 2, snap(5), 30_001);
    expect(recommend(autoscaler, old)).toMatchObject({
      kind: "hold",
      cause: "unknown",
      because: "prometheus: the last reading, 2, is 30 s old",
    });
    const future = reads(autoscaler, 2, snap(5), -30_001);
    expect(sizeOf(autoscaler, future)).toBe("hold unknown");
    const failed = new Map([[autoscaler, { reading: null, problem: "HTTP 500" }]]);
    expect(recommend(autoscaler, snap(5, { metrics: failed })).because).toBe(
      "prometheus: HTTP 500",
    );
  });

  test("a reading outlives failures until it expires", () => {
    const autoscaler = external(null, { expiryMs: 60_000 });
    const from = reads(autoscaler, 6, snap(5), 59_000);
    const sight = { reading: { value: 6, at: from.now - 59_000 }, problem: "HTTP 503" };
    expect(sizeOf(autoscaler, { ...from, metrics: new Map([[autoscaler, sight]]) })).toBe(6);
  });

  test("within a window and beside others it is an autoscaler like any", () => {
    const autoscaler = external();
    const open = scheduled([window("0:00", "24:00")], "UTC", autoscaler);
    expect(sizeOf(open, reads(autoscaler, 40, snap(5)))).toBe(8);
    const both = composite("max", autoscaler, reactive());
    expect(sizeOf(both, reads(autoscaler, 3, snap(5, { utilization: 90 })))).toBe(6);
    expect(sizeOf(both, snap(5, { utilization: 90 }))).toBe(6);
  });

  test("more is never fewer, and the same twice changes nothing", () => {
    const number = fc.double({ min: 0, max: 1_000, noNaN: true });
    const nodes = fc.integer({ min: 1, max: 50 });
    fc.assert(
      fc.property(
        number,
        number,
        nodes,
        fc.nat(50),
        fc.boolean(),
        (a, b, desired, idle, isLoad) => {
          const autoscaler = external(isLoad ? 8 : null);
          const from = snap(desired, { spare: Math.min(idle, desired) });
          const size = (value: number, at = from): number =>
            Number(sizeOf(autoscaler, reads(autoscaler, value, at)));
          expect(size(Math.max(a, b))).toBeGreaterThanOrEqual(size(Math.min(a, b)));
          const next = size(a);
          // What left was idle; what came is not busy yet.
          const spare = Math.max(0, next - (desired - from.spare));
          expect(size(a, snap(next, { spare }))).toBe(next);
        },
      ),
    );
  });
});

describe("recommend() idle", () => {
  const workers = (...states: [WorkerSight["state"], number?][]): WorkerSight[] =>
    states.map(([state, busy = 0], index) => ({ id: `n${index}`, state, busy }));
  const pool = (list: WorkerSight[], more: Partial<Snapshot> = {}): Snapshot =>
    snap(list.length, { workers: list, min: 0, ...more });

  test.each([
    ["keeps one free node", idle(1), pool(workers(["running", 1])), 2],
    ["has one", idle(1), pool(workers(["running", 1], ["idle"])), 2],
    ["one that boots is one", idle(1), pool(workers(["running", 1], ["pending"])), 2],
    [
      "one that is wanted and not yet asked for is one",
      idle(1),
      snap(2, { workers: workers(["running", 1]) }),
      2,
    ],
    ["waiting jobs take theirs first", idle(1), pool(workers(["idle"]), { waiting: 3 }), 4],
    [
      "above the maximum at once",
      idle(1, 2),
      pool(workers(["idle"], ["idle"], ["idle"], ["idle"])),
      2,
    ],
    ["busy nodes stay", idle(0, 0), pool(workers(["running", 1], ["running", 2])), 2],
    ["slots of a busy node count", idle(2, 4, 4), pool(workers(["running", 2])), 1],
    ["processes beyond the slots are no debt", idle(1, 1, 2), pool(workers(["running", 8])), 2],
    ["never above max", idle(9), pool(workers(["running", 1]), { max: 3 }), 3],
    ["an unknown node: held", idle(1), pool(workers(["unknown"])), "hold unknown"],
    ["an unknown queue: held", idle(1), pool(workers(["idle"]), { waiting: null }), "hold unknown"],
  ])("%s", (_, autoscaler, from, expected) => expect(sizeOf(autoscaler, from)).toBe(expected));

  test("one node too many leaves after the decay, and not twice", () => {
    const autoscaler = idle(1, 3);
    const two = pool(workers(["idle"], ["idle"]), { mono: 60_000 });
    expect(sizeOf(autoscaler, two)).toBe(2);
    expect(
      sizeOf(autoscaler, { ...two, surplus: new Map([[autoscaler, { since: 1, peak: 0 }]]) }),
    ).toBe(2);
    const since = new Map([[autoscaler, { since: 0, peak: 0 }]]);
    expect(sizeOf(autoscaler, { ...two, surplus: since })).toBe(1);
    // The wanted size is 1 already, and the second node is on its way out.
    expect(sizeOf(autoscaler, { ...two, desired: 1, surplus: since })).toBe(1);
  });

  test("growth is a floor that waits for no cooldown; a removal waits", () => {
    expect(recommend(idle(1), pool(workers(["running", 1])))).toMatchObject({ cause: "bounds" });
    const many = pool(workers(["idle"], ["idle"], ["idle"]));
    expect(recommend(idle(1, 1), many)).toMatchObject({ nodes: 1, cause: "signal" });
    expect(recommend(idle(1, 1), many).because).toBe(
      "3 slots free or on their way, 1 to 1 are wanted",
    );
  });
});
