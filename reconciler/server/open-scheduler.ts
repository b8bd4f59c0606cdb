/**
 * Opens the schedulers: the Kubernetes cluster that is configured or found, and Slurm.
 *
 * Adapter: environment, host name, randomness.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Config } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { ConsoleCluster } from "../core/console/cluster.ts";
import type { Scheduler } from "../core/kubernetes/scheduler.ts";
import type { PodSetPort } from "../core/slurm/pod-set.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import type { Metrics } from "../http/metrics/metrics.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { openConsoleCluster } from "../kubernetes/console/cluster.ts";
import { openKubernetes } from "../kubernetes/open.ts";
import { openPodSet } from "../kubernetes/pod-set.ts";
import { openNoScheduler } from "../runtime/no-scheduler.ts";
import { openSlurm } from "../slurm/open.ts";
import { openAgentPools, type OpenedPools } from "./open-agentpool.ts";
import { UsageError } from "./start-failure.ts";

export type Schedulers = {
  scheduler: Scheduler;
  api: KubeApi | null;
  /** `null` without a cluster. */
  openConsole: (() => ConsoleCluster) | null;
  slurm: SlurmSink | null;
  podSet: PodSetPort | null;
  pools: OpenedPools | null;
};

export async function openSchedulers(
  config: Config,
  fleet: string,
  metrics: Metrics,
  clock: Clock,
  log: Log,
): Promise<Schedulers> {
  const first = await openCluster(config, fleet, metrics, clock, log);
  const podSet = first.api === null ? null : openPodSet(first.api);
  const pools = await openAgentPools(config, { metrics, clock, log });
  if (!config.slurm.enabled) return { ...first, slurm: null, podSet, pools };
  const set = Object.entries(process.env).filter((one): one is [string, string] => {
    return one[1] !== undefined;
  });
  const count = metrics.countSlurmCall.bind(metrics);
  const ports = { clock, log, env: Object.fromEntries(set), count };
  return { ...first, slurm: openSlurm(config.slurm, ports), podSet, pools };
}

/** Without a cluster, a scheduler that knows of no work. */
async function openCluster(
  config: Config,
  fleet: string,
  metrics: Metrics,
  clock: Clock,
  log: Log,
): Promise<Pick<Schedulers, "scheduler" | "api" | "openConsole">> {
  const random = (): number => Math.random();
  const opened = await openKubernetes(config.kubernetes, {
    env: process.env,
    clock,
    random,
    draw: (count) => randomBytes(count),
    fleet,
    log,
    instance: hostname(),
    count: (pool, verb, resource) => metrics.countKubeWrite(pool, verb, resource),
    marked: (node) => {
      const ms = metrics.observeMarked(node, clock.wallMs());
      if (ms !== null) log("debug", "isolated", { node, ms });
    },
  });
  if (opened.kind === "failed") throw new UsageError(`kubernetes: ${opened.message}`);
  if (opened.kind === "none") return { scheduler: openNoScheduler(), api: null, openConsole: null };
  log("info", "kubernetes", { server: opened.server });
  const openConsole = () => {
    return openConsoleCluster({ ...opened.openConsoleCalls(), clock, random, log });
  };
  return { scheduler: opened.scheduler, api: opened.api, openConsole };
}
