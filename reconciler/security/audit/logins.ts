/**
 * Rate limit of failed authentications per address. Only failures count: tokens have 256 bits, so
 * guessing is no threat, and a fleet behind one address must not be locked out by one machine with
 * an old credential. The limit bounds the work, log and audit that a flood costs. Memory is bounded
 * too: quiet addresses are forgotten, and, if there are too many, those with the oldest failures.
 */
import { wordsOf } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { Bucket, type Rate } from "../../core/turn/bucket.ts";

/**
 * Failures that are answered in full: a burst, then a rate per second. If a thousand agents of one
 * address lose their credential, each gets that answer within a quarter of an hour.
 */
const RATE: Rate = { burst: 60, perSecond: 1 };
/** About a megabyte. */
const ADDRESSES_MAX = 10_000;

export class Logins {
  private readonly clock: Pick<Clock, "monoMs">;
  private readonly buckets = new Map<string, Bucket>();

  constructor(clock: Pick<Clock, "monoMs">) {
    this.clock = clock;
  }

  /** Counts a failure. `null` = answer in full; else seconds until the next full answer. */
  failed(remote: string): number | null {
    const now = this.clock.monoMs();
    const key = blockOf(remote);
    const bucket = this.buckets.get(key) ?? new Bucket(RATE);
    const waitMs = bucket.waitMs(now);
    if (waitMs === 0) bucket.spend(now);
    // The map's order is the order of last failures.
    this.buckets.delete(key);
    this.buckets.set(key, bucket);
    for (const [old, each] of this.buckets) {
      if (!each.isFull(now) && this.buckets.size <= ADDRESSES_MAX) break;
      this.buckets.delete(old);
    }
    return secondsOf(waitMs);
  }

  /**
   * Seconds that the address waits before another server is asked about what it shows; `null` =
   * none. Counts nothing.
   */
  waits(remote: string): number | null {
    const bucket = this.buckets.get(blockOf(remote));
    return secondsOf(bucket?.waitMs(this.clock.monoMs()) ?? 0);
  }

  /** Addresses in memory. */
  get size(): number {
    return this.buckets.size;
  }
}

const secondsOf = (waitMs: number): number | null =>
  waitMs > 0 ? Math.ceil(waitMs / 1_000) : null;

/** The unit of the limit: a subscriber has a whole /64 of IPv6 (RFC 6177). */
export function blockOf(remote: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remote);
  if (mapped?.[1] !== undefined) return mapped[1];
  const words = wordsOf(remote.split("%", 1)[0] ?? "");
  return words === null
    ? remote
    : words
        .slice(0, 4)
        .map((word) => word.toString(16))
        .join(":");
}
