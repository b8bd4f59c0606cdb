/** What is known of a pool's queue and load, and when it stops being known. */
import { describe, expect, test } from "bun:test";
import type { Autoscaler } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Sample } from "../../../schema/report.ts";
import { Presence } from "../../runtime/presence.ts";
import type { QueueSight } from "../fleet.ts";
import {
  demandProblem,
  demandWarning,
  fresh,
  knownQueue,
  unitOf,
  wantsDemand,
  type Demand,
} from "./demand.ts";
import { Load } from "../../runtime/load.ts";

const AT = 1_000_000;
const INTERVAL = 30_000;
const demand: Demand = { pendingJobs: 1, queueDepth: 3, observedAt: AT, by: "ci" };
const seen: QueueSight = {
  pendingJobs: 9,
  queueDepth: 24,
  pendingGpus: 9,
  gpuDepth: 24,
  observedAt: AT,
  source: "kubernetes",
};
const queue: Extract<Autoscaler, { type: "queue" }> = {
  type: "queue",
  scaleDownAfterMs: 0,
  jobsPerNode: 1,
  count: "pods",
};
const reactive: Autoscaler = {
  type: "reactive",
  scaleUpThreshold: 80,
  scaleDownThreshold: 20,
  step: 1,
};

describe("fresh()", () => {
  test.each([
    ["now", AT, true],
    ["three evaluations later", AT + 3 * INTERVAL, true],
    ["after three evaluations", AT + 3 * INTERVAL + 1, false],
    ["on a clock set back by a little", AT - 1_000, true],
    ["on a clock set back by an hour", AT - 3_600_000, false],
  ])("%s", (_, now, counts) => {
    expect(fresh(demand, now, INTERVAL) !== null).toBe(counts);
  });
});

test("wantsDemand() finds a queue at any depth", () => {
  const deep: Autoscaler = { type: "composite", mode: "max", autoscalers: [reactive, queue] };
  const fallback: Autoscaler = { type: "scheduled", schedule: [], timezone: "UTC", fallback: deep };
  expect(wantsDemand(fallback)).toBe(true);
  expect(wantsDemand(reactive)).toBe(false);
  expect(wantsDemand(null)).toBe(false);
});

describe("demandProblem()", () => {
  const none = { pushed: null, seen: null };
  const told = { pushed: demand, seen: null };

  test("is set only where a queue is needed and unknown", () => {
    expect(demandProblem(queue, none, AT, INTERVAL)).toContain("unknown, not empty");
    expect(demandProblem(queue, told, AT, INTERVAL)).toBeNull();
    expect(demandProblem(queue, told, AT + 10 * INTERVAL, INTERVAL)).toContain("queue depth 3");
    expect(demandProblem(reactive, none, AT, INTERVAL)).toBeNull();
  });

  test("names the newest source", () => {
    const later = { ...seen, observedAt: AT + 1 };
    const both = demandProblem(
      queue,
      { pushed: demand, seen: later },
      AT + 10 * INTERVAL,
      INTERVAL,
    );
    expect(both).toContain("the last observation of kubernetes (queue depth 24)");
    const earlier = { ...seen, observedAt: AT - 1 };
    const push = demandProblem(queue, { pushed: demand, seen: earlier }, AT + 9e9, INTERVAL);
    expect(push).toContain("the last report (queue depth 3)");
  });
});

describe("knownQueue()", () => {
  const LATE = AT + 3 * INTERVAL + 1;
  const depthAt = (now: number, pushed: Demand | null, look: QueueSight | null): number | null =>
    knownQueue({ pushed, seen: look }, now, INTERVAL)?.queueDepth ?? null;

  test.each<[string, number, Demand | null, QueueSight | null, number | null]>([
    ["there is no source", AT, null, null, null],
    ["only a report", AT, demand, null, 3],
    ["only the scheduler", AT, null, seen, 24],
    ["a fresh report stands before the scheduler", AT, demand, seen, 3],
    ["also before a newer look of it", AT + 9, demand, { ...seen, observedAt: AT + 9 }, 3],
    ["an old report does not", LATE, demand, { ...seen, observedAt: LATE }, 24],
    ["both are old", LATE, demand, seen, null],
    ["an old look", LATE, null, seen, null],
  ])("%s", (_, now, pushed, look, depth) => expect(depthAt(now, pushed, look)).toBe(depth));

  test("says whose word it is, and a report is in the unit of the pool", () => {
    expect(knownQueue({ pushed: demand, seen }, AT, INTERVAL)).toMatchObject({
      source: "ci",
      queueDepth: 3,
      gpuDepth: 3,
    });
    expect(knownQueue({ pushed: null, seen }, AT, INTERVAL)).toMatchObject({
      source: "kubernetes",
      pendingGpus: 9,
      gpuDepth: 24,
    });
  });
});

