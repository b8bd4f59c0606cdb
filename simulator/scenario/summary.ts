/**
 * A scenario in a few figures, for `navarch simulate validate` and the head of a run. Pure.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { ClusterSpec } from "./cluster.ts";
import type { Chaos, Scenario } from "./scenario.ts";

export type Summary = {
  name: string;
  description: string | null;
  mode: "scenario" | "stress";
  nodes: number;
  events: number;
  assertions: number;
  thresholds: number;
  pools: string[];
  /** What runs in its Kubernetes cluster; `null` = it has none. */
  cluster: string | null;
  durationMs: number;
  /** 0 = random. */
  seed: number;
  startup: string | null;
  failureRate: number | null;
  cascading: string | null;
  recovery: string | null;
  outages: string[];
  correlated: string[];
  files: string[];
};

export function summarize(scenario: Scenario): Summary {
  const { stress } = scenario;
  const gen = stress?.fleetGen ?? null;
  const chaos = stress?.chaos?.enabled === true ? stress.chaos : null;
  const files = [stress?.reportFile, stress?.htmlReportFile, stress?.logFile];
  const lastMs = scenario.events.at(-1)?.atMs ?? 0;
  return {
    name: scenario.name,
    description: scenario.description?.trim() ?? null,
    mode: stress === null ? "scenario" : "stress",
    nodes: scenario.fleet.length + (gen?.totalNodes ?? 0),
    events: scenario.events.length,
    assertions: scenario.assertions.length,
    thresholds: stress?.thresholds.length ?? 0,
    pools: scenario.config.pools.map((pool) => String(pool.name)),
    cluster: scenario.cluster === null ? null : formatCluster(scenario.cluster),
    durationMs: stress?.durationMs ?? lastMs,
    seed: stress?.seed ?? 0,
    startup: gen === null ? null : formatStartup(gen.startup),
    failureRate: chaos?.failureRate ?? null,
    cascading: chaos === null ? null : formatCascading(chaos),
    recovery: chaos === null ? null : formatRecovery(chaos),
    outages: chaos?.outages.map((outage) => outage.name) ?? [],
    correlated: chaos?.correlated.map((one) => one.name) ?? [],
    files: files.filter((file) => typeof file === "string"),
  };
}

function formatCluster({ pods, budgets }: ClusterSpec): string {
  if (pods.length === 0) return "no pods";
  const groups = pods.map(({ name, kind, replicas }) => {
    return kind === "DaemonSet" ? `${name} on each node` : `${replicas} ${name}`;
  });
  const count = `${budgets.length} ${budgets.length === 1 ? "budget" : "budgets"}`;
  return `${groups.join(", ")}; ${count}`;
}

function formatStartup({ pattern, durationMs }: { pattern: string; durationMs: number }): string {
  return pattern === "instant" ? pattern : `${pattern} over ${formatDuration(durationMs)}`;
}

function formatCascading({ cascading }: Chaos): string {
  if (cascading === null) return "off";
  const { probability, maxDepth, scope, maxAffected } = cascading;
  const share = `${Number((maxAffected * 100).toFixed(2))} %`;
  return `probability ${probability}, depth ${maxDepth}, up to ${share} of the ${scope}`;
}

function formatRecovery({ recovery }: Chaos): string {
  if (recovery === null) return "off";
  const { probability, meanTimeMs, stdDevMs, replaceFatal } = recovery;
  const spread = `${formatDuration(meanTimeMs)} ± ${formatDuration(stdDevMs)}`;
  return `probability ${probability} after ${spread}${replaceFatal ? ", fatal ones replaced" : ""}`;
}
