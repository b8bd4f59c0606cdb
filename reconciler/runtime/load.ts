/**
 * The load of a pool's GPUs, from fresh samples. A sample's age counts from when this process first
 * saw it, on its own monotonic clock: an agent's clock may be wrong.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Presence } from "./presence.ts";

/** An older sample counts as unknown. */
const FRESH_MS = 5 * 60_000;

export class Load {
  private beganMono: number | null = null;

  /** Called by every activation: the first one is when this process began to hear agents. */
  begin(mono: number): void {
    this.beganMono ??= mono;
  }

  /**
   * Mean utilisation of the GPUs of these nodes in percent; `null` if fewer than half of the nodes
   * have a fresh reading, or if one has not reported yet in the first `FRESH_MS` after a start.
   */
  mean(nodes: Iterable<{ id: NodeId }>, presence: Presence, mono: number): number | null {
    const isNew = this.beganMono === null || mono - this.beganMono <= FRESH_MS;
    let sum = 0;
    let count = 0;
    let all = 0;
    let read = 0;
    for (const { id } of nodes) {
      all++;
      const load = presence.load(id);
      if (load === null && isNew) return null;
      if (load === null || load.count === 0 || mono - load.atMono > FRESH_MS) continue;
      sum += load.sum;
      count += load.count;
      read++;
    }
    return count === 0 || read * 2 < all ? null : sum / count;
  }
}
