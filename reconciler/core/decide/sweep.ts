/**
 * How many machines that no slot wants may be ended at once (docs/reference/providers.md#orphans):
 * a mistake in telling ours from ours must not empty an account in one pass. Pure.
 */
import type { Node } from "../../../schema/node.ts";

/** One sweep, and the share of all nodes that it may end; always at least one. */
export const SWEEP_MS = 30_000;
const SWEEP_SHARE = 0.01;

export type Sweep = {
  /** True, and spent, if one more may be ended now. */
  take(node: Node): boolean;
  tell(): string;
};

export function openSweep(nodes: Iterable<Node>, now: number): Sweep {
  let all = 0;
  let used = 0;
  for (const { phase, operation } of nodes) {
    if (phase.kind === "gone") {
      // A cloud that ends machines at once must not be asked for the next at once.
      if (phase.purpose === "surplus" && now - phase.since < SWEEP_MS) used++;
      continue;
    }
    all++;
    if (phase.kind !== "terminating" || phase.purpose !== "surplus") continue;
    const lately = phase.accepted !== null && now - phase.accepted < SWEEP_MS;
    if (lately || operation !== null) used++;
  }
  const max = Math.max(1, Math.floor(all * SWEEP_SHARE));
  return {
    take({ phase }) {
      // One that was accepted before is only asked for again.
      if (phase.kind === "terminating" && phase.accepted !== null) return true;
      if (used >= max) return false;
      used++;
      return true;
    },
    tell: () => `${used} of at most ${max} machines that no slot wants are being ended`,
  };
}
