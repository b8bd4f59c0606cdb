/**
 * The inputs of the pure rooms: the durable fleet, and the current observations. `Fleet` mirrors
 * the store, of which this process is the only writer. `Sight` is never stored; a missing part
 * means "unknown", never "empty". Both are plain values, so that an activation can be saved and
 * replayed.
 */
import type { ValueOf } from "../../schema/config/field.ts";
import type { SETTINGS } from "../../schema/config/provider.ts";
import type { Config, PoolConfig } from "../../schema/config.ts";
import type { NodeId, OperationId, PoolName } from "../../schema/id.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { Fact } from "../../schema/safety.ts";
import type { ProviderClass, Reach } from "./provider.ts";

export type Fleet = {
  /** Random, kept with the store: marks what this fleet owns at a cloud. */
  fleetId: string;
  nodes: ReadonlyMap<NodeId, Node>;
  pools: ReadonlyMap<PoolName, PoolState>;
  /** Open ones only, by id. */
  operations: ReadonlyMap<OperationId, Operation>;
  /** Stored facts of the safety machinery, by key. */
  facts: ReadonlyMap<string, Fact>;
};

/** Work left on a node. */
export type DrainSight =
  /** No work as of `seenAt` (wall); an observation before the drain proves nothing. */
  | { kind: "empty"; seenAt: number }
  /** `deadlineAt`: the drain's own, extended by the time in which no pod could be evicted. */
  | {
      kind: "busy";
      remaining: number;
      message: string;
      deadlineAt?: number;
      /** No pod may be evicted now, so the deadline moves. */
      paused?: boolean;
      /** Ids of its jobs in Slurm that have not begun to end. */
      jobs?: string[];
    }
  /** No scheduler is attached and there is no process list. */
  | { kind: "unknown"; forMs: number }
  /**
   * Its scheduler does not answer: never the same as empty (law 9). `idle`: it shows no work there
   * now and may begin some at any time, so the node may be chosen, and not ended.
   */
  | { kind: "dark"; message: string; idle?: true };

export type ProviderSight = {
  class: ProviderClass;
  settleMs: number;
  /** A complete listing was folded since this process started; nothing is bought before. */
  listed: boolean;
  /**
   * It was not asked for machines of other fleets yet, and a pool that buys there has bought
   * nothing with this store.
   */
  unlooked: boolean;
  /** Why the adapter cannot be opened or used. */
  unavailable: string | null;
  /** Why machines that are bought there do not come up; `null` = nothing known. */
  trouble: string | null;
  /** Its machines come with an agent: nothing is set up over SSH. */
  bringsAgent: boolean;
  canReboot: boolean;
  /** What it reaches now. */
  reach: Reach;
  /** What it says of the places that pools name, by key; `null` = not read yet. */
  offers: ReadonlyMap<string, OfferSight> | null;
};

/** A place as its provider last described it. */
export type OfferSight = {
  /** Dollars an hour; `null` = unknown. */
  pricePerHour: number | null;
  /** Whether it has capacity; `null` = unknown. */
  available: boolean | null;
  /** Since when it has capacity, as seen by this process; `null` = unknown, or it has none. */
  availableSince: number | null;
  /** Wall milliseconds of the answer. */
  seenAt: number;
};

export type Sight = {
  /** Wall milliseconds. */
  now: number;
  /** Why observations are unreliable; if not empty, nothing destructive starts (law 9). */
  blind: string[];
  /** Milliseconds without a pause of this process; no node is late for longer. */
  attentiveMs: number;
  /** Work on the nodes that the plan may evaluate (`decide/asked.ts`); absent = unknown. */
  work: ReadonlyMap<NodeId, DrainSight>;
  /** GPU utilisation in percent, of the same nodes; absent = unknown. */
  utilization: ReadonlyMap<NodeId, number>;
  providers: ReadonlyMap<string, ProviderSight>;
  /** Why a person froze the fleet; `null` = not frozen. */
  frozen: string | null;
  /** The freeze stops cordons of definitive faults too. */
  frozenAll: boolean;
  /** The Kubernetes cluster; `null` = there is none. */
  kube: KubeSight | null;
  /** The Slurm cluster; `null` = there is none. */
  slurm: SlurmSight | null;
  /**
   * Why the private key at a path cannot be used, `null` if it can; absent while it is being read.
   * Without the map every key counts as usable.
   */
  keys: ReadonlyMap<string, string | null> | null;
  /** Queues of autoscaled pools, while sizes are evaluated; absent = unknown, which is not zero. */
  queues: ReadonlyMap<PoolName, QueueSight>;
  /** What tasks of the demand queue ask of these pools; absent = none was ever submitted. */
  tasks: ReadonlyMap<PoolName, QueueSight>;
  /** Sources of `external` autoscalers, by `metricKey`; absent = not read yet. */
  metrics: ReadonlyMap<string, MetricSight>;
};

