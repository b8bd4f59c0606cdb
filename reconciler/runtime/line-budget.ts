/**
 * Limits log lines of one subject and of all subjects with token buckets, so that a flapping node
 * neither fills the disk nor hides the lines of others. Pure except for its memory.
 */
import { Bucket, type Rate } from "../core/turn/bucket.ts";

type Lines = { bucket: Bucket; isTold: boolean };

/** New subjects before quiet ones are removed. */
const SWEEP_EACH = 1_000;

export class LineBudget {
  private readonly each: Rate;
  private readonly subjects = new Map<string, Lines>();
  private readonly total: Lines;
  private sweepAt = SWEEP_EACH;

  constructor(each: Rate, all: Rate) {
    this.each = each;
    this.total = { bucket: new Bucket(all), isTold: false };
  }

  /** `first`: the subject's first withheld line; `firstOfAll`: the first one of all subjects. */
  take(subject: string, mono: number): "yes" | "first" | "firstOfAll" | "no" {
    const own = this.linesOf(subject, mono);
    const short = [own, this.total].find(({ bucket }) => bucket.left(mono) < 1);
    if (short === undefined) {
      for (const lines of [own, this.total]) {
        lines.bucket.spend(mono);
        lines.isTold = false;
      }
      return "yes";
    }
    if (short.isTold) return "no";
    short.isTold = true;
    return short === own ? "first" : "firstOfAll";
  }

  /** Subjects in memory. */
  get size(): number {
    return this.subjects.size;
  }

  private linesOf(subject: string, mono: number): Lines {
    const known = this.subjects.get(subject);
    if (known !== undefined) return known;
    if (this.subjects.size >= this.sweepAt) this.sweep(mono);
    const lines: Lines = { bucket: new Bucket(this.each), isTold: false };
    this.subjects.set(subject, lines);
    return lines;
  }

  /** A full bucket equals an absent one. */
  private sweep(mono: number): void {
    for (const [subject, { bucket }] of this.subjects) {
      if (bucket.isFull(mono)) this.subjects.delete(subject);
    }
    this.sweepAt = this.subjects.size + SWEEP_EACH;
  }
}
