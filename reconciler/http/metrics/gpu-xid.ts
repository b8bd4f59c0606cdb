/**
 * XID errors by GPU, bounded: GPU and code in a finding come from its node, and a node that invents
 * both must not fill the memory or the page. Beyond a bound errors are counted as `other`. Pure.
 */
import { LIMIT } from "../../../schema/limit.ts";
import { labelsOf, Series } from "./series.ts";

const OTHER = "other";
/** Series in one slice of the page: about 200 KiB of text. */
const SLICE_SERIES = 2_000;

export type SeriesLimits = { node: number; all: number };

/** The values of one label: the first `max`, then `other`. */
export class LabelValues {
  private readonly known: Set<string>;
  private readonly max: number;

  constructor(max: number, known: Iterable<string> = []) {
    this.known = new Set(known);
    this.max = max;
  }

  of(value: string): string {
    if (this.known.has(value)) return value;
    if (this.known.size >= this.max) return OTHER;
    this.known.add(value);
    return value;
  }

  /** Adds a value of the configuration, which the bound does not limit. */
  add(value: string): void {
    this.known.add(value);
  }
}

type Error = { pool: string; node: string; gpu: string; xid: string };

export class GpuXids {
  private readonly limits: SeriesLimits;
  private readonly byNode = new Map<string, Map<string, number>>();
  private series = 0;

  constructor(limits: SeriesLimits = { node: LIMIT.xidSeriesPerNodeMax, all: LIMIT.xidSeriesMax }) {
    this.limits = limits;
  }

  count({ pool, node, gpu, xid }: Error): void {
    const own = labelsOf({ pool, node_id: node, gpu_index: gpu, xid });
    if (this.tryAdd(node, own, this.limits.node)) return;
    // One series more for all other errors of the node.
    const rest = labelsOf({ pool, node_id: node, gpu_index: OTHER, xid: OTHER });
    if (this.tryAdd(node, rest, this.limits.node + 1)) return;
    const all = labelsOf({ pool: OTHER, node_id: OTHER, gpu_index: OTHER, xid: OTHER });
    this.put(OTHER, all);
  }

  /** Removes the series of a node that is gone. */
  forget(node: string): void {
    this.series -= this.byNode.get(node)?.size ?? 0;
    this.byNode.delete(node);
  }

  /** Series in memory. */
  get size(): number {
    return this.series;
  }

  *print(): Generator<Uint8Array> {
    const page = new Series("navarch_gpu_xid_errors_total", "counter");
    let lines = 0;
    for (const counts of this.byNode.values()) {
      for (const [labels, count] of counts) {
        page.raw(count, labels);
        if (++lines % SLICE_SERIES === 0) yield page.take();
      }
    }
    yield page.take();
  }

  private tryAdd(node: string, labels: string, nodeMax: number): boolean {
    const counts = this.byNode.get(node);
    const isNew = counts?.has(labels) !== true;
    if (isNew && ((counts?.size ?? 0) >= nodeMax || this.series >= this.limits.all)) return false;
    this.put(node, labels);
    return true;
  }

  private put(node: string, labels: string): void {
    const counts = this.byNode.get(node) ?? new Map<string, number>();
    this.byNode.set(node, counts);
    if (!counts.has(labels)) this.series++;
    counts.set(labels, (counts.get(labels) ?? 0) + 1);
  }
}
