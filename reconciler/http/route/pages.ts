/**
 * Limits on concurrent reads of the metrics page, which needs no credential and takes a second of
 * work in a large fleet: some per caller, more in total. A page that is not read frees its place.
 */
import type { Clock } from "../../core/clock.ts";

export type PageLimits = { caller: number; all: number };

/** A page that is not read by then, such as the answer to a HEAD, frees its place. */
const BEGIN_MS = 5_000;

export class Pages {
  private readonly clock: Pick<Clock, "after">;
  private readonly limits: PageLimits;
  private readonly byCaller = new Map<string, number>();
  private all = 0;

  constructor(clock: Pick<Clock, "after">, limits: PageLimits = { caller: 2, all: 8 }) {
    this.clock = clock;
    this.limits = limits;
  }

  /** The same slices, holding a place until they end; `null` = no place is free. */
  open<T>(caller: string, slices: AsyncIterable<T>): AsyncIterable<T> | null {
    const own = this.byCaller.get(caller) ?? 0;
    if (own >= this.limits.caller || this.all >= this.limits.all) return null;
    this.count(caller, 1);
    let held = true;
    const release = (): void => {
      if (held) this.count(caller, -1);
      held = false;
    };
    const cancel = this.clock.after(BEGIN_MS, release);
    async function* page(): AsyncGenerator<T> {
      cancel();
      try {
        yield* slices;
      } finally {
        release();
      }
    }
    return page();
  }

  private count(caller: string, by: 1 | -1): void {
    this.all += by;
    const own = (this.byCaller.get(caller) ?? 0) + by;
    if (own > 0) this.byCaller.set(caller, own);
    else this.byCaller.delete(caller);
  }
}