describe("demandWarning()", () => {
  const warn = (autoscaler: Autoscaler, look: QueueSight): string | null =>
    demandWarning(autoscaler, knownQueue({ pushed: null, seen: look }, AT, INTERVAL));

  test("warns of pods that request several GPUs while pods are counted", () => {
    const wide = { ...seen, gpuDepth: 192 };
    expect(warn(queue, wide)).toContain("24 pods for 192 GPUs");
    expect(warn(queue, wide)).toContain("set count: gpus");
    expect(warn(queue, { ...wide, widePods: 7 } as QueueSight)).toContain("7 pods ask");
    // A pod without a GPU may hide a wide one from the sums; a count does not let it.
    expect(warn(queue, { ...seen, widePods: 2 } as QueueSight)).toContain("2 pods ask");
  });

  test("warns of a pod that asks for more GPUs than a node is counted to have", () => {
    const gpus = { ...queue, count: "gpus", jobsPerNode: 8 } as const;
    expect(warn(gpus, { ...seen, widest: 16 })).toContain(
      "a pod asks for 16 GPUs, more than jobs_per_node: 8",
    );
    expect(warn(gpus, { ...seen, widest: 8 })).toBeNull();
    expect(warn(reactive, { ...seen, widest: 16 })).toBeNull();
  });

  test("is silent where there is nothing to tell", () => {
    const wide = { ...seen, gpuDepth: 192 };
    expect(warn(queue, seen)).toBeNull();
    expect(warn({ ...queue, count: "gpus" }, wide)).toBeNull();
    expect(warn(reactive, wide)).toBeNull();
    expect(demandWarning(queue, null)).toBeNull();
    expect(
      demandWarning(queue, knownQueue({ pushed: demand, seen: null }, AT, INTERVAL)),
    ).toBeNull();
  });
});

test("unitOf() is GPUs only if every queue counts them", () => {
  const gpus: Autoscaler = { ...queue, count: "gpus" };
  const both: Autoscaler = { type: "composite", mode: "max", autoscalers: [queue, gpus] };
  expect([unitOf(queue), unitOf(gpus), unitOf(both), unitOf(null)]).toEqual([
    "pods",
    "gpus",
    "pods",
    "pods",
  ]);
});

describe("Load", () => {
  const id = (name: string): { id: NodeId } => ({ id: name as NodeId });
  let samples = 0;
  const sample = (...loads: (number | null)[]): Sample => ({
    at: new Date(AT + samples++).toISOString(),
    gpus: loads.map((utilization_percent, index) => ({
      index,
      uuid: `GPU-${index}`,
      utilization_percent,
    })),
  });

  test("mean() is over GPUs, and one without a reading does not count as zero", () => {
    const presence = new Presence(0, AT);
    presence.note("a" as NodeId, 0, AT, sample(100, null));
    presence.note("b" as NodeId, 0, AT, sample(40, 10));
    const load = new Load();
    load.begin(0);
    expect(load.mean([id("a"), id("b")], presence, 0)).toBe(50);
    expect(load.mean([id("c")], presence, 0)).toBeNull();
  });

  test("mean() of fewer than half is not the mean of all", () => {
    const presence = new Presence(0, AT);
    presence.note("a" as NodeId, 0, AT, sample(0));
    presence.note("b" as NodeId, 0, AT, sample(60));
    for (const one of ["c", "d", "e"]) presence.note(one as NodeId, 0, AT, sample(null));
    const load = new Load();
    load.begin(0);
    expect(load.mean(["a", "b", "c", "d"].map(id), presence, 0)).toBe(30);
    expect(load.mean(["a", "b", "c", "d", "e"].map(id), presence, 0)).toBeNull();
  });

  test("mean() waits after a start for all, and not for ever for one that says nothing", () => {
    const presence = new Presence(0, AT);
    const load = new Load();
    load.begin(0);
    const a = "a" as NodeId;
    presence.note(a, 10_000, AT + 10_000, sample(0));
    expect(load.mean([id("a"), id("b")], presence, 10_000)).toBeNull();
    presence.note(a, 300_000, AT + 300_000, sample(0));
    expect(load.mean([id("a"), id("b")], presence, 300_000)).toBeNull();
    expect(load.mean([id("a"), id("b")], presence, 300_001)).toBe(0);
    expect(load.mean([id("a"), id("b"), id("c")], presence, 300_001)).toBeNull();
  });

  test("mean() forgets a sample after five minutes, also of an agent that still beats", () => {
    const presence = new Presence(0, AT);
    const a = "a" as NodeId;
    // Its sampler hangs: some reports repeat the last sample.
    const last = sample(70);
    presence.note(a, 0, AT, last);
    const load = new Load();
    load.begin(0);
    for (let mono = 0; mono <= 300_000; mono += 10_000) {
      presence.note(a, mono, AT + mono, mono % 20_000 === 0 ? null : last);
    }
    expect(load.mean([id("a")], presence, 300_000)).toBe(70);
    expect(load.mean([id("a")], presence, 300_001)).toBeNull();
    presence.note(a, 310_000, AT + 310_000, sample(30));
    expect(load.mean([id("a")], presence, 310_000)).toBe(30);
  });
});
