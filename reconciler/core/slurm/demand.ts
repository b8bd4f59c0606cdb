/**
 * Counts Slurm's jobs by pool, over the partition: the signal of a `queue` autoscaler. Pure. Only
 * a job that more nodes would start counts as pending, so that a held job, a dependency or a limit
 * buys nothing. The caller knows whether the queue is observed at all.
 */
import type { PoolName } from "../../../schema/id.ts";
import type { QueueSight } from "../fleet.ts";
import { couldRun } from "./fit.ts";
import type { SlurmJob, SlurmNode } from "./object.ts";

export type SlurmDemand = {
  pending: Amount;
  running: Amount;
  /** Jobs of both kinds with more than one GPU on a node. */
  wide: number;
  /** Pending jobs that more nodes would not start, by Slurm's reason. */
  waiting: ReadonlyMap<string, number>;
  /** The part of `waiting` with a reason that this release does not know. */
  unknown: ReadonlyMap<string, number>;
};

type Counting = SlurmDemand & {
  waiting: Map<string, number>;
  unknown: Map<string, number>;
};

/** Tasks of an array count one by one. */
type Amount = { jobs: number; gpus: number; nodes: number };

/** A pool and its partition; `nodes` of all its NodeNames, empty where they are not known. */
export type PoolPartition = { pool: PoolName; partition: string; nodes: readonly SlurmNode[] };

/**
 * Reasons that end once there are nodes, in the form of `wordOf`. `None` is a job that the
 * scheduler has not looked at yet.
 */
const WANTS_NODES: readonly string[] = [
  "none",
  "resources",
  "priority",
  "reqnodenotavail",
  "nodedown",
  "nodesrequiredforjobaredowndrainedorreservedforjobsinhigherprioritypartitions",
];

/** How reasons begin that nodes do not end; a job of another one does not count, and is told. */
const WANTS_OTHER: readonly string[] = [
  ...["dependency", "feddepend", "begintime", "deadline", "jobheld", "held", "jobrequeued"],
  ...["joblaunchfailure", "maxrequeue", "prolog", "cleaning", "systemfailure", "raisedsignal"],
  ...["nonzeroexitcode", "timelimit", "inactivelimit", "outofmemory"],
  ...["qos", "assoc", "accountingpolicy", "partition", "jobarraytasklimit", "licenses"],
  ...["maxmemperlimit", "defmemper", "reservation", "reservedinstead", "burstbuffer", "power"],
  ...["badconstraints", "constraints", "invalid", "frontenddown", "schedulersite"],
];

/** States of a job that has nodes, before its epilog ended. */
const RUNS = new Set([
  "RUNNING",
  "CONFIGURING",
  "COMPLETING",
  "SUSPENDED",
  "STOPPED",
  "RESIZING",
  "SIGNALING",
  "STAGE_OUT",
]);
/** Flags of a pending job that a person or its failure holds. */
const HELD = new Set(["REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REVOKED"]);

/** More tasks than any `MaxArraySize` allows count as this many. */
const TASKS_MAX = 4_000_001;
/** Nodes or GPUs of one job: above any cluster, and sums stay whole numbers. */
const EACH_MAX = 1_000_000;

/** Demand of every given pool; a pool without jobs has an empty one. */
export function slurmDemand(
  jobs: Iterable<SlurmJob>,
  pools: readonly PoolPartition[],
): Map<PoolName, SlurmDemand> {
  const none = (): Amount => ({ jobs: 0, gpus: 0, nodes: 0 });
  const demands = new Map<PoolName, Counting>();
  for (const { pool } of pools) {
    const other = { waiting: new Map(), unknown: new Map() };
    demands.set(pool, { pending: none(), running: none(), wide: 0, ...other });
  }
  const choose = chooser(pools);
  for (const job of jobs) {
    const all = poolsOf(job, pools);
    const chosen = choose(job, all);
    const demand = demands.get((chosen ?? all[0])?.pool ?? ("" as PoolName));
    const seen = kindOf(job);
    const kind = chosen === null && seen !== null ? ELSEWHERE[seen] : seen;
    if (demand === undefined || kind === null) continue;
    const tasks = kind === "running" ? 1 : clamp(job.tasks, 1, TASKS_MAX);
    const amount = kind === "running" ? demand.running : demand.pending;
    if (kind === "other") {
      const reason = job.reason ?? job.state;
      add(demand.waiting, reason, tasks);
      if (!isKnown(job)) add(demand.unknown, reason, tasks);
      continue;
    }
    const nodes = clamp(job.nodeCount, 1, EACH_MAX);
    const gpus = clamp(job.gpus, 0, EACH_MAX);
    amount.jobs += tasks;
    amount.gpus += gpus * tasks;
    amount.nodes += nodes * tasks;
    if (gpus > nodes) demand.wide += tasks;
  }
  return demands;
}

