/**
 * A simulated run without its story: clouds, machines with the production agent, and the
 * production control plane, on one clock. Nodes are read through the control plane's API; machines
 * are changed directly.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import type { Instance, Provider } from "../../reconciler/core/provider.ts";
import type { KubeWrite } from "../cluster/world.ts";
import type { Change } from "../../reconciler/core/store.ts";
import type { SendAnswer } from "../../agent/port/port.ts";
import type { Config } from "../../schema/config.ts";
import type { Report, Sample } from "../../schema/report.ts";
import type { InstanceId } from "../../schema/id.ts";
import type { Machine } from "../machine/machine.ts";
import type { Failure } from "../scenario/fault.ts";
import { openStreams, type Random, type Stream } from "../engine/random.ts";
import type { SimNode } from "../scenario/scenario.ts";
import { SimCloud } from "./cloud.ts";
import type { ClusterSpec } from "../scenario/cluster.ts";
import { Population, type Member } from "./population.ts";
import { SimKube } from "./kube.ts";
import { IdleMachines } from "./idle.ts";
import { Plane } from "./plane.ts";
import type { Time } from "../engine/clock.ts";

/** An unanswered report is dropped after this, as by the agent's transport. */
const DEADLINE_MS = 10_000;
/** How often idle machines are looked for. */
const IDLE_LOOK_MS = 2_000;
/** CPU time of an activation for each node: what a large fleet adds to a detection. */
const WORK_PER_NODE_MS = 0.07;

export type StackOptions = {
  time: Time;
  config: Config;
  /** What runs in the Kubernetes cluster; `null` = there is none. */
  cluster: ClusterSpec | null;
  policy: CompiledPolicy;
  seed: number;
  nodes: readonly SimNode[];
  /** Shape of what the product buys where no node was listed. */
  shape: SimNode;
  /** How long a bought machine needs from its instance running to its agent. */
  coldStartMs: (random: Random) => number;
  /** Stop simulating machines while nothing happens on them. */
  analytic: boolean;
  events: StackEvents;
};

export type StackEvents = {
  committed(change: Change): void;
  cloudEntry(provider: string, entry: Entry): void;
  /** Changes in the cluster. */
  kubeWrite(write: KubeWrite): void;
  /** One report's way to the control plane and back, milliseconds. */
  delivered(ms: number): void;
  /** A node's agent began for the first time. */
  started(member: Member): void;
  /** Its instance ended. */
  ended(member: Member): void;
  /** Its cloud restarted it, which ended these failures. */
  rebooted(member: Member, cured: readonly Failure[]): void;
  /** `null`: the control plane. */
  log(name: string | null, line: string): void;
};

export class Stack {
  readonly time: Time;
  readonly plane: Plane;
  readonly idle: IdleMachines;
  readonly population: Population;
  readonly clouds: ReadonlyMap<string, SimCloud>;
  /** `null` = the machines join no cluster. */
  readonly kube: SimKube | null;
  readonly streams: Record<Stream, Random>;
  /** Ends the repetition of a pool's demand. */
  readonly demand = new Map<string, () => void>();
  readonly #options: StackOptions;
  readonly #samples = new Map<Machine, Sample>();
  /** Machines whose cores run. */
  readonly #awake = new Set<Machine>();
  #stopped = false;

  constructor(options: StackOptions) {
    const { time, config, policy, events } = options;
    this.#options = options;
    this.time = time;
    this.streams = openStreams(options.seed);
    const { providers } = this.streams;
    const clouds = new Map<string, SimCloud>();
    for (const { name } of config.providers) {
      const random = providers.fork(name);
      const heard = {
        running: (provider: string, instance: Instance) => this.#running(provider, instance),
        ended: (_provider: string, id: InstanceId) => this.#ended(id),
        rebooted: (id: InstanceId) => this.#rebooted(id),
        entry: events.cloudEntry,
      };
      clouds.set(name, new SimCloud(name, time, () => random.uniform(), heard));
    }
    this.clouds = clouds;
    const adapters = new Map<string, Provider>();
    for (const [name, cloud] of clouds) adapters.set(name, cloud.provider);
    this.kube = this.#openKube(providers.fork("kubernetes"));
    this.plane = new Plane({
      clock: time,
      config,
      policy,
      providers: adapters,
      kube: this.kube === null ? null : { api: this.kube.api, seed: options.seed },
      workMs: options.nodes.length * WORK_PER_NODE_MS,
      committed: (change) => this.#committed(change),
      before: () => this.idle.refresh(),
      log: (level, message, fields) => {
        const more = fields === undefined ? "" : ` ${JSON.stringify(fields)}`;
        events.log(null, `${level} ${message}${more}`);
      },
    });
    const { heartbeatIntervalMs, healthCheckIntervalMs, sampleIntervalMs } = config.server;
    const quietMs = 2 * Math.max(heartbeatIntervalMs, healthCheckIntervalMs, sampleIntervalMs);
    this.idle = new IdleMachines(time, this.plane, heartbeatIntervalMs, quietMs);
    this.population = new Population({
      clock: time,
      deliver: (machine, report) => this.#deliver(machine, report),
      random: this.streams.startup.fork("agent").uniform,
      stirred: (machine) => this.#stirred(machine),
      log: (machine, line) => events.log(machine.identity.name, line),
    });
  }

