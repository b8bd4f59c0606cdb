/**
 * How many lines of the log one subject may cause, and all of them together: token buckets. A node
 * that changes its state all the time must neither fill the disk nor hide the lines of the others.
 * Pure but for its memory.
 */
export type Allowance = { burst: number; perSecond: number };

type Bucket = { left: number; atMono: number; isTold: boolean };

/** Subjects in memory before those that are quiet again are forgotten. */
const SWEEP_EACH = 1_000;

export class LineBudget {
  private readonly each: Allowance;
  private readonly all: Allowance;
  private readonly buckets = new Map<string, Bucket>();
  private readonly total: Bucket;
  private sweepAt = SWEEP_EACH;

  constructor(each: Allowance, all: Allowance, mono: number) {
    this.each = each;
    this.all = all;
    this.total = { left: all.burst, atMono: mono, isTold: false };
  }

  /** `first` = this one is withheld and the one before was not; `firstOfAll`: for all subjects. */
  take(subject: string, mono: number): "yes" | "first" | "firstOfAll" | "no" {
    const own = this.bucketOf(subject, mono);
    refill(own, this.each, mono);
    refill(this.total, this.all, mono);
    const short = [own, this.total].find(({ left }) => left < 1);
    if (short === undefined) {
      for (const bucket of [own, this.total]) {
        bucket.left -= 1;
        bucket.isTold = false;
      }
      return "yes";
    }
    if (short.isTold) return "no";
    short.isTold = true;
    return short === own ? "first" : "firstOfAll";
  }

  /** Subjects in memory. */
  get size(): number {
    return this.buckets.size;
  }

  private bucketOf(subject: string, mono: number): Bucket {
    const known = this.buckets.get(subject);
    if (known !== undefined) return known;
    if (this.buckets.size >= this.sweepAt) this.sweep(mono);
    const bucket: Bucket = { left: this.each.burst, atMono: mono, isTold: false };
    this.buckets.set(subject, bucket);
    return bucket;
  }

  /** A full bucket says nothing that its absence does not. */
  private sweep(mono: number): void {
    for (const [subject, bucket] of this.buckets) {
      refill(bucket, this.each, mono);
      if (bucket.left >= this.each.burst) this.buckets.delete(subject);
    }
    this.sweepAt = this.buckets.size + SWEEP_EACH;
  }
}

function refill(bucket: Bucket, { burst, perSecond }: Allowance, mono: number): void {
  const seconds = Math.max(0, mono - bucket.atMono) / 1_000;
  bucket.left = Math.min(burst, bucket.left + seconds * perSecond);
  bucket.atMono = mono;
}
