/**
 * Limits how many machines without a slot end at once (docs/reference/providers.md#orphans), so
 * that a wrong match cannot empty an account in one pass. Pure.
 */
import type { Node } from "../../../schema/node.ts";
import type { NoRoom } from "../say/limit.ts";

/** One sweep lasts this long and may end this share of all nodes, at least one. */
export const SWEEP_MS = 30_000;
const SWEEP_SHARE = 0.01;

export type Sweep = {
  /** True if one more may end now, which spends the sweep. */
  take(node: Node): boolean;
  full(): NoRoom;
};

export function openSweep(nodes: Iterable<Node>, now: number): Sweep {
  let all = 0;
  let used = 0;
  for (const { phase, operation } of nodes) {
    if (phase.kind === "gone") {
      // Counts although it is gone: a cloud may end machines at once.
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
      // An accepted termination is only repeated.
      if (phase.kind === "terminating" && phase.accepted !== null) return true;
      if (used >= max) return false;
      used++;
      return true;
    },
    full: () => ({ code: "sweep_spent", used, max }),
  };
}
