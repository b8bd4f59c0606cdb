/** What a bench of the cluster's side yields, how it is told, and what is kept of it. Pure. */
import { type Figure, isOver, spreadOf } from "../bench.ts";
import { formatTable } from "../table.ts";
import type { Probes } from "./observer.ts";

export type Outcome = {
  figures: Figure[];
  /** What must hold exactly, whatever the machine: each a sentence that is false. */
  broken: string[];
  /** The set-up, what bounds the figures, what others measured and on what. */
  notes: Record<string, string>;
  /** Percent of a core while it was measured. */
  cpu: Record<string, number>;
};

export type BenchRun = {
  tiny: boolean;
  runs: number;
  /** Of the fleet; `null` = as many as the target says. Others measure nothing that is compared. */
  nodes: number | null;
  /** Time-lapse: how many times faster than the target says; 1 is the target's pace. */
  speed: number;
  xid: number;
  say: (line: string) => void;
};

/** Whether what it is to show is shown; a tiny run shows only that it is right. */
export function holds({ figures, broken }: Outcome, tiny: boolean): boolean {
  return broken.length === 0 && (tiny || !figures.some(isOver));
}

export function formatOutcome(outcome: Outcome, tiny: boolean): string {
  const notes = Object.entries(outcome.notes).map(([name, text]) => `  ${name}: ${text}`);
  const cpu = Object.entries(outcome.cpu).map(([name, percent]) => `${name} ${percent} %`);
  return [
    formatTable(outcome.figures, tiny),
    ...(cpu.length === 0 ? [] : [`CPU, percent of one core: ${cpu.join(", ")}`]),
    ...notes,
    ...outcome.broken.map((line) => `BROKEN: ${line}`),
  ].join("\n");
}

type Kept = Record<string, number | string | Record<string, number>>;

/** In the form that `npm run once` keeps. */
export function keptOf(outcome: Outcome): Kept {
  const of = (key: "budget" | "goal"): Record<string, number> =>
    Object.fromEntries(
      outcome.figures.flatMap((one) => {
        const value = one[key];
        return value === null ? [] : [[one.name, value]];
      }),
    );
  const measured = outcome.figures.map(({ name, measured: value, unit }) => {
    return [unit === "count" ? name : `${name}, ${unit}`, Math.round(value * 1_000) / 1_000];
  });
  return {
    ...(Object.fromEntries(measured) as Record<string, number>),
    ship: of("budget"),
    moonshot: of("goal"),
    cpuPercentOfCore: outcome.cpu,
    broken: outcome.broken.length,
    ...outcome.notes,
  };
}

export type Latency = { readP99: number; writeP99: number; readP50: number; writeP50: number };

export function latencyOf({ reads, writes }: Probes): Latency {
  const [read, write] = [spreadOf(reads), spreadOf(writes)];
  return { readP99: read.p99, writeP99: write.p99, readP50: read.p50, writeP50: write.p50 };
}
