/**
 * Callers of a story: each asks for a slot under an id of its own, asks again until it is answered,
 * holds the slot for a while, and gives it back. Some give up, some never come back (`ttl`).
 */
import type { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { Stream } from "../swarm/stream.ts";
import type { Books } from "./books.ts";
import { NAMESPACE } from "./ground.ts";
import type { Planes } from "./plane.ts";

const SECOND = 1_000;
const MINUTE = 60_000;
/** An answer that comes later is not read. */
const PATIENCE_MS = 10_000;
const GIVES_UP_MS = 15 * MINUTE;

type Caller = {
  id: string;
  pool: string;
  ttlMs: number | null;
  /** When it gives back what it was told, or gives up. */
  leavesAt: number;
  askedAt: number;
  isHeld: boolean;
  holdsMs: number;
};

export class Callers {
  private readonly all = new Map<string, Caller>();
  private readonly from: { clock: VirtualClock; r: Stream; books: Books; planes: Planes };
  private serial = 0;

  constructor(from: Callers["from"]) {
    this.from = from;
  }

  get open(): number {
    return this.all.size;
  }

  come(pool: string): void {
    const { r, clock, books } = this.from;
    const id = `claim-${(this.serial += 1)}`;
    const now = clock.monoMs();
    this.all.set(id, {
      ...{ id, pool: `${NAMESPACE}/${pool}`, leavesAt: now + GIVES_UP_MS, isHeld: false },
      ttlMs: r.chance(0.15) ? r.whole(1, 10) * MINUTE : null,
      askedAt: Number.NEGATIVE_INFINITY,
      holdsMs: Math.min(r.wait(8 * MINUTE), 60 * MINUTE),
    });
    books.totals.claims++;
  }

  /** All leave now. */
  goHome(): void {
    const now = this.from.clock.monoMs();
    for (const one of this.all.values()) one.leavesAt = Math.min(one.leavesAt, now);
  }

  tend(): void {
    const now = this.from.clock.monoMs();
    for (const one of this.all.values()) {
      if (now - one.askedAt < PATIENCE_MS) continue;
      if (one.leavesAt <= now) this.leave(one, now);
      else this.ask(one, now);
    }
  }

  private ask(one: Caller, now: number): void {
    const { clock, planes } = this.from;
    const { id, pool, ttlMs } = one;
    one.askedAt = now;
    const answer = planes.leader?.actor.desk.claim({ id, pool, label: "", ttlMs, by: "sim" });
    void answer?.then((said) => {
      const at = clock.monoMs();
      if (at - now >= PATIENCE_MS || this.all.get(id) !== one) return;
      if (said.kind === "ended") this.all.delete(id);
      if (said.kind !== "running" || one.isHeld) return;
      one.isHeld = true;
      one.leavesAt = at + one.holdsMs;
    });
  }

  /** Asked again until it is answered; a claim that was never written is unknown, which will do. */
  private leave(one: Caller, now: number): void {
    const { books, clock, planes } = this.from;
    const { id } = one;
    one.askedAt = now;
    // One that has a limit may die without a word.
    if (one.ttlMs !== null && one.isHeld && one.holdsMs % 2 < 1) {
      this.all.delete(id);
      return;
    }
    books.givenBack.add(id);
    const answer = planes.leader?.actor.desk.release(id);
    void answer?.then((said) => {
      const isDone = said === null || said.kind === "ended";
      if (isDone && clock.monoMs() - now < PATIENCE_MS) this.all.delete(id);
    });
  }
}

export const ARRIVALS_MS = 100 * SECOND;