  #openKube(random: Random): SimKube | null {
    const { time, cluster, config, events } = this.#options;
    if (cluster === null) return null;
    return new SimKube({
      clock: time,
      random: () => random.uniform(),
      spec: cluster,
      podLabel: config.kubernetes.podLabel,
      members: () => this.population.all(),
      wrote: (write) => events.kubeWrite(write),
    });
  }

  async start(): Promise<void> {
    this.kube?.start();
    await this.plane.start();
    if (this.#options.analytic) this.#idleSoon();
  }

  /** The instance of a listed node appears at its cloud; its machine is still without power. */
  async place(node: SimNode, slot: number, coldStartMs: number): Promise<Member> {
    const cloud = this.clouds.get(node.provider);
    if (cloud === undefined) throw new Error(`no cloud ${node.provider} for ${node.id}`);
    const id = await cloud.place(node, slot);
    // A machine of no pool has a place that nothing is ever bought for.
    const place = node.pool === null ? node.id : `${node.pool}/${slot}`;
    return this.population.addListed(node, place, id, coldStartMs);
  }

  /** Power for a placed node. */
  power(member: Member): void {
    if (!member.live) return;
    this.#begin(member);
  }

  /** Waits for `promise` while time passes, in steps; the answer may need the loop to run. */
  async await<T>(promise: Promise<T>): Promise<T> {
    const state = { done: false };
    const mark = () => {
      state.done = true;
    };
    promise.then(mark, mark);
    await this.time.pass(0);
    while (!state.done) await this.time.pass(10);
    return promise;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    for (const { machine } of this.population.all()) machine.powerOff();
    await this.plane.close();
    this.kube?.close();
    for (const cloud of this.clouds.values()) await cloud.provider.close();
  }

  #begin(member: Member): void {
    member.startedMono = this.time.monoMs();
    this.#awake.add(member.machine);
    member.machine.powerOn(member.coldStartMs);
    this.#options.events.started(member);
  }

  #running(provider: string, instance: Instance): void {
    if (this.population.byInstance(instance.id) !== null) return;
    const { shape, coldStartMs } = this.#options;
    const coldMs = coldStartMs(this.streams.recovery);
    const member = this.population.addBought(provider, instance, shape, coldMs);
    if (member !== null && member.startedMono === null) this.#begin(member);
  }

  #ended(id: InstanceId): void {
    const member = this.population.byInstance(id);
    if (member === null) return;
    member.live = false;
    this.#options.events.ended(member);
    member.machine.powerOff();
    this.#awake.delete(member.machine);
    this.#samples.delete(member.machine);
  }

  #rebooted(id: InstanceId): void {
    const member = this.population.byInstance(id);
    if (member?.live !== true) return;
    this.#options.events.rebooted(member, member.machine.reboot());
  }

  #committed(change: Change): void {
    this.#options.events.committed(change);
    for (const node of change.nodes) this.idle.changed(node);
  }

  #stirred(machine: Machine): void {
    this.idle.resume(machine);
    this.#awake.add(machine);
  }

  #idleSoon(): void {
    this.time.after(IDLE_LOOK_MS, () => {
      if (this.#stopped) return;
      for (const machine of this.#awake) {
        this.idle.consider(machine, this.#samples.get(machine) ?? null);
      }
      this.#idleSoon();
    });
  }

  async #deliver(machine: Machine, report: Report): Promise<SendAnswer> {
    const { time, plane } = this;
    const begun = time.monoMs();
    if (machine.isCut() || (plane.life() !== null && !plane.isReachable())) {
      await new Promise<void>((resolve) => void time.after(DEADLINE_MS, resolve));
      return { kind: "unreachable", message: "timed out" };
    }
    if (plane.life() === null) return { kind: "unreachable", message: "connection refused" };
    if (report.sample != null) this.#samples.set(machine, report.sample);
    const answer = await plane.takeReport(machine.identity.nodeId, report);
    if (answer.kind === "error") {
      if (answer.code === "unavailable") return { kind: "unreachable", message: answer.message };
      const { retryMs, message } = answer;
      if (retryMs !== undefined) return { kind: "throttled", retryMs, message };
      const denied = answer.code === "permission_denied" || answer.code === "unauthenticated";
      if (denied) return { kind: "unauthorized", message };
      return { kind: "refused", status: 400, message };
    }
    this.#options.events.delivered(time.monoMs() - begun);
    return { kind: "reply", reply: answer.reply };
  }
}
