/**
 * Reactive beside predictive autoscaling on a trace of demand: nodes boot for 15 minutes, decisions
 * fall every 30 seconds with a cool-down of 5 minutes. Run by path it reads traces from files:
 * `{"name": …, "step_s": …, "demand": [nodes' worth of work, …]}`.
 */
import type { Autoscaler } from "../../schema/config.ts";
import { FULL_PERCENT } from "../../reconciler/core/scaling/forecast.ts";
import { recommend } from "../../reconciler/core/scaling/recommend.ts";
import type { Snapshot } from "../../reconciler/core/scaling/snapshot.ts";
import { seeded } from "../../simulator/engine/random.ts";
import { type Bench, held, shown } from "./bench.ts";

type Trace = { name: string; step_s: number; demand: readonly number[] };

export type Outcome = {
  policy: string;
  /** Demand that no serving node could take, in node-hours. */
  unmet: number;
  /** Node-hours that are paid: from the purchase on. */
  paid: number;
  /** Changes of the wanted size. */
  changes: number;
};

const INTERVAL_S = 30;
const BOOT_S = 900;
const COOLDOWN_S = 300;
const LOOKBACK_MAX = 240;

const reactive = (down: number): Autoscaler => ({
  type: "reactive",
  scaleUpThreshold: 80,
  scaleDownThreshold: down,
  step: 1,
});
const predictive = (lookback: number, horizonMs: number | null, down: number): Autoscaler => ({
  type: "predictive",
  lookbackWindow: lookback,
  growthFactor: 1.2,
  horizonMs,
  fallback: reactive(down),
});

const POLICIES: readonly [string, Autoscaler][] = [
  ["reactive 80/20", reactive(20)],
  ["reactive 80/50", reactive(50)],
  ["predictive, the defaults", predictive(10, null, 50)],
  ["predictive, 10 samples, 15 min", predictive(10, 900_000, 50)],
  ["predictive, 40 samples, 15 min", predictive(40, 900_000, 50)],
];

/** One policy over the trace, from a pool that fits its beginning. */
export function follow({ step_s, demand }: Trace, policy: string, by: Autoscaler): Outcome {
  const peak = Math.max(...demand);
  const bounds = { min: 1, max: Math.max(2, Math.ceil(peak * 2)) };
  let desired = Math.min(bounds.max, Math.max(1, Math.ceil((demand[0] ?? 0) / 0.7)));
  let serving = desired;
  let booting: number[] = [];
  let actedAt = Number.NEGATIVE_INFINITY;
  let loads: (number | null)[] = [];
  const sum = { unmet: 0, paid: 0, changes: 0 };
  for (let at = 0; at < step_s * (demand.length - 1); at += INTERVAL_S) {
    serving += booting.filter((ready) => ready <= at).length;
    booting = booting.filter((ready) => ready > at);
    const work = demandAt(demand, at / step_s);
    const utilization = Math.min(100, (100 * work) / serving);
    const load = utilization >= FULL_PERCENT ? null : utilization * serving;
    loads = [...loads, load].slice(-LOOKBACK_MAX);
    const history = loads.map((one) => one && one / serving);
    sum.unmet += (Math.max(0, work - serving) * INTERVAL_S) / 3_600;
    sum.paid += ((serving + booting.length) * INTERVAL_S) / 3_600;
    const from = snapshotOf({ ...bounds, desired, serving, utilization, history, at });
    const answer = recommend(by, from);
    if (answer.kind === "hold" || answer.nodes === desired) continue;
    if (answer.cause === "signal" && at - actedAt < COOLDOWN_S) continue;
    actedAt = at;
    sum.changes += 1;
    for (; desired < answer.nodes; desired++) booting.push(at + BOOT_S);
    // What boots is given back first.
    for (; desired > answer.nodes; desired--) if (booting.pop() === undefined) serving -= 1;
  }
  return { policy, ...sum };
}

