/** The port of metrics sources: how the number of an `external` autoscaler is read. */
import type { PoolName } from "../../../schema/id.ts";
import type { External } from "./external.ts";

/** What a source may know of the pool. */
export type MetricPool = { name: PoolName; desired: number; min: number; max: number };

export type MetricAnswer =
  /** Finite and not negative. */
  | { kind: "value"; value: number }
  /** Absent, unreadable or no number: nothing is known. The message names no secret. */
  | { kind: "failed"; message: string };

/** One reading, within the source's timeout. Never rejects and never retries. */
export type ReadMetric = (source: External, pool: MetricPool) => Promise<MetricAnswer>;

/** `found` as an answer: whatever is no finite number of at least 0 is no reading. */
export function answerOf(found: unknown): MetricAnswer {
  if (typeof found !== "number") return { kind: "failed", message: "the value is no number" };
  if (Number.isFinite(found) && found >= 0) return { kind: "value", value: found };
  const what = Number.isFinite(found) ? "negative" : String(found);
  return { kind: "failed", message: `the value is ${what}` };
}
