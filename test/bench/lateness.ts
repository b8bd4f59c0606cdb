/**
 * Whether the generator itself was late to take a reply: another process had its core, or the
 * kernel was busy on it. Such a reply waited for the generator, and its latency says nothing about
 * the control plane. Only the moment of taking counts, so slow replies are left out no more often
 * than fast ones. Time in which the generator computed, on many replies at once for example, is not
 * lateness. Adapter: clock, timers, its own CPU time.
 */

/** Between two looks. */
const LOOK_MS = 1;
/** Less cannot be told from the timer's own error. */
const LATE_MS = 3;
/** Replies that came meanwhile are all taken within it. */
const PILE_MS = 3;

export class Lateness {
  private lookedMs = performance.now();
  private usedMs = used();
  private lateMs = -Infinity;
  private readonly timer = setInterval(() => this.look(), LOOK_MS);

  /** Whether a reply that is taken now waited for this process. */
  isLate(): boolean {
    if (performance.now() - this.lookedMs > LATE_MS) this.look();
    return performance.now() - this.lateMs < PILE_MS;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const nowMs = performance.now();
    const usedMs = used();
    const idleMs = nowMs - this.lookedMs - (usedMs - this.usedMs);
    if (idleMs > LATE_MS) this.lateMs = nowMs;
    this.lookedMs = nowMs;
    this.usedMs = usedMs;
  }
}

/** CPU milliseconds of this process. */
function used(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
