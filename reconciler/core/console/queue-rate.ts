/** How fast tasks are processed, for gauges and `Retry-After`. Pure. */

const RATE_MS = 60_000;
const TIME_MS = 300_000;
/** 185 starts a second are allowed; more than this many say nothing new. */
const KEPT_MAX = 60_000;

export class QueueRate {
  private done: { at: number; tookMs: number }[] = [];
  private now = 0;

  note(at: number, tookMs: number): void {
    this.done.push({ at, tookMs: Math.max(0, tookMs) });
    this.look(at);
  }

  /** Forgets what is too old at `now`. */
  look(now: number): void {
    this.now = now;
    const isOld = this.done.length > KEPT_MAX || (this.done[0]?.at ?? now) < now - TIME_MS;
    if (isOld) this.done = this.done.slice(-KEPT_MAX).filter(({ at }) => at >= now - TIME_MS);
  }

  /** Completed tasks a second, over the last minute. */
  perSecond(): number {
    const recent = this.done.filter(({ at }) => at >= this.now - RATE_MS);
    return (recent.length * 1_000) / RATE_MS;
  }

  /** Mean seconds of the attempts that completed within five minutes; 0 if none did. */
  meanSeconds(): number {
    if (this.done.length === 0) return 0;
    const sum = this.done.reduce((all, { tookMs }) => all + tookMs, 0);
    return sum / this.done.length / 1_000;
  }
}
