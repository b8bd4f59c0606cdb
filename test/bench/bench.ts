/**
 * What a bench is: a name, and a run that yields figures, each beside its budget. A figure without
 * a budget is there to explain one that has: the generator's own CPU share, the count of samples.
 */

export type Figure = {
  name: string;
  measured: number;
  unit: "ms" | "%" | "MiB" | "s" | "count";
  /** The *ship* value; `null` for a figure that only explains. Measured at or below it is ok. */
  budget: number | null;
  /** The moonshot printed beside it. */
  goal: number | null;
};

export type BenchOptions = {
  /** Seconds instead of minutes, few agents: proves that the bench runs, and measures nothing. */
  tiny: boolean;
  /** Folder of the compiled binaries; what is missing there runs from source. */
  dist: string;
  /** The same of another commit, for a bench that compares two; `null` = none was named. */
  base: string | null;
  /** Sizes for a run by hand; `null` = the bench's own. */
  agents: number | null;
  seconds: number | null;
  /** Progress, one line. */
  say(line: string): void;
};

export type Bench = {
  name: string;
  summary: string;
  run(options: BenchOptions): Promise<Figure[]>;
};

/** A figure with a budget. */
export function held(
  name: string,
  measured: number,
  unit: Figure["unit"],
  budget: number,
  goal: number | null = null,
): Figure {
  return { name, measured, unit, budget, goal };
}

/** A figure that only explains. */
export function shown(name: string, measured: number, unit: Figure["unit"]): Figure {
  return { name, measured, unit, budget: null, goal: null };
}

export function isOver(figure: Figure): boolean {
  return figure.budget !== null && !(figure.measured <= figure.budget);
}

export type Spread = { p50: number; p90: number; p99: number; max: number; count: number };

/** Nearest-rank percentiles; NaN without samples, which no budget accepts. */
export function spreadOf(samples: readonly number[]): Spread {
  const sorted = Float64Array.from(samples).sort();
  const at = (share: number): number =>
    sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1), count: sorted.length };
}
