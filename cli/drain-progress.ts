/**
 * Derives the progress of a drain from the node's events, oldest first. Pure.
 */
import type { EventView } from "../schema/api.ts";

export type DrainProgress = "none" | "draining" | "drained" | "called_off";

const MEANING: Readonly<Record<string, DrainProgress>> = {
  "node.draining": "draining",
  "node.drained": "drained",
  // A node on its way out has no work left to wait for.
  "node.terminating": "drained",
  "node.terminated": "drained",
  "node.uncordoned": "called_off",
  "node.recovered": "called_off",
};

/** The progress after one more event. A new order resets an earlier cancellation. */
export function followDrain(
  progress: DrainProgress,
  event: Pick<EventView, "kind">,
): DrainProgress {
  if (event.kind === "command.issued") return progress === "called_off" ? "none" : progress;
  const next = MEANING[event.kind] ?? progress;
  return next === "called_off" && progress === "none" ? "none" : next;
}
