/**
 * Refuses calls that carry an older fence than one already seen for the same node, for clouds that
 * cannot refuse them. Each process knows only its own calls: one that an earlier leader has already
 * sent is bounded by its time limit. Pure.
 */
import type { Fence } from "../../core/provider.ts";

/** More nodes than one control plane has; the oldest is forgotten first. */
const NODES_MAX = 200_000;

export type StaleFence = {
  kind: "refused";
  class: "stale_fence";
  message: string;
  retryAfterMs: null;
};

export function staleFence(
  { nodeId, fence }: Pick<Fence, "nodeId" | "fence">,
  newest: number,
): StaleFence {
  const message = `fence ${fence} of ${nodeId} is older than ${newest}`;
  return { kind: "refused", class: "stale_fence", message, retryAfterMs: null };
}

export class Fences {
  readonly #seen = new Map<string, number>();

  /** Returns `null` and records the fence if the call may be sent. */
  check({ nodeId, fence }: Fence): StaleFence | null {
    const newest = this.#seen.get(nodeId) ?? fence;
    if (fence < newest) return staleFence({ nodeId, fence }, newest);
    this.#seen.delete(nodeId);
    this.#seen.set(nodeId, fence);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > NODES_MAX && oldest !== undefined) this.#seen.delete(oldest);
    return null;
  }
}
