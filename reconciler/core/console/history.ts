/** The values of the last two hours, about one a minute, for charts. Kept in memory. Pure. */
export type Point<T> = { at: number; value: T };

export const HISTORY_MS = 2 * 3_600_000;
const EVERY_MS = 60_000;

/** A value holds until the next point, so nothing is added while it stays as it is. */
export class History<T> {
  private points: Point<T>[] = [];
  private readonly isSame: (one: T, other: T) => boolean;

  constructor(isSame: (one: T, other: T) => boolean) {
    this.isSame = isSame;
  }

  /** The newest point is replaced until it is a minute after the one before it. */
  note(value: T, now: number): void {
    // Points after `now` are of a clock that was set back since.
    this.points = this.points.filter(({ at }) => at <= now);
    const [before, last] = [this.points.at(-2), this.points.at(-1)];
    if (last !== undefined && this.isSame(last.value, value)) return;
    if (before !== undefined && now - before.at < EVERY_MS) this.points.pop();
    this.points.push({ at: now, value });
    this.trim(now);
  }

  /** Oldest first. The first is what held two hours before `now`, if that is known. */
  read(now: number): Point<T>[] {
    this.trim(now);
    return [...this.points];
  }

  private trim(now: number): void {
    const first = this.points.findLastIndex(({ at }) => at <= now - HISTORY_MS);
    if (first > 0) this.points.splice(0, first);
  }
}
