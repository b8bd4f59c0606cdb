/**
 * Moves this process between its roles. With an embedded database it leads from the start to the
 * end, because it has the folder's lock. With a database server it stands by until the lease is
 * won, leads until that is lost, and stands by again: nothing here ends the process.
 */
import { randomUUID } from "node:crypto";
import type { Front } from "../route/listen.ts";
import type { Store } from "../store/store.ts";
import { Candidate, LEASE_EXPIRY_MS, leaseTiming, openLockTerm, unfencedMs } from "./lease.ts";
import type { Term } from "./lease.ts";
import { openLeader, openStandby, type Parts, type Role } from "./role.ts";

export type Office = {
  /** What answers at the moment. */
  front(): Front;
  begin(): void;
  stop(graceMs: number): Promise<void>;
};

export async function openOwnOffice(parts: Parts, store: Store): Promise<Office> {
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
export async function openSharedOffice(
  parts: Parts,
  store: Store,
  options: { expiryMs: number | undefined; url(): string },
): Promise<Office> {
  const { clock, log } = parts;
  const timing = leaseTiming(options.expiryMs ?? LEASE_EXPIRY_MS);
  const holder = randomUUID();
  const table = store.leaseTable();
  const candidate = new Candidate({ table, clock, log, timing, holder, address: options.url });
  const openNext = () => openStandby(parts, { store, lease: () => candidate.row() });
  let standby = await openNext();
  let role: Role = standby;
  let term: Term | null = null;
  let ended: Promise<void> = Promise.resolve();
  let leading: Promise<void> = Promise.resolve();
  let stopping = false;

  /** Stands by and wins; leads and loses. */
  async function serveOnce(): Promise<void> {
    if (role !== standby) {
      standby = await openNext();
      role = standby;
    }
    const won = await candidate.win(() => standby.looked());
    if (won === null) return;
    term = won;
    const led = store.led(won.epoch, () => won.end("a write was refused: another one leads"));
    const leader = await openLeader(parts, { store: led, term: won, callMs: unfencedMs(timing) });
    if (stopping || won.remainingMs() === 0) {
      await leader.stop(0);
      return;
    }
    role = leader;
    void standby.stop(0);
    leader.begin();
    log("info", "leads", { epoch: won.epoch });
    const why = await won.lost;
    if (stopping) return;
    log("warn", "leads no more", { epoch: won.epoch, why });
    // The old loop may be waiting for a call or for the database: that is no reason to wait for it.
    ended = leader.stop(0);
  }

  async function serve(): Promise<void> {
    while (!stopping) {
      try {
        await serveOnce();
      } catch (error) {
        log("error", "cannot take the lead", { error: String(error) });
        await term?.release().catch(() => undefined);
        await new Promise<void>((resolve) => void clock.after(timing.pollMs, resolve));
      }
    }
  }

  return {
    front: () => role.front,
    begin() {
      leading = serve();
    },
    async stop(graceMs) {
      stopping = true;
      candidate.stop();
      await role.stop(graceMs);
      await term?.release().catch((error: unknown) => {
        log("warn", "the lease was not given back", { error: String(error) });
      });
      await leading;
      await ended;
    },
  };
}
