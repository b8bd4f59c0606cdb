/**
 * A clock that only tests move. Timers fire in order of their time, and after each one the promises
 * it started are given the chance to run, so that a day passes in a second and in the same order
 * each time.
 */
export class VirtualClock {
  private wall: number;
  private mono = 0;
  private serial = 0;
  private timers: { at: number; id: number; work: () => void }[] = [];

  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.wall = wall;
  }

  wallMs(): number {
    return this.wall;
  }

  monoMs(): number {
    return this.mono;
  }

  after(ms: number, work: () => void): () => void {
    const timer = { at: this.mono + Math.max(0, ms), id: this.serial++, work };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  /** Moves both clocks; every timer that falls due fires on the way. */
  async pass(ms: number): Promise<void> {
    const end = this.mono + ms;
    for (;;) {
      await settle();
      const next = this.timers
        .filter((one) => one.at <= end)
        .sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.move(Math.max(0, next.at - this.mono));
      next.work();
    }
    this.move(end - this.mono);
    await settle();
  }

  /**
   * Time passes and nothing runs: a paused process. Timers that fell due fire at the next `pass`.
   */
  sleepThrough(ms: number): void {
    this.move(ms);
  }

  /** The wall clock is set, as by an operator or NTP; durations do not notice. */
  setWall(byMs: number): void {
    this.wall += byMs;
  }

  private move(ms: number): void {
    this.mono += ms;
    this.wall += ms;
  }
}

/** Lets every started promise run as far as it can without time passing. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