/**
 * The pools that the job may count for: of its partitions in the order in which it names them, of
 * one partition as they are configured.
 */
function poolsOf({ partition }: SlurmJob, pools: readonly PoolPartition[]): PoolPartition[] {
  return (partition ?? "").split(",").flatMap((name) => {
    return pools.filter((one) => one.partition === name.trim());
  });
}

/**
 * Of those the one that the job counts for, once: the pool of the nodes that it has, else the first
 * that could run it. `null`: other nodes of the partition run it.
 */
function chooser(
  pools: readonly PoolPartition[],
): (job: SlurmJob, of: readonly PoolPartition[]) => PoolPartition | null {
  const owners = new Map(pools.flatMap((one) => one.nodes.map(({ name }) => [name, one.pool])));
  // Jobs ask for much the same: each pool is judged once for it.
  const known = new Map<string, boolean>();
  const fits = ({ features, gpuTypes, requiredNodes }: SlurmJob, one: PoolPartition): boolean => {
    const key = JSON.stringify([one.pool, features, gpuTypes, requiredNodes]);
    const fit = known.get(key) ?? couldRun({ features, gpuTypes, requiredNodes }, one.nodes);
    known.set(key, fit);
    return fit;
  };
  return (job, of) => {
    if (job.nodes.length === 0) return of.find((one) => fits(job, one)) ?? null;
    const on = new Set(job.nodes.map((name) => owners.get(name)));
    const unknown = of.find(({ nodes }) => nodes.length === 0);
    return of.find(({ pool }) => on.has(pool)) ?? unknown ?? null;
  };
}

const ELSEWHERE = { pending: "other", running: null, other: "other" } as const;

/** `other`: pending, and no node would start it. `null`: it has ended, or its state is unknown. */
function kindOf(job: SlurmJob): "pending" | "running" | "other" | null {
  const words = job.state.toUpperCase().split(/[^A-Z_]+/);
  if (words.some((word) => HELD.has(word))) return "other";
  if (words.includes("PENDING")) return wantsNodes(job.reason) ? "pending" : "other";
  return words.some((word) => RUNS.has(word)) ? "running" : null;
}

function wantsNodes(reason: string | null): boolean {
  return WANTS_NODES.includes(wordOf(reason));
}

function isKnown({ reason, state }: SlurmJob): boolean {
  const word = wordOf(reason);
  return state.toUpperCase() !== "PENDING" || WANTS_OTHER.some((one) => word.startsWith(one));
}

/**
 * The reason's word without its tail, as in `ReqNodeNotAvail, UnavailableNodes:n1`; releases write
 * spaces as underscores or not, and the case differs.
 */
function wordOf(reason: string | null): string {
  const text = (reason ?? "None").replace(/^\(|\)$/g, "").trim();
  const isSentence = /^nodes[ _]required/i.test(text);
  const head = isSentence ? text : (text.split(/[,:(]/)[0] ?? "");
  const word = head.replace(/[^a-z0-9]/gi, "").toLowerCase();
  // `ReqNodeNotAvail, May be reserved for other job`: a reservation, which no node ends.
  if (word === "reqnodenotavail" && /may[ _]be[ _]reserved/i.test(text)) return "reservedinstead";
  return word === "" ? "none" : word;
}

/** In the form of a pool's queue. */
export function slurmQueue(demand: SlurmDemand, observedAt: number): QueueSight {
  const { pending, running, wide } = demand;
  return {
    pendingJobs: pending.jobs,
    queueDepth: pending.jobs + running.jobs,
    pendingGpus: pending.gpus,
    gpuDepth: pending.gpus + running.gpus,
    widePods: wide,
    observedAt,
    source: "slurm",
  };
}

/** Of two schedulers that place work on the same nodes; as old as the older one. */
export function addQueues(one: QueueSight, other: QueueSight): QueueSight {
  return {
    pendingJobs: one.pendingJobs + other.pendingJobs,
    queueDepth: one.queueDepth + other.queueDepth,
    pendingGpus: one.pendingGpus + other.pendingGpus,
    gpuDepth: one.gpuDepth + other.gpuDepth,
    widePods: (one.widePods ?? 0) + (other.widePods ?? 0),
    widest: Math.max(one.widest ?? 0, other.widest ?? 0),
    observedAt: Math.min(one.observedAt, other.observedAt),
    source: `${one.source} and ${other.source}`,
  };
}

/** `least` for what is no number, such as the placeholder of an infinite one. */
function clamp(value: number, least: number, most: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(Math.trunc(value), least), most) : least;
}

function add(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
