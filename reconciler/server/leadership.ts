/**
 * Moves this process between its roles. With an embedded database it always leads, because it holds
 * the folder's lock. With a database server it stands by until it wins the lease, leads until it
 * loses it, and stands by again; the process does not end.
 */
import type { Front } from "../http/route/listen.ts";
import type { Store } from "../core/store.ts";
import { pause } from "../core/turn/time-limit.ts";
import {
  Candidate,
  LEASE_EXPIRY_MS,
  leaseTiming,
  openLockTerm,
  unfencedMs,
} from "./lease/lease.ts";
import type { LeaseTiming, Term } from "./lease/lease.ts";
import type { Adopter } from "./adopt.ts";
import { openLeader, openStandby } from "./role.ts";
import type { Parts, Role, Standby, Unfit } from "./role.ts";

export type Leadership = {
  /** What serves requests now. */
  front(): Front;
  /** The configuration of the current role. */
  config(): Adopter;
  begin(): void;
  stop(graceMs: number): Promise<void>;
};

/** `shared`: other processes use the same database. */
export function openLeadership(
  parts: Parts,
  store: Store,
  shared: Parameters<typeof openSharedLeadership>[2] | null,
): Promise<Leadership> {
  return shared === null
    ? openOwnLeadership(parts, store)
    : openSharedLeadership(parts, store, shared);
}

export async function openOwnLeadership(parts: Parts, store: Store): Promise<Leadership> {
  const term = openLockTerm(store.epoch ?? 0);
  // Another writer has ignored the lock, so this process must stop acting.
  const led = store.led(term.epoch, () => term.end("the database has another writer"));
  const role = await openLeader(parts, { store: led, term, callMs: null });
  void term.lost.then((why) => {
    if (why !== "released") parts.log("error", "this process no longer acts", { why });
  });
  return {
    front: () => role.front,
    config: () => role,
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
  /** The last leader's end, and the loop of roles. */
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

  config(): Adopter {
    return this.role;
  }

  begin(): void {
    this.turns = this.serve();
  }

  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    this.from.candidate.stop();
    await this.role.stop(graceMs);
    await this.term?.release().catch((error: unknown) => {
      this.from.parts.log("warn", "cannot release the lease", { error: String(error) });
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
        await pause(parts.clock, timing.pollMs);
      }
    }
  }

  /** Stands by until it wins; leads until it loses. */
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
      // The lease is taken, but the leader has not begun.
      this.role = leader;
      return leader.stop(0);
    }
    const before = this.standby;
    this.role = leader;
    void before.stop(0);
    leader.begin();
    unfit.why = null;
    parts.log("info", "became the leader", { epoch });
    const why = await term.lost;
    if (this.stopping) return;
    parts.log("warn", "lost the leadership", { epoch, why });
    // Not awaited: the old loop may wait for a call or for the database.
    this.ended = leader.stop(0);
  }
}
