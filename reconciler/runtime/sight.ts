/** Gathers the observations for `decide` (law 9), of the nodes that a plan may ask about. */
import type { Config } from "../../schema/config.ts";
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { Clock, Log } from "../core/clock.ts";
import { askedOf } from "../core/decide/asked.ts";
import type { DrainSight, Fleet, QueueSight, Sight } from "../core/fleet.ts";
import { Blindness, darkness } from "../core/safety/blind.ts";
import { allWork } from "../core/slurm/all-work.ts";
import { type Doubt, doubtsOf, namesInDoubt } from "../core/slurm/doubt.ts";
import type { SlurmSink } from "../core/slurm/sink.ts";
import { freezesAll, frozenBy } from "../core/safety/step.ts";
import type { Targets } from "./act/execute.ts";
import type { CloudSight } from "./cloud-sight.ts";
import type { ClusterInformer } from "./cluster-informer.ts";
import { MetricWatch } from "./metric-watch.ts";
import type { Presence } from "./presence.ts";
import { Queues } from "./queue-sight.ts";
import type { SlurmInformer } from "./slurm-informer.ts";

type ObserverPorts = {
  config(): Config;
  presence: Presence;
  cloud: CloudSight;
  informer: {
    cluster: Pick<ClusterInformer, "ambiguous">;
    slurm: Pick<SlurmInformer, "sight">;
  };
  targets: Pick<Targets, "scheduler" | "slurm" | "keyProblem" | "readMetric" | "tasks">;
  clock: Clock;
  log: Log;
};

export class Observer {
  readonly #ports: ObserverPorts;
  readonly #blindness = new Blindness();
  readonly #metrics: MetricWatch;
  readonly #queues: Queues;

  constructor(ports: ObserverPorts) {
    this.#ports = ports;
    this.#metrics = new MetricWatch(ports.targets.readMetric, ports.clock, ports.log);
    this.#queues = new Queues(ports);
  }

  /** The pool's queue in its schedulers; `null` = unknown. */
  queueOf(pool: PoolName): QueueSight | null {
    return this.#queues.of(pool);
  }

  /** Starts the readings of metrics sources that are due. */
  readMetrics(fleet: Fleet): void {
    this.#metrics.look(this.#ports.config(), fleet);
  }

  /** `isSizing`: autoscalers are evaluated before the plan is made. */
  look(fleet: Fleet, at: { now: number; mono: number; isSizing: boolean }): Sight {
    const { presence, cloud, informer, targets } = this.#ports;
    const config = this.#ports.config();
    const { now, mono, isSizing } = at;
    const { keyProblem } = targets;
    const { cluster } = targets.scheduler;
    const providers = cloud.sight(fleet);
    const asked = askedOf(fleet, config, providers, isSizing);
    const doubts = namesInDoubt(fleet.nodes.values());
    return {
      now,
      blind: this.#blind(fleet, mono),
      attentiveMs: presence.attentiveMs(mono),
      work: new Map(asked.work.map((node) => [node, this.workOn(fleet, node, mono, doubts)])),
      utilization: known(asked.load, (node) => presence.utilization(node) ?? undefined),
      providers,
      frozen: frozenBy(fleet.facts, now),
      frozenAll: freezesAll(fleet.facts, now),
      kube: cluster?.sight(informer.cluster.ambiguous()) ?? null,
      slurm: informer.slurm.sight(config),
      keys: keyProblem === null ? null : known(asked.keys, keyProblem),
      queues: known(asked.queues, (pool) => this.queueOf(pool) ?? undefined),
      tasks: known(asked.queues, (pool) => targets.tasks?.(pool) ?? undefined),
      metrics: isSizing ? this.#metrics.sights() : new Map(),
    };
  }

  /** Work left on a node: from its schedulers, else from its agent's process list. */
  workOn(
    fleet: Fleet,
    node: NodeId,
    mono: number,
    doubts = namesInDoubt(fleet.nodes.values()),
  ): DrainSight {
    const { slurm: sink } = this.#ports.targets;
    const row = fleet.nodes.get(node);
    const { kube = null, slurm = null } = row ?? {};
    if (sink === null || row === undefined) return this.#otherWork(fleet, node, mono);
    if (slurm === null) {
      return workInDoubt(sink, doubtsOf(row, doubts)) ?? this.#otherWork(fleet, node, mono);
    }
    const jobs = sink.left(slurm.name);
    // Without a Node object nothing but Slurm places work on it.
    if (kube === null || kube.absentSince !== null) return jobs;
    return allWork([this.#otherWork(fleet, node, mono), jobs]);
  }

  #otherWork(fleet: Fleet, node: NodeId, mono: number): DrainSight {
    const { presence, config, targets } = this.#ports;
    const { cluster } = targets.scheduler;
    const isMatched = fleet.nodes.get(node)?.kube?.absentSince === null;
    if (cluster !== null && isMatched && !cluster.knows(node)) {
      return { kind: "dark", message: "its Node was only just matched" };
    }
    const { sampleIntervalMs } = config().server;
    return targets.scheduler.left(node) ?? leftBySample(presence, node, mono, sampleIntervalMs);
  }

  /** Why observations are unreliable now. */
  #blind(fleet: Fleet, mono: number): string[] {
    const { presence, cloud, config } = this.#ports;
    const dark = darkness(fleet.nodes.values());
    const own = presence.doubtful();
    const reasons = [...(dark === null ? [] : [dark]), ...cloud.doubts(mono)];
    const blind = this.#blindness.look(reasons, mono, config().server.heartbeatIntervalMs);
    return [...(own === null ? [] : [own]), ...blind];
  }
}

/** Jobs under a NodeName that may be this machine's; `null` = there are none. */
function workInDoubt(
  sink: Pick<SlurmSink, "left" | "dark">,
  doubts: readonly Doubt[],
): DrainSight | null {
  for (const { name, held, message } of doubts) {
    const dark = sink.dark();
    if (dark !== null) return { kind: "dark", message: dark };
    if (held) return { kind: "dark", message: `others hold ${name} in Slurm (${message})` };
    const left = sink.left(name);
    if (left.kind !== "busy") continue;
    return { kind: "busy", remaining: left.remaining, message: `${left.message} (${message})` };
  }
  return null;
}

/**
 * Work left according to the agent's process list. It is fresh for three intervals, as one sample
 * may be lost and one late; a report's sample may be one interval old.
 */
function leftBySample(
  presence: Presence,
  node: NodeId,
  mono: number,
  sampleIntervalMs: number,
): DrainSight {
  const left = presence.left(node, mono, 3 * sampleIntervalMs);
  return left.kind === "empty" ? { ...left, seenAt: left.seenAt - sampleIntervalMs } : left;
}

/** The known values; `undefined` = unknown. */
function known<K, V>(keys: Iterable<K>, look: (key: K) => V | undefined): Map<K, V> {
  const out = new Map<K, V>();
  for (const key of keys) {
    const value = look(key);
    if (value !== undefined) out.set(key, value);
  }
  return out;
}
