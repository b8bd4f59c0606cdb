/**
 * Rate limits of one node: reports, bytes, news and new connections, each a token bucket. Without
 * them one credential could use up the CPU, memory and disk of the whole fleet; an agent that waits
 * loses nothing, because it keeps its spool. A bucket may go below zero once, so that no report is
 * too large forever.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { Clock, Log } from "../../core/clock.ts";

type Kind = keyof typeof LIMIT.node;
/** What is left of each kind; absent = all. */
type Bucket = { left: Partial<Record<Kind, number>>; atMono: number; loggedMono: number };

/** Buckets in memory before full ones are removed. */
const SWEEP_EACH = 1_000;
/** Interval of log lines about one node. */
const LOG_MS = 60_000;
/** Least pause in an answer: a shorter one costs more than it saves. */
const WAIT_MS_MIN = 100;

const KINDS: readonly Kind[] = ["reports", "bytes", "news", "connections"];

export class Quota {
  private readonly clock: Pick<Clock, "monoMs">;
  private readonly log: Log;
  private readonly factor: number;
  private readonly buckets = new Map<string, Bucket>();
  private sweepAt = SWEEP_EACH;

  /**
   * `factor` widens every bucket: a standby leaves the pace to the leader, and stops only agents
   * that ignore it.
   */
  constructor(clock: Pick<Clock, "monoMs">, log: Log, factor = 1) {
    this.clock = clock;
    this.log = log;
    this.factor = factor;
  }

  /** Takes all of it or nothing. 0 = taken, else milliseconds to wait. */
  take(key: string, wanted: Partial<Record<Kind, number>>): number {
    const now = this.clock.monoMs();
    const bucket = this.bucketOf(key, now);
    let waitMs = 0;
    let over: Kind = "reports";
    for (const kind of KINDS) {
      const left = bucket.left[kind] ?? this.burst(kind);
      if ((wanted[kind] ?? 0) === 0 || left > 0) continue;
      const ms = Math.ceil(((1 - left) / (LIMIT.node[kind].perSecond * this.factor)) * 1_000);
      if (ms > waitMs) [waitMs, over] = [ms, kind];
    }
    if (waitMs > 0) {
      this.warn(key, bucket, over, now);
      return Math.max(WAIT_MS_MIN, waitMs);
    }
    for (const kind of KINDS) {
      const amount = wanted[kind] ?? 0;
      if (amount > 0) bucket.left[kind] = (bucket.left[kind] ?? this.burst(kind)) - amount;
    }
    return 0;
  }

  /** Keys in memory. */
  get size(): number {
    return this.buckets.size;
  }

  private burst(kind: Kind): number {
    return LIMIT.node[kind].burst * this.factor;
  }

  private bucketOf(key: string, now: number): Bucket {
    const known = this.buckets.get(key);
    if (known !== undefined) {
      this.refill(known, now);
      return known;
    }
    if (this.buckets.size >= this.sweepAt) this.sweep(now);
    const bucket: Bucket = { left: {}, atMono: now, loggedMono: -Infinity };
    this.buckets.set(key, bucket);
    return bucket;
  }

  private refill(bucket: Bucket, now: number): void {
    const seconds = (now - bucket.atMono) / 1_000;
    bucket.atMono = now;
    for (const kind of KINDS) {
      const left = bucket.left[kind];
      if (left === undefined) continue;
      const filled = left + seconds * LIMIT.node[kind].perSecond * this.factor;
      if (filled >= this.burst(kind)) delete bucket.left[kind];
      else bucket.left[kind] = filled;
    }
  }

  /** Forgets full buckets, which equal absent ones. */
  private sweep(now: number): void {
    for (const [key, bucket] of this.buckets) {
      this.refill(bucket, now);
      if (Object.keys(bucket.left).length === 0) this.buckets.delete(key);
    }
    this.sweepAt = this.buckets.size + SWEEP_EACH;
  }

  private warn(key: string, bucket: Bucket, kind: Kind, now: number): void {
    if (now - bucket.loggedMono < LOG_MS) return;
    bucket.loggedMono = now;
    const { perSecond } = LIMIT.node[kind];
    const message = "a node exceeds its report rate limit: its reports are deferred";
    this.log("warn", message, { node: key, limit: kind, per_second: perSecond });
  }
}
