/** Starts a second of each priority, and the circuit breaker of each type of task. Pure. */
import { PRIORITY_LIMITS, type TaskPriority } from "../../../schema/console/queue.ts";

/** A bucket for each priority, which holds the starts of one second. */
export class Starts {
  private readonly buckets = new Map<TaskPriority, { tokens: number; at: number }>();

  private bucket(priority: TaskPriority, now: number): { tokens: number; at: number } {
    const { perSecond } = PRIORITY_LIMITS[priority];
    const before = this.buckets.get(priority) ?? { tokens: perSecond, at: now };
    // A clock that is set back gives nothing.
    const passedMs = Math.max(0, now - before.at);
    const tokens = Math.min(perSecond, before.tokens + (perSecond * passedMs) / 1_000);
    const bucket = { tokens, at: now };
    this.buckets.set(priority, bucket);
    return bucket;
  }

  has(priority: TaskPriority, now: number): boolean {
    return this.bucket(priority, now).tokens >= 1;
  }

  take(priority: TaskPriority, now: number): void {
    this.bucket(priority, now).tokens--;
  }
}

export const BREAKER_FAILURES = 5;
export const BREAKER_REST_MS = 60_000;
/** Types that failed last and are remembered; an invented name must not fill the memory. */
const TYPES_MAX = 1_000;

type Breaker = { failures: number; openedAt: number | null; probing: boolean };

/**
 * Five failures in a row open it: tasks of the type wait. After a minute one may begin; its success
 * closes the breaker, its failure opens it again.
 */
export class Breakers {
  private readonly breakers = new Map<string, Breaker>();

  stateOf(type: string, now: number): "closed" | "open" | "half-open" {
    const openedAt = this.breakers.get(type)?.openedAt ?? null;
    if (openedAt === null) return "closed";
    return Math.abs(now - openedAt) < BREAKER_REST_MS ? "open" : "half-open";
  }

  allows(type: string, now: number): boolean {
    const state = this.stateOf(type, now);
    if (state === "closed") return true;
    return state === "half-open" && this.breakers.get(type)?.probing !== true;
  }

  begin(type: string, now: number): void {
    const known = this.breakers.get(type);
    if (known !== undefined && this.stateOf(type, now) === "half-open") known.probing = true;
  }

  succeed(type: string): void {
    this.breakers.delete(type);
  }

  /** The probe ended without an outcome: another may begin. */
  release(type: string): void {
    const known = this.breakers.get(type);
    if (known !== undefined) known.probing = false;
  }

  fail(type: string, now: number): void {
    const known = this.breakers.get(type) ?? { failures: 0, openedAt: null, probing: false };
    this.breakers.delete(type);
    known.failures++;
    // What began before it opened does not keep it open for longer.
    const isProbe = known.openedAt !== null && known.probing;
    if (isProbe || (known.openedAt === null && known.failures >= BREAKER_FAILURES)) {
      known.openedAt = now;
    }
    if (isProbe) known.probing = false;
    this.breakers.set(type, known);
    const [oldest] = this.breakers.keys();
    if (this.breakers.size > TYPES_MAX && oldest !== undefined) this.breakers.delete(oldest);
  }
}
