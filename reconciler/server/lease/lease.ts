/**
 * The lease that decides who leads when control planes share a database. A candidate takes over
 * only after it has seen the same holder, epoch and renewal for the whole expiry time, on its own
 * monotonic clock. A holder counts from before it sent its last renewal, and stops a margin before
 * the expiry. So no two clocks are compared, and two holders act at once only if one is frozen
 * between its check and its act (docs/reference/safety.md#leadership). The store refuses the writes
 * of such a holder, and `remainingMs` its next calls.
 */
import type { Permit } from "../../runtime/act/run.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { LeaseRow, LeaseTable } from "../../core/store-table.ts";

export type LeaseTiming = {
  /** Between two renewals. */
  renewMs: number;
  /** How long a candidate must see no renewal. */
  expiryMs: number;
  /** How much earlier the holder stops, because clocks of two machines run at different speeds. */
  marginMs: number;
  /** Between two looks of a candidate. */
  pollMs: number;
};

/**
 * A killed leader is replaced within `expiry + poll` plus the load: 12 s leave two seconds of the
 * promised 15 s for the start. Renewing every 2 s instead of 5 s keeps `expiry − renew − margin` at
 * the 7 s that an unfenced call may last.
 */
export const LEASE_EXPIRY_MS = 12_000;

/** All times in the same proportion; tests use a shorter expiry. */
export function leaseTiming(expiryMs: number): LeaseTiming {
  return { expiryMs, renewMs: expiryMs / 6, marginMs: expiryMs / 4, pollMs: expiryMs / 24 };
}

/** The longest call that a target cannot fence: it must end before another leader can act. */
export function unfencedMs({ expiryMs, renewMs, marginMs }: LeaseTiming): number {
  return expiryMs - renewMs - marginMs;
}

/** One leadership term. A lost term does not return; the next has another epoch. */
export type Term = {
  readonly epoch: number;
  /** Resolves with the reason when this process must not act any more. */
  readonly lost: Promise<string>;
  /** Milliseconds for which this process may still act; 0 = not at all. */
  remainingMs(): number;
  /** Ends it because a write was refused. */
  end(why: string): void;
  /** Ends it, and another process may lead at once. */
  release(): Promise<void>;
};

/**
 * What a term permits: an unfenced call starts only if all of `callMs` is left, because the next
 * leader cannot stop it. `null` = no other process can lead.
 */
export function permitOf(term: Pick<Term, "remainingMs">, callMs: number | null): Permit {
  const may = (fenced: boolean): boolean => {
    const restMs = term.remainingMs();
    return restMs > 0 && (fenced || restMs >= (callMs ?? 0));
  };
  return {
    mayStart: (_operation, fenced) => may(fenced),
    unfencedMs: callMs,
    leads: () => may(false),
  };
}

/** With an embedded database the folder's lock is the lease; it ends with the process. */
export function openLockTerm(epoch: number): Term {
  const { promise, resolve } = Promise.withResolvers<string>();
  let over = false;
  const end = (why: string): void => {
    over = true;
    resolve(why);
  };
  return {
    epoch,
    lost: promise,
    remainingMs: () => (over ? 0 : Number.POSITIVE_INFINITY),
    end,
    release: async () => end("released"),
  };
}

export class Candidate {
  private readonly from: {
    table: LeaseTable;
    clock: Clock;
    log: Log;
    timing: LeaseTiming;
    /** A random id, new at each start of the process. */
    holder: string;
    /** Known once the port is bound. */
    address(): string;
  };
  private seen: { row: LeaseRow; sinceMono: number } | null = null;
  private stopped = false;
  private wake = (): void => undefined;
  private silent = false;

  constructor(from: Candidate["from"]) {
    this.from = from;
  }

  /** The lease as last read; `null` before the first read, or if it was never held. */
  row(): LeaseRow | null {
    return this.seen?.row ?? null;
  }

  /** Waits until this process leads; `looked` is called after each read. `null` = stopped. */
  async win(looked: (ok: boolean) => void): Promise<Term | null> {
    while (!this.stopped) {
      try {
        const term = await this.tryTake();
        this.silent = false;
        if (term !== null) return term;
        looked(true);
      } catch (error) {
        if (!this.silent) {
          this.from.log("warn", "cannot read the lease", { error: String(error) });
        }
        this.silent = true;
        looked(false);
      }
      await this.wait(this.from.timing.pollMs);
    }
    return null;
  }

  stop(): void {
    this.stopped = true;
    this.wake();
  }

  private wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.from.clock.after(ms, resolve);
      this.wake = () => (cancel(), resolve());
    });
  }

  private async tryTake(): Promise<Term | null> {
    const { table, clock, holder, timing, address } = this.from;
    const row = await table.read();
    if (!this.isFree(row) || this.stopped) return null;
    const sentMono = clock.monoMs();
    const expiresAt = clock.wallMs() + timing.expiryMs;
    const epoch = await table.take(row, { holder, address: address(), expiresAt });
    return epoch === null ? null : this.hold(epoch, sentMono);
  }

  /** Whether the lease can be taken, by what this process has seen itself. */
  private isFree(row: LeaseRow | null): boolean {
    const { clock, timing, holder } = this.from;
    const mono = clock.monoMs();
    if (row === null) {
      this.seen = null;
      return true;
    }
    const { seen } = this;
    const still =
      seen !== null &&
      seen.row.holder === row.holder &&
      seen.row.epoch === row.epoch &&
      seen.row.renewal === row.renewal;
    this.seen = { row, sinceMono: still ? seen.sinceMono : mono };
    // Its own, from a lost answer or an ended term: no other process acts on it.
    if (row.holder === "" || row.holder === holder) return true;
    return mono - this.seen.sinceMono >= timing.expiryMs;
  }

  private hold(epoch: number, sentMono: number): Term {
    const { clock, table, timing, holder } = this.from;
    const lost = Promise.withResolvers<string>();
    let untilMono = sentMono + timing.expiryMs - timing.marginMs;
    let over = false;
    let cancelRenewal = (): void => undefined;
    let cancelEnd = (): void => undefined;
    const end = (why: string): void => {
      over = true;
      cancelRenewal();
      cancelEnd();
      lost.resolve(why);
    };
    // A renewal only moves `untilMono`: a timer that fires at the old end is set again.
    const watch = (): void => {
      const restMs = untilMono - clock.monoMs();
      if (restMs <= 0) end("the lease was not renewed in time");
      else cancelEnd = clock.after(restMs, watch);
    };
    const renew = async (): Promise<void> => {
      const sent = clock.monoMs();
      let restMs = timing.renewMs;
      try {
        const kept = await table.renew(holder, epoch, clock.wallMs() + timing.expiryMs);
        if (!kept) return end("another process leads");
        if (clock.monoMs() < untilMono) untilMono = sent + timing.expiryMs - timing.marginMs;
      } catch {
        // Outcome unknown: treat it as failed and retry soon.
        restMs = timing.renewMs / 4;
      }
      if (over) return;
      cancelRenewal = clock.after(restMs, () => void renew());
    };
    cancelRenewal = clock.after(timing.renewMs, () => void renew());
    watch();
    return {
      epoch,
      lost: lost.promise,
      remainingMs: () => (over ? 0 : Math.max(0, untilMono - clock.monoMs())),
      end,
      async release() {
        end("released");
        await table.release(holder, epoch);
      },
    };
  }
}
