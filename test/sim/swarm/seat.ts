/**
 * One replica's claim to lead, on the product's own lease in the database of the fleet: it waits
 * until the holder is silent for the expiry, then renews. Its clock stops with its process.
 */
import type { Client } from "@libsql/client";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { Store } from "../../../reconciler/core/store.ts";
import type { Permit } from "../../../reconciler/runtime/act/run.ts";
import {
  Candidate,
  LEASE_EXPIRY_MS,
  leaseTiming,
  permitOf,
  type Term,
  unfencedMs,
} from "../../../reconciler/server/lease/lease.ts";
import { openLeaseTable } from "../../../reconciler/store/lease.ts";
import { migrate } from "../../../reconciler/store/migrate.ts";
import { ProcessClock } from "../../../simulator/engine/clock.ts";

const TIMING = leaseTiming(LEASE_EXPIRY_MS);

export class Seat {
  readonly clock: ProcessClock;
  readonly #candidate: Candidate;
  #term: Term | null = null;

  private constructor(clock: ProcessClock, client: Client, holder: string) {
    this.clock = clock;
    this.#candidate = new Candidate({
      table: openLeaseTable(client),
      clock,
      log: () => undefined,
      timing: TIMING,
      holder,
      address: () => holder,
    });
    void this.#candidate.win(() => undefined).then((term) => (this.#term = term));
  }

  /** Begins to wait. */
  static async take(clock: Clock, client: Client, holder: string): Promise<Seat> {
    await migrate(client, clock.wallMs());
    return new Seat(new ProcessClock(clock), client, holder);
  }

  get leads(): boolean {
    return (this.#term?.remainingMs() ?? 0) > 0;
  }

  /** Its term ended. */
  get isOver(): boolean {
    return this.#term !== null && !this.leads;
  }

  get permit(): Permit {
    return permitOf({ remainingMs: () => this.#term?.remainingMs() ?? 0 }, unfencedMs(TIMING));
  }

  led(store: Store): Store {
    const term = this.#term;
    if (term === null) throw new Error("this replica does not lead");
    return store.led(term.epoch, () => term.end("a write was refused: another one leads"));
  }

  /** Its process is gone. */
  leave(): void {
    this.#candidate.stop();
    this.clock.end();
  }
}