/** What a metrics source said: the last number, and why the newest attempt failed. */
export type MetricSight = {
  reading: {
    /** Finite and not negative. */
    value: number;
    /** Wall milliseconds of the begin of the request. */
    at: number;
  } | null;
  /** `null` = the newest attempt succeeded. */
  problem: string | null;
};

export function workOn(sight: Pick<Sight, "work">, node: NodeId): DrainSight {
  return sight.work.get(node) ?? { kind: "unknown", forMs: 0 };
}

/** Whether no work was seen on it last: to choose by, and no proof. */
export function isIdle(work: DrainSight): boolean {
  return work.kind === "empty" || (work.kind === "dark" && work.idle === true);
}

export type KubeSight = {
  /** Why its state is unknown now; `null` = it is fresh. */
  dark: string | null;
  /** Its objects were listed since this process started: a missing object does not exist. */
  known: boolean;
  /** Navarch was never permitted to list it since this process started. */
  forbidden: boolean;
  /** Cordons are written to the cluster. */
  mirrorsCordon: boolean;
  /** Ambiguous nodes with the reason: nothing is done to them. */
  ambiguous: ReadonlyMap<NodeId, string>;
};

export type SlurmSight = {
  /** Why its state is unknown now; `null` = it is fresh. */
  dark: string | null;
  /** Its nodes were listed since this process started. */
  known: boolean;
  /** Drains and releases are written (`slurm.mirror.cordon`). */
  mirrorsCordon: boolean;
  /** NodeNames that several nodes claim, with the reason: nothing is done to these nodes. */
  ambiguous: ReadonlyMap<NodeId, string>;
};

/** A pool's queue in its scheduler. */
export type QueueSight = {
  pendingJobs: number;
  /** Waiting and running. */
  queueDepth: number;
  /** The same two in requested GPUs. */
  pendingGpus: number;
  gpuDepth: number;
  /** Jobs that ask for more than one GPU. */
  widePods?: number;
  /** Most GPUs that one waiting pod asks for; they must be on one node. */
  widest?: number;
  /** Wall milliseconds of the scheduler's last answer. */
  observedAt: number;
  source: string;
};

/** Settings of the configuration that concern time. */
export type Timing = {
  heartbeatTimeoutMs: number;
  checkIntervalMs: number;
  registrationTimeoutMs: number;
  /** By provider: for an agent to report once its instance runs, and for an instance to boot. */
  boot: ReadonlyMap<string, BootLimits>;
  retainTerminatedMs: number;
  /** What the cluster must show before a node serves, and how long that may take. */
  clusterReady: Config["kubernetes"]["ready"];
  clusterReadyTimeoutMs: number;
  /** A Node that is NotReady or gone for so long is repaired; 0 = never. */
  notReadyAfterMs: number;
};

export type BootLimits = { registrationMs: number; bootMs: number };

/** Bare metal takes 20 to 30 minutes to boot; virtual machines take a few. */
const BOOT_MS = { coreweave: 60 * 60_000, other: 30 * 60_000 };

function bootLimitsOf({ providers, server }: Config): Map<string, BootLimits> {
  const limits = providers.map(({ name, type, settings }): [string, BootLimits] => {
    const { registrationTimeoutMs, bootTimeoutMs } = settings as Partial<ValueOf<typeof SETTINGS>>;
    const registrationMs = registrationTimeoutMs ?? server.registrationTimeoutMs;
    const bootMs = bootTimeoutMs ?? (type === "coreweave" ? BOOT_MS.coreweave : BOOT_MS.other);
    // Whoever gives an agent an hour gives the boot no less.
    return [name, { registrationMs, bootMs: Math.max(bootMs, registrationMs) }];
  });
  return new Map(limits);
}

