/**
 * Mean GPU utilisation against two thresholds, one step at a time. Pure. While earlier purchases
 * still boot, no more is bought than the measured load explains: a node that takes fifteen minutes
 * to come up must not be bought again at every cooldown.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { hold, formatPercent, size, type Recommendation, type Snapshot } from "./snapshot.ts";

type Reactive = Extract<Autoscaler, { type: "reactive" }>;

export function recommendReactive(autoscaler: Reactive, snapshot: Snapshot): Recommendation {
  const { scaleUpThreshold: up, scaleDownThreshold: down, step } = autoscaler;
  const { desired, utilization, registered } = snapshot;
  if (utilization === null) return hold("GPU utilisation is unknown", "unknown");
  const seen = `GPU utilisation ${formatPercent(utilization)}`;
  if (utilization > up) {
    const nodes = boundedGrowth(desired + step, (registered * utilization) / up, step, snapshot);
    const because = `${seen} is above ${formatPercent(up)}`;
    if (nodes > desired) return size(nodes, because);
    return size(desired, `${because}, and what was bought for it is still coming up`);
  }
  if (utilization < down) {
    // Never so few that their load would ask for more at once.
    const least = Math.min(desired - 1, Math.ceil((registered * utilization) / up - 1e-9));
    return size(Math.max(0, least, desired - step), `${seen} is below ${formatPercent(down)}`);
  }
  return size(desired, `${seen} is within ${formatPercent(down)} and ${formatPercent(up)}`);
}

/**
 * `wanted`, but not beyond what the nodes that carry the load would need (`need`), and never below
 * the present size. With nothing booting this changes nothing: one step above what is registered is
 * free.
 */
export function boundedGrowth(
  wanted: number,
  need: number,
  step: number,
  snapshot: Snapshot,
): number {
  const { desired, registered } = snapshot;
  // A sum of floating numbers may end a hair above a whole node.
  const explained = Math.max(Math.ceil(need - 1e-9), registered + step);
  return Math.max(desired, Math.min(wanted, explained));
}
