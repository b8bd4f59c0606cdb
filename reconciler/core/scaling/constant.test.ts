/**
 * A constant demand, served by whatever nodes the pool has: every type of autoscaler comes to rest,
 * and rests inside the bounds. A pool that flaps buys and gives back a machine for ever.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Autoscaler } from "../../../schema/config.ts";
import {
  composite,
  external,
  idle,
  predictive,
  queue,
  reactive,
  scheduled,
  snap,
  window,
} from "../../../test/world/autoscaler.ts";
import { FULL_PERCENT } from "./forecast.ts";
import { flatten, recommend, surplusOf } from "./recommend.ts";
import type { Snapshot, WorkerSight } from "./snapshot.ts";

const ROUNDS = 200;
const JOBS_PER_NODE = 8;
const BOUNDS = { min: 1, max: 40 };

/** The pool of `desired` nodes, all there, with the work of `demand` nodes. */
function pool(desired: number, demand: number, more: Partial<Snapshot>): Snapshot {
  const busy = Math.min(desired, Math.ceil(demand));
  const workers = Array.from({ length: desired }, (_, index): WorkerSight => {
    return {
      id: `n${index}`,
      state: index < busy ? "running" : "idle",
      busy: index < busy ? 1 : 0,
    };
  });
  const jobs = Math.ceil(demand * JOBS_PER_NODE);
  return snap(desired, {
    ...BOUNDS,
    spare: desired - busy,
    utilization: Math.min(100, (100 * demand) / desired),
    queueDepth: jobs,
    gpuDepth: jobs,
    waiting: Math.max(0, Math.ceil(demand) - desired),
    workers,
    ...more,
  });
}

/** The sizes of so many evaluations, one node's boot apart. */
function sizes(autoscaler: Autoscaler, start: number, demand: number): number[] {
  const loads: (number | null)[] = [];
  let desired = start;
  let surplus: Snapshot["surplus"] = new Map();
  return Array.from({ length: ROUNDS }, (_, round) => {
    const now = 1_767_600_000_000;
    const mono = round * 60_000;
    const sight = { reading: { value: demand * JOBS_PER_NODE, at: now }, problem: null };
    const metrics = new Map(flatten(autoscaler).map((one) => [one, sight]));
    const from = pool(desired, demand, { metrics, now, mono, surplus });
    const { utilization } = from;
    const isFull = utilization === null || utilization >= FULL_PERCENT;
    loads.push(isFull ? null : utilization * desired);
    const history = loads.slice(-3).map((load) => load && load / desired);
    const answer = recommend(autoscaler, { ...from, history });
    const next = flatten(autoscaler).map((one) => [one, surplusOf(one, from, true)] as const);
    surplus = new Map(next.flatMap(([one, it]) => (it === null ? [] : [[one, it]])));
    if (answer.kind === "size") desired = answer.nodes;
    return desired;
  });
}

/** Close thresholds are where a pool of few nodes would flap. */
const gap = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 20 }));
const thresholds = fc
  .tuple(fc.integer({ min: 30, max: 100 }), gap, fc.integer({ min: 1, max: 9 }))
  .map(([up, below, step]) => reactive(up, Math.max(0, up - below), step));
const jobs = fc.integer({ min: 1, max: 12 }).map(queue);
const slots = fc.tuple(fc.nat(5), fc.option(fc.nat(9))).map((one) => idle(...one));
const ahead = fc
  .option(thresholds)
  .map((fallback): Autoscaler => ({ ...predictive(fallback), horizonMs: 900_000 }));
/** `avg` of members that disagree may alternate between two sizes (docs/autoscaling.md#composite). */
const mode = fc.constantFrom("max" as const, "min" as const);

const TYPES: [string, fc.Arbitrary<Autoscaler>][] = [
  ["reactive, at any thresholds and step", thresholds],
  ["queue", jobs],
  ["predictive", ahead],
  ["idle", slots],
  ["external", fc.constantFrom(external(), external(JOBS_PER_NODE))],
  ["scheduled", thresholds.map((one) => scheduled([window("0:00", "24:00")], "UTC", one))],
  [
    "composite",
    fc.tuple(mode, thresholds, jobs).map(([how, one, other]) => composite(how, one, other)),
  ],
];

test.each(TYPES)("%s comes to rest under a constant demand", (_, type) => {
  const start = fc.integer({ min: 1, max: 40 });
  const upTo = (max: number) => fc.double({ min: 0, max, noNaN: true });
  const demand = fc.oneof(upTo(50), upTo(4));
  fc.assert(
    fc.property(type, start, demand, (autoscaler, desired, work) => {
      const all = sizes(autoscaler, desired, work);
      const rest = all.slice(ROUNDS / 2);
      expect({ all, rest: new Set(rest).size }).toEqual({ all, rest: 1 });
      expect(rest[0]).toBeGreaterThanOrEqual(BOUNDS.min);
      expect(rest[0]).toBeLessThanOrEqual(BOUNDS.max);
    }),
    { numRuns: 300 },
  );
});
