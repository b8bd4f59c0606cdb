/**
 * Moves this process between its roles. With an embedded database it leads from the start to the
 * end, because it has the folder's lock. With a database server it stands by until the lease is
 * won, leads until that is lost, and stands by again: nothing here ends the process.
 */
import type { Front } from "../../http/route/listen.ts";
import type { Store } from "../../core/store.ts";
import { Candidate, LEASE_EXPIRY_MS, leaseTiming, openLockTerm, unfencedMs } from "./lease.ts";
import type { LeaseTiming, Term } from "./lease.ts";
import { openLeader, openStandby } from "./role.ts";
import type { Parts, Role, Standby, Unfit } from "./role.ts";

export type Leadership = {
  /** What answers at the moment. */
  front(): Front;
  begin(): void;
  stop(graceMs: number): Promise<void>;
};

export async function openOwnLeadership(parts: Parts, store: Store): Promise<Leadership> {
  const term = openLockTerm(store.epoch ?? 0);
  // Someone else has written here in spite of the lock: then this process must not.
  const led = store.led(term.epoch, () => term.end("the database has another writer"));
  const role = await openLeader(parts, { store: led, term, callMs: null });
  void term.lost.then((why) => {
    if (why !== "released") parts.log("error", "this process must not act any more", { why });
  });
  return {
    front: () => role.front,
    begin: () => role.begin(),
    stop: (graceMs) => role.stop(graceMs),
  };
}

/** `url` is where other replicas reach this one, once the port is bound. */
export async function openSharedLeadership(
  parts: Parts,
  store: Store,
  options: { expiryMs: number | undefined; url(): string },
): Promise<Leadership> {
  const { clock, log } = parts;
  const timing = leaseTiming(options.expiryMs ?? LEASE_EXPIRY_MS);
  const holder = parts.newId();
  const table = store.leaseTable();
  const candidate = new Candidate({ table, clock, log, timing, holder, address: options.url });
  const unfit: Unfit = { why: null };
  const standby = await openStandby(parts, { store, lease: () => candidate.row(), unfit });
  return new SharedLeadership({ parts, store, timing, candidate, standby, unfit });
}

class SharedLeadership implements Leadership {
  private readonly from: {
    parts: Parts;
    store: Store;
    timing: LeaseTiming;
    candidate: Candidate;
    standby: Standby;
    unfit: Unfit;
  };
  private standby: Standby;
  private role: Role;
  private term: Term | null = null;
  /** The last leader's end, and the turns of this process. */
  private ended: Promise<void> = Promise.resolve();
  private turns: Promise<void> = Promise.resolve();
  private stopping = false;

  constructor(from: SharedLeadership["from"]) {
    this.from = from;
    this.standby = from.standby;
    this.role = from.standby;
  }

  front(): Front {
    return this.role.front;
  }

  begin(): void {
    this.turns = this.serve();
  }

  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    this.from.candidate.stop();
    await this.role.stop(graceMs);
    await this.term?.release().catch((error: unknown) => {
      this.from.parts.log("warn", "the lease was not given back", { error: String(error) });
    });
    await this.turns;
    await this.ended;
  }

  private async serve(): Promise<void> {
    const { parts, timing } = this.from;
    while (!this.stopping) {
      try {
        await this.takeTurn();
      } catch (error) {
        this.from.unfit.why = String(error);
        parts.log("error", "cannot take the lead", { error: String(error) });
        await this.term?.release().catch(() => undefined);
        await new Promise<void>((resolve) => void parts.clock.after(timing.pollMs, resolve));
      }
    }
  }

  /** Stands by and wins; leads and loses. */
  private async takeTurn(): Promise<void> {
    const { parts, store, timing, candidate, unfit } = this.from;
    if (this.role !== this.standby) {
      this.standby = await openStandby(parts, { store, lease: () => candidate.row(), unfit });
      this.role = this.standby;
    }
    const term = await candidate.win((ok) => {
      parts.turned(ok);
      if (ok) this.standby.looked();
    });
    if (term === null) return;
    this.term = term;
    const { epoch } = term;
    const led = store.led(epoch, () => term.end("a write was refused: another one leads"));
    const leader = await openLeader(parts, { store: led, term, callMs: unfencedMs(timing) });
    if (this.stopping || term.remainingMs() === 0) {
      // It has told everyone that it leads, and has not begun to.
      this.role = leader;
      return leader.stop(0);
    }
    const before = this.standby;
    this.role = leader;
    void before.stop(0);
    leader.begin();
    unfit.why = null;
    parts.log("info", "leads", { epoch });
    const why = await term.lost;
    if (this.stopping) return;
    parts.log("warn", "leads no more", { epoch, why });
    // The old loop may be waiting for a call or for the database: that is no reason to wait for it.
    this.ended = leader.stop(0);
  }
}
