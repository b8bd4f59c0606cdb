/**
 * Rate limits of one node: reports, bytes, news and new connections, each a token bucket. Without
 * them one credential could use up the CPU, memory and disk of the whole fleet; an agent that waits
 * loses nothing, because it keeps its spool. A bucket may go below zero once, so that no report is
 * too large forever.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { Bucket } from "../../core/turn/bucket.ts";

type Kind = keyof typeof LIMIT.node;
/** Of each kind that was taken. */
type Taken = { of: Partial<Record<Kind, Bucket>>; loggedMono: number };

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
  private readonly taken = new Map<string, Taken>();
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
    const taken = this.takenOf(key, now);
    let waitMs = 0;
    let over: Kind = "reports";
    for (const kind of KINDS) {
      const bucket = taken.of[kind];
      if ((wanted[kind] ?? 0) === 0 || bucket === undefined || bucket.left(now) > 0) continue;
      const ms = bucket.waitMs(now);
      if (ms > waitMs) [waitMs, over] = [ms, kind];
    }
    if (waitMs > 0) {
      this.warn(key, taken, over, now);
      return Math.max(WAIT_MS_MIN, waitMs);
    }
    for (const kind of KINDS) {
      const amount = wanted[kind] ?? 0;
      if (amount > 0) (taken.of[kind] ??= this.bucketOf(kind)).spend(now, amount);
    }
    return 0;
  }

  /** Keys in memory. */
  get size(): number {
    return this.taken.size;
  }

  private bucketOf(kind: Kind): Bucket {
    const { perSecond, burst } = LIMIT.node[kind];
    return new Bucket({ perSecond: perSecond * this.factor, burst: burst * this.factor });
  }

  private takenOf(key: string, now: number): Taken {
    const known = this.taken.get(key);
    if (known !== undefined) return known;
    if (this.taken.size >= this.sweepAt) this.sweep(now);
    const taken: Taken = { of: {}, loggedMono: -Infinity };
    this.taken.set(key, taken);
    return taken;
  }

  /** Forgets full buckets, which equal absent ones. */
  private sweep(now: number): void {
    for (const [key, { of }] of this.taken) {
      if (Object.values(of).every((bucket) => bucket.isFull(now))) this.taken.delete(key);
    }
    this.sweepAt = this.taken.size + SWEEP_EACH;
  }

  private warn(key: string, taken: Taken, kind: Kind, now: number): void {
    if (now - taken.loggedMono < LOG_MS) return;
    taken.loggedMono = now;
    const { perSecond } = LIMIT.node[kind];
    const message = "a node exceeds its report rate limit: its reports are deferred";
    this.log("warn", message, { node: key, limit: kind, per_second: perSecond });
  }
}
