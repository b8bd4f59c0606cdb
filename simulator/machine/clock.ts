/**
 * The clock of one machine. It stops while the machine hangs, and overdue timers fire when it
 * resumes. It is suspended while nothing happens on the machine: periodic timers then resume in
 * phase, because the agent's core re-arms each timer with the same period.
 */
import type { Clock } from "../../agent/port/port.ts";

type Timer = { at: number; ms: number; work: () => void; cancel: (() => void) | null };

export class MachineClock implements Clock {
  readonly #world: Clock;
  readonly #timers = new Set<Timer>();
  #still = false;

  constructor(world: Clock) {
    this.#world = world;
  }

  wallMs(): number {
    return this.#world.wallMs();
  }

  monoMs(): number {
    return this.#world.monoMs();
  }

  after(ms: number, work: () => void): () => void {
    // Back-off is drawn in fractions; the clock of a run shows whole milliseconds, as a real one.
    const wait = Math.max(0, Math.ceil(ms));
    const timer: Timer = { at: this.monoMs() + wait, ms: wait, work, cancel: null };
    this.#timers.add(timer);
    if (!this.#still) this.#arm(timer);
    return () => {
      timer.cancel?.();
      this.#timers.delete(timer);
    };
  }

  /** Timers that wait. */
  pending(): number {
    return this.#timers.size;
  }

  isStill(): boolean {
    return this.#still;
  }

  /** Nothing fires until `resume`. */
  hold(): void {
    if (this.#still) return;
    this.#still = true;
    for (const timer of this.#timers) {
      timer.cancel?.();
      timer.cancel = null;
    }
  }

  /** `inStep`: periods that ended meanwhile are passed over; otherwise each fires at once, late. */
  resume(inStep: boolean): void {
    if (!this.#still) return;
    this.#still = false;
    const now = this.monoMs();
    for (const timer of this.#timers) {
      if (inStep && timer.at < now && timer.ms > 0) {
        timer.at += Math.ceil((now - timer.at) / timer.ms) * timer.ms;
      }
    }
    // Of two timers of one instant the one that was set first fires first: the longer one.
    const due = [...this.#timers].sort((a, b) => a.at - b.at || b.ms - a.ms);
    for (const timer of due) this.#arm(timer);
  }

  /** The process is gone, and its timers with it. */
  end(): void {
    this.hold();
    this.#timers.clear();
  }

  #arm(timer: Timer): void {
    timer.cancel = this.#world.after(Math.max(0, timer.at - this.monoMs()), () => {
      this.#timers.delete(timer);
      timer.work();
    });
  }
}
