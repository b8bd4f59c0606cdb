/**
 * Refuses calls that carry an older fence than one already seen for the same node, for clouds that
 * cannot refuse them. Memory of one process: a call of an earlier leader that is already on its way
 * is bounded by that call's time limit. Pure.
 */
import type { Fence } from "../core/provider.ts";

/** More nodes than one control plane has; the oldest is forgotten first. */
const NODES_MAX = 200_000;

export type StaleFence = {
  kind: "refused";
  class: "stale_fence";
  message: string;
  retryAfterMs: null;
};

export class Fences {
  readonly #seen = new Map<string, number>();

  /** `null` if the call may go out; its fence counts from then on. */
  check({ nodeId, fence }: Fence): StaleFence | null {
    const newest = this.#seen.get(nodeId) ?? fence;
    if (fence < newest) {
      const message = `fence ${fence} of ${nodeId} is older than ${newest}`;
      return { kind: "refused", class: "stale_fence", message, retryAfterMs: null };
    }
    this.#seen.delete(nodeId);
    this.#seen.set(nodeId, fence);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > NODES_MAX && oldest !== undefined) this.#seen.delete(oldest);
    return null;
  }
}
