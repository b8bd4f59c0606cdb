/**
 * Limits on concurrent reads of the metrics page, which needs no credential and takes a second of
 * work in a large fleet: some per caller, more in total. A page that is not read frees its place.
 */
import type { Clock } from "../../core/clock.ts";
import { Places } from "../../core/turn/gate.ts";

/** A page that is not read by then, such as the answer to a HEAD, frees its place. */
const BEGIN_MS = 5_000;
const PLACES = { own: 2, all: 8 };

export class Pages {
  private readonly clock: Pick<Clock, "after">;
  private readonly places: Places;

  constructor(clock: Pick<Clock, "after">, limits = PLACES) {
    this.clock = clock;
    this.places = new Places(limits);
  }

  /** The same slices, holding a place until they end; `null` = no place is free. */
  open<T>(caller: string, slices: AsyncIterable<T>): AsyncIterable<T> | null {
    const release = this.places.take(caller);
    if (release === null) return null;
    const cancel = this.clock.after(BEGIN_MS, release);
    async function* page(leave: () => void): AsyncGenerator<T> {
      cancel();
      try {
        yield* slices;
      } finally {
        leave();
      }
    }
    return page(release);
  }
}
