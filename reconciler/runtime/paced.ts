/** What may happen once in a while for each node. */
export class Paced {
  private readonly at = new Map<string, number>();
  private readonly ms: number;

  /** `ms` = the least time between two. */
  constructor(ms: number) {
    this.ms = ms;
  }

  /** Whether it may happen now, which is then remembered. */
  take(key: string, mono: number): boolean {
    const before = this.at.get(key);
    if (before !== undefined && mono - before < this.ms) return false;
    this.at.set(key, mono);
    return true;
  }
}
