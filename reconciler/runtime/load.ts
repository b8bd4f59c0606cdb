/**
 * How loaded a pool's GPUs are, from samples that are fresh. Memory only. When a sample was taken
 * is judged by when this process first saw it, on its own monotonic clock: an agent's clock may be
 * wrong, and an agent that still beats while its sampler hangs repeats the same sample for ever.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Sample } from "../../schema/report.ts";
import type { Presence } from "./presence.ts";

/** A sample says something about now for this long. */
const FRESH_MS = 5 * 60_000;
/** Samples are looked at this often: the resolution of their age, cheap beside an activation. */
const LOOK_MS = 10_000;

export class Load {
  private seen = new Map<NodeId, { sample: Sample; sinceMono: number }>();
  private lookedMono: number | null = null;
  private beganMono: number | null = null;

  /** Called by every activation; looks at most every ten seconds. */
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
   * Mean utilisation of every GPU of these nodes in percent, or `null` if it is not known: fewer
   * than half of them have a fresh reading, which says nothing about the others. After a start
   * agents come back one by one: until all have spoken, or would be stale, nothing is known either.
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