export function timingOf(config: Config): Timing {
  return {
    clusterReady: config.kubernetes.ready,
    clusterReadyTimeoutMs: config.kubernetes.readyTimeoutMs,
    notReadyAfterMs: config.kubernetes.notReadyAfterMs,
    heartbeatTimeoutMs: config.server.heartbeatTimeoutMs,
    checkIntervalMs: config.server.healthCheckIntervalMs,
    registrationTimeoutMs: config.server.registrationTimeoutMs,
    boot: bootLimitsOf(config),
    retainTerminatedMs: config.server.retainTerminatedMs,
  };
}

/** The wanted size of a pool inside its configured bounds. */
export function desiredOf(pool: PoolConfig, state: PoolState | undefined): number {
  const wanted = state?.desired ?? pool.scaling.minNodes;
  return Math.min(Math.max(wanted, pool.scaling.minNodes), pool.scaling.maxNodes);
}

/**
 * An unmanaged machine: it runs an agent, and no cloud lists or terminates it. Its pool is the one
 * that its agent names, if configured.
 */
export function isUnbought({ slot, instance }: Pick<Node, "slot" | "instance">): boolean {
  return slot === null && instance === null;
}

/** A worker pod of an AgentPool, which is judged here and replaced by its pool alone. */
export function isWorker({ worker }: Pick<Node, "worker">): boolean {
  return worker !== null;
}

/** A claimed machine of the operator's: it is repaired or held, and never ended or replaced. */
export function isOwned({ instance }: Pick<Node, "instance">): boolean {
  return instance?.host !== undefined;
}

/** Whether the scheduler shows a person's cordon, so that Navarch's mark there must stay. */
export function showsPersonsCordon({ cordon, kube }: Pick<Node, "cordon" | "kube">): boolean {
  return cordon.human !== null && kube !== null;
}

/** Whether a person, or another client of Kubernetes or Slurm, took it out of service. */
export function isTakenOut(node: Pick<Node, "cordon" | "kube" | "slurm">): boolean {
  const { cordon, kube, slurm } = node;
  const isInSlurm = slurm?.absentSince === null && slurm.others.length > 0;
  return cordon.human !== null || (kube !== null && kube.others.length > 0) || isInSlurm;
}

/** Whether a node of the pool counts towards the size that the pool wants. */
export function countsIn(node: Node, pool: Pick<PoolConfig, "adopt">): boolean {
  return pool.adopt || !isUnbought(node);
}

/** What its cluster shows of a node whose Node is NotReady, or gone, beside its agent. */
export type OutOfCluster = {
  name: string;
  since: number;
  /** The Ready condition; `null`: there is no Node object any more. */
  shows: string | null;
};

/**
 * `null` = its Node is Ready, or what it shows says nothing of the machine: its agent is silent
 * too, the node is on its way up, rebooting or leaving, or the NotReady was not reported yet. An
 * unmanaged machine's owner may remove its Node.
 */
export function outOfCluster(node: Node): OutOfCluster | null {
  const { kube, phase, health } = node;
  if (kube === null || health.silentSince !== null || !IN_SERVICE.has(phase.kind)) return null;
  const { name, absentSince, notReady, notReadySince, missedAt } = kube;
  if (absentSince !== null) {
    return isUnbought(node) ? null : { name, since: absentSince, shows: null };
  }
  if (notReady === null || notReadySince === undefined || missedAt === undefined) return null;
  return { name, since: notReadySince, shows: notReady };
}

const IN_SERVICE: ReadonlySet<Node["phase"]["kind"]> = new Set([
  ...(["serving", "suspect", "replacing", "draining", "held"] as const),
]);

/** Whether its Node was NotReady or gone for longer than the configuration permits. */
export function isLostToCluster({ kube }: Pick<Node, "kube">): boolean {
  return kube?.lostAt !== undefined;
}

type Verdict = Node["health"]["verdict"];

/** What its agent and its heartbeats show: a silent node is unhealthy. */
export function verdictOfAgent({ health }: Pick<Node, "health">): Verdict {
  return health.silentSince === null ? health.verdict : "unhealthy";
}

/** The node's health for people: also that of its place in the cluster. */
export function verdictOfNode(node: Node): Verdict {
  if (isLostToCluster(node)) return "unhealthy";
  const verdict = verdictOfAgent(node);
  return verdict === "healthy" && outOfCluster(node) !== null ? "degraded" : verdict;
}

export function isWell(node: Node): boolean {
  const verdict = verdictOfNode(node);
  return verdict === "healthy" || verdict === "degraded";
}
