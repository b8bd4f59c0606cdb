/**
 * A clock that only tests and simulations advance. Timers fire in order of time, and the promises
 * that one starts run before the next fires. So a day passes in a second, always in the same order.
 * The monotonic clock gives fractions, as `performance.now()` does: each read takes a nanosecond.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import { popDue, pushDue } from "../../reconciler/provider/fake/due.ts";

/** What a read of the monotonic clock takes, in milliseconds: a power of two adds up exactly. */
const READ_MS = 2 ** -20;

type Timer = { atMs: number; seq: number; work: () => void; cancelled: boolean };

/** The time of a run, virtual or real. */
export type Time = Clock & {
  /** Advances the run by this many milliseconds; timers that fall due fire. */
  pass(ms: number): Promise<void>;
};

export class VirtualClock implements Time {
  private wall: number;
  private mono = 0;
  private reads = 0;
  private readonly readMs: number;
  private serial = 0;
  private readonly heap: Timer[] = [];

  /** `readMs` = 0 for a test of exact instants. */
  constructor(wall = Date.UTC(2026, 0, 1), readMs = READ_MS) {
    this.wall = wall;
    this.readMs = readMs;
  }

  wallMs(): number {
    // The product's clocks return whole milliseconds; the time of a timer may be fractional.
    return Math.round(this.wall);
  }

  monoMs(): number {
    this.reads += 1;
    return this.mono + this.reads * this.readMs;
  }

  /** Of the run itself: to read it takes no time. */
  elapsedMs(): number {
    return this.mono;
  }

  after(ms: number, work: () => void): () => void {
    const atMs = this.mono + Math.max(0, ms);
    const timer = { atMs, seq: this.serial++, work, cancelled: false };
    pushDue(this.heap, timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /** Milliseconds until the next timer fires; `null` if none is set. */
  nextMs(): number | null {
    const next = this.first();
    return next === null ? null : Math.max(0, next.atMs - this.mono);
  }

  /** Advances both clocks; every timer that falls due fires. */
  async pass(ms: number): Promise<void> {
    if (ms < 0) throw new Error(`time cannot pass by ${ms} ms`);
    const end = this.mono + ms;
    for (;;) {
      await settle();
      const next = this.first();
      if (next === null || next.atMs > end) break;
      popDue(this.heap);
      this.move(Math.max(0, next.atMs - this.mono));
      next.work();
    }
    this.move(end - this.mono);
    await settle();
  }

  /** Advances both clocks without firing timers, as for a paused process; the next `pass` does. */
  sleepThrough(ms: number): void {
    this.move(ms);
  }

  /** Sets the wall clock, as an operator or NTP would; the monotonic clock is not changed. */
  setWall(byMs: number): void {
    this.wall += byMs;
  }

  private move(ms: number): void {
    this.mono += ms;
    this.wall += ms;
  }

  /** The earliest timer that is not cancelled; cancelled ones before it are removed. */
  private first(): Timer | null {
    for (;;) {
      const top = this.heap[0];
      if (top === undefined) return null;
      if (!top.cancelled) return top;
      popDue(this.heap);
    }
  }
}

/**
 * The clock as one process sees it: a process that is stopped, for a while or for good, runs no
 * timer. Overdue timers fire when it resumes, as after SIGCONT.
 */
export class ProcessClock implements Clock {
  private readonly clock: Clock;
  private stopped = false;
  private ended = false;
  private missed: Pick<Timer, "work" | "cancelled">[] = [];

  constructor(clock: Clock) {
    this.clock = clock;
  }

  wallMs(): number {
    return this.clock.wallMs();
  }

  monoMs(): number {
    return this.clock.monoMs();
  }

  after(ms: number, work: () => void): () => void {
    const timer = { work, cancelled: false };
    const cancel = this.clock.after(ms, () => {
      if (this.stopped) this.missed.push(timer);
      else work();
    });
    return () => {
      timer.cancelled = true;
      cancel();
    };
  }

  stop(): void {
    this.stopped = true;
  }

  /** Ends the process: none of its timers fires again. */
  end(): void {
    this.ended = true;
    this.stop();
  }

  hasEnded(): boolean {
    return this.ended;
  }

  goOn(): void {
    this.stopped = false;
    for (const { cancelled, work } of this.missed.splice(0)) if (!cancelled) work();
  }
}

/**
 * Runs every started promise as far as it gets without time passing. One turn of the event loop
 * completes chains of promises; the second is for libraries that wait for a turn themselves. A turn
 * costs under a microsecond (measured, Bun 1.4.5).
 */
export async function settle(): Promise<void> {
  for (let i = 0; i < 2; i++) await turn();
}

/** One turn of the event loop. Work that takes real time is not done after it. */
export function turn(): Promise<void> {
  return new Promise<void>((resolve) => setImmediate(resolve));
}
