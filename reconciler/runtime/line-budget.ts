/**
 * Limits log lines of one subject and of all subjects with token buckets, so that a flapping node
 * neither fills the disk nor hides the lines of others. Pure except for its memory.
 */
export type Allowance = { burst: number; perSecond: number };

type Bucket = { left: number; atMono: number; isTold: boolean };

/** New subjects before quiet ones are removed. */
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

  /** `first`: the subject's first withheld line; `firstOfAll`: the first one of all subjects. */
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

  /** A full bucket equals an absent one. */
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
