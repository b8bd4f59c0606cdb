/** Whether a drain ended with an empty node. */
import type { Phase } from "./node.ts";

/** Its drain ended, and no work was left on it. */
export function isEmptied(node: { phase: Phase } | null): boolean {
  return node?.phase.kind === "draining" && node.phase.emptied === true;
}
