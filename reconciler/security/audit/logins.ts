/**
 * Rate limit of failed authentications per address. Only failures count: tokens have 256 bits, so
 * guessing is no threat, and a fleet behind one address must not be locked out by one machine with
 * an old credential. The limit bounds the work, log and audit that a flood costs. Memory is bounded
 * too: quiet addresses are forgotten, and, if there are too many, those with the oldest failures.
 */
import { wordsOf } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";

/**
 * Failures that are answered in full: a burst, then a rate per second. If a thousand agents of one
 * address lose their credential, each gets that answer within a quarter of an hour.
 */
const BURST = 60;
const PER_SECOND = 1;
/** About a megabyte. */
const ADDRESSES_MAX = 10_000;

type Bucket = { left: number; atMono: number };

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
    const left = this.leftOf(key, now);
    // The map's order is the order of last failures.
    this.buckets.delete(key);
    this.buckets.set(key, { left: left < 1 ? left : left - 1, atMono: now });
    for (const [old, { atMono }] of this.buckets) {
      const quiet = now - atMono > (BURST / PER_SECOND) * 1_000;
      if (!quiet && this.buckets.size <= ADDRESSES_MAX) break;
      this.buckets.delete(old);
    }
    return waitOf(left);
  }

  /**
   * Seconds that the address waits before another server is asked about what it shows; `null` =
   * none. Counts nothing.
   */
  waits(remote: string): number | null {
    return waitOf(this.leftOf(blockOf(remote), this.clock.monoMs()));
  }

  private leftOf(key: string, now: number): number {
    const known = this.buckets.get(key);
    if (known === undefined) return BURST;
    return Math.min(BURST, known.left + ((now - known.atMono) / 1_000) * PER_SECOND);
  }

  /** Addresses in memory. */
  get size(): number {
    return this.buckets.size;
  }
}

const waitOf = (left: number): number | null =>
  left < 1 ? Math.ceil((1 - left) / PER_SECOND) : null;

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
