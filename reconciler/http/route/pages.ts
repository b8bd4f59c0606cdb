/**
 * Who reads the metrics page at once. Nobody has to say who they are, and a large fleet's page is
 * a second of work: a caller may read a few at once, all together some more, and one that is never
 * read gives its place back.
 */
import type { Clock } from "../../core/clock.ts";

export type PageLimits = { caller: number; all: number };

/** A page that nobody has begun to read by then, such as the answer to a HEAD, has no place. */
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

  /** The same slices with a place until their end; `null` = there is none. */
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