function demandAt(demand: readonly number[], place: number): number {
  const [before = 0, after = before] = demand.slice(Math.floor(place));
  return before + (after - before) * (place - Math.floor(place));
}

type Pool = Pick<Snapshot, "min" | "max" | "desired" | "utilization" | "history"> & {
  serving: number;
  at: number;
};

function snapshotOf({ serving, at, ...pool }: Pool): Snapshot {
  return {
    ...pool,
    registered: serving,
    spare: 0,
    queueDepth: null,
    gpuDepth: null,
    waiting: 0,
    intervalMs: INTERVAL_S * 1_000,
    workers: [],
    surplus: new Map(),
    metrics: new Map(),
    now: at * 1_000,
    mono: at * 1_000,
  };
}

/**
 * Two weeks of a made demand: 12 nodes' work, a day's swing of 8 around 14:00, half of it at the
 * weekend, 5 % of noise a minute, and once in ten hours a burst of 6 nodes for 40 minutes.
 */
export function madeTrace(days: number, seed = 7): Trace {
  const random = seeded(seed);
  let burst = 0;
  const demand = Array.from({ length: days * 1_440 }, (_, minute) => {
    const day = Math.floor(minute / 1_440) % 7;
    const swing = (day < 5 ? 8 : 4) * Math.cos(((minute / 1_440 - 14 / 24) % 1) * 2 * Math.PI);
    if (random() < 1 / 600) burst = 40;
    burst -= 1;
    const noise = 1 + 0.1 * (random() - 0.5);
    return Math.max(0, (12 + swing + (burst > 0 ? 6 : 0)) * noise);
  });
  return { name: "made", step_s: 60, demand };
}

function compare(trace: Trace): Outcome[] {
  return POLICIES.map(([name, autoscaler]) => follow(trace, name, autoscaler));
}

export const forecastBench: Bench = {
  name: "forecast",
  summary: "reactive beside predictive autoscaling on a made trace of demand",
  async run({ tiny, say }) {
    const trace = madeTrace(tiny ? 1 : 14);
    const all = compare(trace);
    const total = trace.demand.reduce((a, b) => a + b, 0) / 60;
    for (const one of all) {
      say(`${one.policy}: unmet ${one.unmet.toFixed(1)}, paid ${one.paid.toFixed(0)} node-hours`);
    }
    const [, plain, , , far] = all;
    const share = (one: Outcome | undefined) => (100 * (one?.unmet ?? Number.NaN)) / total;
    return Promise.resolve([
      shown("unmet demand, reactive 80/50", share(plain), "%"),
      held("unmet demand, predictive, 15 min ahead", share(far), "%", share(plain)),
      shown("its node-hours beside reactive's", (100 * (far?.paid ?? 0)) / (plain?.paid ?? 1), "%"),
    ]);
  },
};

/** A table of each trace, for docs/benchmarks.md. */
async function main(files: readonly string[]): Promise<void> {
  const traces: Trace[] = [madeTrace(14)];
  for (const file of files) traces.push((await Bun.file(file).json()) as Trace);
  for (const trace of traces) {
    const hours = (trace.demand.length * trace.step_s) / 3_600;
    const total = (trace.demand.reduce((a, b) => a + b, 0) * trace.step_s) / 3_600;
    const peak = Math.max(...trace.demand).toFixed(1);
    const head = `${hours.toFixed(1)} h, ${total.toFixed(0)} node-hours, peak ${peak}`;
    console.log(`\n${trace.name}: ${head}`);
    for (const { policy, unmet, paid, changes } of compare(trace)) {
      const share = `${unmet.toFixed(1)} (${((100 * unmet) / total).toFixed(2)} %)`;
      console.log(`| ${policy} | ${share} | ${paid.toFixed(0)} | ${changes} |`);
    }
  }
}

if (import.meta.main) await main(process.argv.slice(2));
