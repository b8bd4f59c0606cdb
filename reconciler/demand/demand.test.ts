/** What is known of a pool's queue and load, and when it stops being known. */
import { describe, expect, test } from "bun:test";
import type { Autoscaler } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Sample } from "../../schema/report.ts";
import { Presence } from "../presence.ts";
import { demandProblem, freshDemand, wantsDemand, type Demand } from "./demand.ts";
import { Load } from "./load.ts";

const AT = 1_000_000;
const INTERVAL = 30_000;
const demand: Demand = { pendingJobs: 1, queueDepth: 3, observedAt: AT, by: "ci" };
const queue: Autoscaler = { type: "queue", jobsPerNode: 1, count: "pods" };
const reactive: Autoscaler = {
  type: "reactive",
  scaleUpThreshold: 80,
  scaleDownThreshold: 20,
  step: 1,
};

describe("freshDemand()", () => {
  test.each([
    ["now", AT, true],
    ["three evaluations later", AT + 3 * INTERVAL, true],
    ["after three evaluations", AT + 3 * INTERVAL + 1, false],
    ["on a clock set back by a little", AT - 1_000, true],
    ["on a clock set back by an hour", AT - 3_600_000, false],
  ])("%s", (_, now, fresh) => {
    expect(freshDemand(demand, now, INTERVAL) !== null).toBe(fresh);
  });
});

test("wantsDemand() finds a queue at any depth", () => {
  const deep: Autoscaler = { type: "composite", mode: "max", autoscalers: [reactive, queue] };
  const fallback: Autoscaler = { type: "scheduled", schedule: [], timezone: "UTC", fallback: deep };
  expect(wantsDemand(fallback)).toBe(true);
  expect(wantsDemand(reactive)).toBe(false);
  expect(wantsDemand(null)).toBe(false);
});

test("demandProblem() speaks only where a queue is wanted and not known", () => {
  expect(demandProblem(queue, null, AT, INTERVAL)).toContain("unknown, not empty");
  expect(demandProblem(queue, demand, AT, INTERVAL)).toBeNull();
  expect(demandProblem(queue, demand, AT + 10 * INTERVAL, INTERVAL)).toContain("queue depth 3");
  expect(demandProblem(reactive, null, AT, INTERVAL)).toBeNull();
});

describe("Load", () => {
  const id = (name: string): { id: NodeId } => ({ id: name as NodeId });
  const sample = (...loads: (number | null)[]): Sample => ({
    at: new Date(AT).toISOString(),
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
    load.look(["a" as NodeId, "b" as NodeId], presence, 0);
    expect(load.mean([id("a"), id("b"), id("c")], 0)).toBe(50);
    expect(load.mean([id("c")], 0)).toBeNull();
  });

  test("mean() forgets a sample after five minutes, also of an agent that still beats", () => {
    const presence = new Presence(0, AT);
    const a = "a" as NodeId;
    presence.note(a, 0, AT, sample(70));
    const load = new Load();
    for (let mono = 0; mono <= 300_000; mono += 10_000) {
      presence.note(a, mono, AT + mono, null);
      load.look([a], presence, mono);
    }
    expect(load.mean([id("a")], 300_000)).toBe(70);
    expect(load.mean([id("a")], 300_001)).toBeNull();
    presence.note(a, 310_000, AT + 310_000, sample(30));
    load.look([a], presence, 310_000);
    expect(load.mean([id("a")], 310_000)).toBe(30);
  });
});
