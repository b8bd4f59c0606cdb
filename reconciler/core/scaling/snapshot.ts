/**
 * What an autoscaler looks at and what it answers. Both are plain values, so that a recommendation
 * is a pure function of a snapshot: no clock, no fleet, no memory of its own. `null` always means
 * "not known" and never stands for zero.
 */
export type Snapshot = {
  /**
   * The wanted size as stored. It is also the "current" size of the rules: every slot up to it is
   * owned or being bought, whether or not anything in it has spoken yet.
   */
  desired: number;
  /** Nodes decided, asked for, booting or not yet verified. */
  provisioning: number;
  /** Nodes whose agent spoke and that are not on their way out. */
  registered: number;
  healthy: number;
  /** Nodes that can be removed without ending work. */
  spare: number;
  min: number;
  max: number;
  /** Mean of the pool's GPUs in percent, from samples that are fresh. */
  utilization: number | null;
  pending: number | null;
  /** Pending and running jobs, and the GPUs that they ask for. */
  queueDepth: number | null;
  gpuDepth: number | null;
  /** Pool utilisation, one value an evaluation, oldest first. */
  history: readonly number[];
  /** Wall milliseconds. */
  now: number;
};

export type Recommendation =
  /**
   * `bounds` is a floor or ceiling and waits for no cooldown; `signal` is an autoscaler's opinion.
   */
  | { kind: "size"; nodes: number; because: string; cause: "bounds" | "signal" }
  /**
   * No opinion: the size stays, and a composite does not count this member. `unknown` is a signal
   * that is missing, which people are told; `quiet` is a rule that does not apply now.
   */
  | { kind: "hold"; because: string; cause: "unknown" | "quiet" };

/** Asks a nested autoscaler; passed in, so that the types need not know each other. */
export type Ask<A> = (autoscaler: A, snapshot: Snapshot) => Recommendation;

export const size = (nodes: number, because: string): Recommendation => ({
  kind: "size",
  nodes,
  because,
  cause: "signal",
});

export const hold = (because: string, cause: "unknown" | "quiet"): Recommendation => ({
  kind: "hold",
  because,
  cause,
});

/** The floor or the ceiling if the wanted size is outside, in every type; else `null`. */
export function enforce(snapshot: Snapshot): Recommendation | null {
  const { desired, min, max } = snapshot;
  if (desired < min) {
    return { kind: "size", nodes: min, because: `below the floor of ${min}`, cause: "bounds" };
  }
  if (desired > max) {
    return { kind: "size", nodes: max, because: `above the ceiling of ${max}`, cause: "bounds" };
  }
  return null;
}

/** A recommendation cut to min…max, saying so. */
export function clamp(answer: Recommendation, snapshot: Snapshot): Recommendation {
  if (answer.kind === "hold") return answer;
  const nodes = Math.min(Math.max(answer.nodes, snapshot.min), snapshot.max);
  if (nodes === answer.nodes) return answer;
  const limit = nodes === snapshot.max ? `at most ${snapshot.max}` : `at least ${snapshot.min}`;
  return { ...answer, nodes, because: `${answer.because}, ${limit}` };
}

/** `91` or `90.5`: at most one decimal. */
export function formatPercent(value: number): string {
  return `${Math.round(value * 10) / 10} %`;
}
