/**
 * What size an autoscaler recommends. Pure: a function of its configuration and one snapshot. In
 * every type a size outside min…max is brought back first, and no recommendation leaves them.
 */
import type { Autoscaler } from "../../../schema/config.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { recommendComposite } from "./composite.ts";
import { recommendPredictive } from "./predictive.ts";
import { recommendQueue } from "./queue.ts";
import { recommendReactive } from "./reactive.ts";
import { recommendScheduled } from "./scheduled.ts";
import { clamp, enforce, type Recommendation, type Snapshot } from "./snapshot.ts";

/** A size (perhaps the present one), or `hold` when nothing usable is known. */
export function recommend(autoscaler: Autoscaler, snapshot: Snapshot): Recommendation {
  return enforce(snapshot) ?? clamp(ask(autoscaler, snapshot), snapshot);
}

function ask(autoscaler: Autoscaler, snapshot: Snapshot): Recommendation {
  switch (autoscaler.type) {
    case "reactive":
      return recommendReactive(autoscaler, snapshot);
    case "queue":
      return recommendQueue(autoscaler, snapshot);
    case "scheduled":
      return recommendScheduled(autoscaler, snapshot, recommend);
    case "predictive":
      return recommendPredictive(autoscaler, snapshot, recommend);
    case "composite":
      return recommendComposite(autoscaler, snapshot, recommend);
    default:
      return unreachable(autoscaler);
  }
}

/** Every autoscaler inside `autoscaler`, itself included. */
export function flatten(autoscaler: Autoscaler): Autoscaler[] {
  switch (autoscaler.type) {
    case "reactive":
    case "queue":
      return [autoscaler];
    case "scheduled":
    case "predictive": {
      const { fallback } = autoscaler;
      return [autoscaler, ...(fallback === null ? [] : flatten(fallback))];
    }
    case "composite":
      return [autoscaler, ...autoscaler.autoscalers.flatMap(flatten)];
    default:
      return unreachable(autoscaler);
  }
}
