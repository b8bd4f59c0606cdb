/** Snapshots and autoscalers of tests of recommendations. */
import type { Autoscaler } from "../../schema/config.ts";
import { recommend } from "../../reconciler/core/scaling/recommend.ts";
import type { Snapshot } from "../../reconciler/core/scaling/snapshot.ts";

export const NOW = Date.UTC(2026, 0, 7, 12); // A Wednesday.

/** A pool of `desired` registered, idle nodes of which nothing is known. */
export function snap(desired: number, more: Partial<Snapshot> = {}): Snapshot {
  return {
    desired,
    registered: desired,
    spare: desired,
    min: 1,
    max: 50,
    utilization: null,
    queueDepth: null,
    gpuDepth: null,
    history: [],
    waiting: 0,
    intervalMs: 30_000,
    workers: [],
    surplus: new Map(),
    metrics: new Map(),
    now: NOW,
    mono: 0,
    ...more,
  };
}

/** The recommended size, or why it is held. */
export function sizeOf(autoscaler: Autoscaler, from: Snapshot): number | string {
  const answer = recommend(autoscaler, from);
  return answer.kind === "size" ? answer.nodes : `hold ${answer.cause}`;
}

export type Of<T extends Autoscaler["type"]> = Extract<Autoscaler, { type: T }>;

export const reactive = (up = 80, down = 20, step = 1): Of<"reactive"> => ({
  type: "reactive",
  scaleUpThreshold: up,
  scaleDownThreshold: down,
  step,
});
export const queue = (jobsPerNode = 10): Of<"queue"> => {
  return { type: "queue", jobsPerNode, count: "pods", scaleDownAfterMs: 0 };
};
export const predictive = (fallback: Autoscaler | null = null): Of<"predictive"> => ({
  type: "predictive",
  lookbackWindow: 3,
  growthFactor: 1.2,
  horizonMs: null,
  fallback,
});
export const composite = (
  mode: "max" | "min" | "avg",
  ...autoscalers: Autoscaler[]
): Of<"composite"> => ({ type: "composite", mode, autoscalers });

const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
type Window = Of<"scheduled">["schedule"][number];
export const window = (from: string, to: string, more: Partial<Window> = {}): Window => {
  const minute = (text: string): number => {
    const [hour = 0, rest = 0] = text.split(":").map(Number);
    return hour * 60 + rest;
  };
  const hours = { startMinute: minute(from), endMinute: minute(to) };
  const plain = { cron: null, durationMs: null, minNodes: 4, maxNodes: 8 };
  return { days: EVERY_DAY, ...hours, ...plain, ...more };
};
export const scheduled = (
  schedule: Window[],
  timezone = "UTC",
  fallback: Autoscaler | null = null,
): Of<"scheduled"> => ({ type: "scheduled", schedule, timezone, fallback });
export const idle = (minIdle = 1, maxIdle: number | null = 2, slotsPerNode = 1): Of<"idle"> => ({
  type: "idle",
  minIdle,
  maxIdle,
  slotsPerNode,
  idleDecayMs: 60_000,
});
export const external = (
  targetPerNode: number | null = null,
  more: Partial<Of<"external">> = {},
): Of<"external"> => ({
  type: "external",
  source: "prometheus",
  targetPerNode,
  url: "http://127.0.0.1:9090",
  query: "sum(waiting)",
  pointer: null,
  command: null,
  tokenEnv: null,
  tokenFile: null,
  username: null,
  caFile: null,
  timeoutMs: 10_000,
  intervalMs: 30_000,
  expiryMs: null,
  scaleDownAfterMs: 0,
  ...more,
});

/** The snapshot with a reading of every external part, `ageMs` old. */
export function reads(autoscaler: Autoscaler, value: number, from: Snapshot, ageMs = 0): Snapshot {
  const sight = { reading: { value, at: from.now - ageMs }, problem: null };
  return { ...from, metrics: new Map([[autoscaler, sight]]) };
}
