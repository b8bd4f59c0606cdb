/**
 * The load of a pool's GPUs, from fresh samples. Memory only. A sample's age counts from when this
 * process first saw it, on its own monotonic clock: an agent's clock may be wrong, and an agent
 * whose sampler hangs repeats the same sample.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Sample } from "../../schema/report.ts";
import type { Presence } from "./presence.ts";

/** An older sample counts as unknown. */
const FRESH_MS = 5 * 60_000;
/** The resolution of a sample's age. */
const LOOK_MS = 10_000;

export class Load {
  private seen = new Map<NodeId, { sample: Sample; sinceMono: number }>();
  private lookedMono: number | null = null;
  private beganMono: number | null = null;

  /** Called by every activation; reads samples at most every ten seconds. */
  look(nodes: Iterable<NodeId>, presence: Presence, mono: number): void {
    if (this.lookedMono !== null && mono - this.lookedMono < LOOK_MS) return;
    this.lookedMono = mono;
    this.beganMono ??= mono;
    const next: typeof this.seen = new Map();
    for (const id of nodes) {
      const sample = presence.sample(id);
      if (sample === null) continue;
      const before = this.seen.get(id);
      next.set(id, before?.sample === sample ? before : { sample, sinceMono: mono });
    }
    this.seen = next;
  }

  /**
   * Mean utilisation of the GPUs of these nodes in percent; `null` if fewer than half of the nodes
   * have a fresh reading, or if one has not reported yet in the first `FRESH_MS` after a start.
   */
  mean(nodes: Iterable<{ id: NodeId }>, mono: number): number | null {
    const isNew = this.beganMono === null || mono - this.beganMono <= FRESH_MS;
    let sum = 0;
    let count = 0;
    let all = 0;
    let read = 0;
    for (const { id } of nodes) {
      all++;
      const seen = this.seen.get(id);
      if (seen === undefined && isNew) return null;
      if (seen === undefined || mono - seen.sinceMono > FRESH_MS) continue;
      const before = count;
      for (const gpu of seen.sample.gpus) {
        if (typeof gpu.utilization_percent !== "number") continue;
        sum += gpu.utilization_percent;
        count++;
      }
      if (count > before) read++;
    }
    return count === 0 || read * 2 < all ? null : sum / count;
  }
}
