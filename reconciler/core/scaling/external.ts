/**
 * The size of a pool by a number from outside: the wanted size itself, or a load with what one node
 * serves. Pure; `runtime/metric-watch.ts` reads the sources.
 */
import type { Autoscaler, PoolConfig } from "../../../schema/config.ts";
import { EXPIRY_INTERVALS } from "../../../schema/config/autoscaler.ts";
import type { MetricSight } from "../fleet.ts";
import { hold, size, sizeByLoad, type Recommendation, type Snapshot } from "./snapshot.ts";

export type External = Extract<Autoscaler, { type: "external" }>;

/** Keeps the rounding error of a division from adding a node. */
const EPSILON = 1e-9;

/** Names a pool's `index`th autoscaler among the flattened ones, for its readings. */
export function metricKey(pool: PoolConfig["name"], index: number): string {
  return `${pool}#${index}`;
}

export function expiryOf({ intervalMs, expiryMs }: External): number {
  return expiryMs ?? EXPIRY_INTERVALS * intervalMs;
}

/** The reading that counts, or why there is none; a clock set back makes none younger. */
export function readingOf(
  autoscaler: External,
  seen: MetricSight | null,
  now: number,
): { value: number } | { why: string } {
  const { source } = autoscaler;
  const reading = seen?.reading ?? null;
  const problem = seen?.problem ?? null;
  if (reading === null) return { why: `${source}: ${problem ?? "not read yet"}` };
  const ageMs = Math.abs(now - reading.at);
  if (ageMs <= expiryOf(autoscaler)) return { value: reading.value };
  const last = `the last reading, ${reading.value}, is ${Math.round(ageMs / 1_000)} s old`;
  return { why: `${source}: ${problem === null ? "" : `${problem}; `}${last}` };
}

export function recommendExternal(autoscaler: External, snapshot: Snapshot): Recommendation {
  const { source, targetPerNode } = autoscaler;
  const seen = snapshot.metrics.get(autoscaler) ?? null;
  const reading = readingOf(autoscaler, seen, snapshot.now);
  if ("why" in reading) return hold(reading.why, "unknown");
  const { value } = reading;
  if (targetPerNode === null) {
    return size(Math.ceil(value - EPSILON), `${source} asks for ${value} nodes`);
  }
  const needed = Math.ceil(value / targetPerNode - EPSILON);
  return sizeByLoad(needed, `${source} reads ${value} at ${targetPerNode} a node`, snapshot);
}
