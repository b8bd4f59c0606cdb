/**
 * The schedulers of a simulated fleet that are real in all but their time: a Kubernetes cluster, a
 * Slurm cluster, both or neither. They live beside the control plane; their own books say what was
 * so when the product wrote.
 */
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { FakeControl, Forkable } from "../../../reconciler/provider/fake/memory.ts";
import { parseReason } from "../../../reconciler/core/slurm/reason.ts";
import { type KubeFault, NO_FAULT } from "../../../simulator/cluster/fault.ts";
import type { ProcessPorts } from "../../../simulator/engine/process.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type { Observation, SlurmWork } from "../../world/observation.ts";
import { NO_SLURM_FAULT, type SlurmFault } from "../../world/slurm/fake.ts";
import { SlurmSide } from "../../world/slurm/side.ts";
import { VirtualCluster } from "../../world/virtual-cluster.ts";
import { namesOf, type Shape } from "./shape.ts";
import { openStream } from "./stream.ts";

/** What a person writes into Slurm. */
const ALICE = "maint by alice";
const STOP_MS = 2_000;
/** A loop that nothing wakes looks again after this at the latest. */
export const SINK_LOOK_MS = 15_000;

export type SinkPorts = {
  /** The control plane's clock, in step with which kubelets renew their leases. */
  clock: Clock;
  /** slurmctld's, which never jumps. */
  steady: Clock;
  cloud: FakeControl & Forkable;
  fleetId: string;
};

/** `take`: the drain of a repair that is under way, over the product's own reason. */
export type SlurmAct = "drain" | "resume" | "down" | "take" | "reserve" | "reboot";

/** Within this the product has read a registration, and written what follows from it. */
const READ_MS = 60_000;
/** From the end of a machine's slurmd to its registration after a reboot. */
const REBOOT_MS = 90_000;
/** What keeps a NodeName from a person's hold. */
const REBOOTS = ["REBOOT_REQUESTED", "REBOOT_ISSUED"];

export class Sinks {
  readonly slurm: SlurmSide | null;
  readonly cluster: VirtualCluster | null;
  /** Changes that the product made there. */
  writes = 0;
  /** The control plane lost its database. */
  hasForgotten = false;
  readonly #clock: Clock;
  readonly #fleetId: string;
  #lives = 0;
  /** NodeNames that people hold in Slurm, and since when. */
  readonly #held = new Map<string, number>();
  /** The machine that registered last under each NodeName, and when. */
  readonly #joined = new Map<string, { machine: InstanceId; at: number }>();
  /** NodeNames whose machines reboot. */
  readonly #rebooting = new Set<string>();

  constructor(shape: Shape, ports: SinkPorts) {
    const { sinks, pools, seed } = shape;
    const faults = openStream(seed, "sinks");
    const random = (): number => faults.next();
    const { clock, steady, cloud, fleetId } = ports;
    this.#clock = steady;
    this.#fleetId = fleetId;
    this.slurm =
      sinks === "slurm" || sinks === "both"
        ? new SlurmSide(steady, cloud, {
            nodes: pools.flatMap(namesOf),
            nameOf: (tags) => this.#nameOf(tags),
            slurmdLagMs: shape.agentBootMs + 40_000,
            random,
          })
        : null;
    this.cluster =
      sinks === "kubernetes" || sinks === "both"
        ? new VirtualCluster(clock, cloud, { random })
        : null;
    const size = pools.reduce((sum, pool) => sum + pool.size, 0);
    const replicas = 2 * size;
    this.cluster?.run({ name: "web", replicas, minAvailable: replicas - 2, stopMs: STOP_MS });
    this.cluster?.run({ name: "agent", replicas: 0, kind: "DaemonSet" });
  }

  get some(): boolean {
    return this.slurm !== null || this.cluster !== null;
  }

  /** What a process is given in place of the scheduler in memory. */
  ports(): Pick<ProcessPorts, "scheduler" | "slurm"> {
    // A process that has just begun has seen nothing.
    if (this.slurm !== null) this.slurm.fake.shownAt = Number.NEGATIVE_INFINITY;
    const api = this.cluster?.api ?? null;
    return {
      scheduler: api === null ? null : { api, seed: ++this.#lives },
      slurm: this.slurm?.client ?? null,
    };
  }

  workOn(machine: InstanceId): SlurmWork | null {
    const nodeName = this.slurm?.nameOn(machine) ?? null;
    if (this.slurm === null || nodeName === null) return null;
    const { slurm, fake } = this.slurm;
    const isKnown = slurm.node(nodeName)?.flags.includes("NOT_RESPONDING") === false;
    if (!isKnown) return null;
    const now = this.#clock.monoMs();
    const since = this.#isHeld(nodeName) ? (this.#held.get(nodeName) ?? now) : null;
    return {
      ...{ nodeName, jobs: slurm.jobsOn(nodeName), darkMs: now - fake.shownAt },
      heldMs: since === null ? null : now - since,
    };
  }

  /** By slurmctld's own book: a drain, DOWN, a MAINT reservation or a reboot of people. */
  #isHeld(name: string): boolean {
    const node = this.slurm?.slurm.node(name) ?? null;
    if (node === null) return false;
    const isOut = node.flags.includes("DRAIN") || node.base === "DOWN";
    const isPersons = node.reason?.startsWith(ALICE) === true;
    if (isOut && isPersons) return true;
    return node.flags.some((flag) => flag === "MAINTENANCE" || REBOOTS.includes(flag));
  }

  /** Keeps the book of what people hold, and boots what `scontrol reboot` has begun. */
  #look(): void {
    const { slurm } = this.slurm ?? {};
    for (const { name } of slurm?.nodes() ?? []) {
      if (!this.#isHeld(name)) this.#held.delete(name);
      else if (!this.#held.has(name)) this.#held.set(name, this.#clock.monoMs());
    }
    for (const name of slurm?.rebooting() ?? []) {
      if (this.#rebooting.has(name) || !this.slurm?.machines.has(name)) continue;
      this.#rebooting.add(name);
      slurm?.cut(name);
      this.#clock.after(REBOOT_MS, () => {
        this.#rebooting.delete(name);
        if (this.slurm?.machines.has(name)) slurm?.boot(name);
      });
    }
  }

  /** What happened there since the last call. */
  take(): Pick<Observation, "kube" | "slurm"> {
    this.#look();
    const kube = this.cluster?.calls.splice(0) ?? [];
    const slurm = this.slurm?.slurm.journal.splice(0) ?? [];
    this.slurm?.slurm.ends.splice(0);
    for (const { what, node } of slurm) {
      const machine = this.slurm?.machines.get(node);
      if (what !== "up" || machine === undefined) continue;
      this.#joined.set(node, { machine, at: this.#clock.monoMs() });
    }
    this.writes += slurm.filter(({ by }) => by === "api").length;
    this.writes += kube.filter(
      ({ what, cordons }) => cordons || what === "create eviction" || what.startsWith("delete"),
    ).length;
    return { kube, slurm };
  }

  submit(job: { lastsMs: number; nodeCount: number }): void {
    this.slurm?.slurm.submit(job);
  }

  /** A person's hand in Slurm; `who` is a number that selects the node. */
  person(act: SlurmAct, who: number): string | null {
    if (this.slurm === null) return null;
    const { slurm } = this.slurm;
    const { machines } = this.slurm;
    const all = slurm.nodes().filter(({ name }) => machines.has(name));
    const isOurs = ({ reason }: { reason: string | null }): boolean => parseReason(reason) !== null;
    const nodes = act === "take" ? all.filter(isOurs) : all;
    const node = nodes[who % Math.max(1, nodes.length)];
    if (node === undefined) return null;
    const { name } = node;
    // A person's DOWN ends jobs, which is no fault of ours.
    if (act === "down" && slurm.jobsOn(name).length > 0) return null;
    if (act === "resume") slurm.update(name, { state: act }, "alice");
    else if (act === "reserve") this.#reserve(name);
    else if (act === "reboot") {
      if (node.flags.some((flag) => REBOOTS.includes(flag))) return null;
      slurm.reboot(name, ALICE, "alice");
    } else {
      const state = act === "take" ? "drain" : act;
      slurm.update(name, { state, reason: ALICE }, "alice");
    }
    this.#look();
    return name;
  }

  #reserve(name: string): void {
    const { slurm } = this.slurm ?? {};
    const id = reservationOf(name);
    if (slurm?.reservations().every((one) => one.name !== id)) slurm.reserve(id, [name], "alice");
  }

  /** A person lifts what people did, on one node or on all. */
  undo(only?: string): void {
    const { slurm } = this.slurm ?? {};
    for (const { name, base, flags, reason } of slurm?.nodes() ?? []) {
      if ((only ?? name) !== name) continue;
      slurm?.unreserve(reservationOf(name), "alice");
      slurm?.cancelReboot(name, "alice");
      const isOut = flags.includes("DRAIN") || base === "DOWN";
      // Its reason was lost with the database: it stays until a boot, or until a person ends it.
      const isLeft = only === undefined && this.hasForgotten && parseReason(reason) !== null;
      if (!isOut || (reason?.startsWith(ALICE) !== true && !isLeft)) continue;
      slurm?.update(name, { state: "resume" }, "alice");
    }
    this.#look();
  }

  setSlurmFault(fault: Partial<SlurmFault>): void {
    if (this.slurm !== null) this.slurm.fake.fault = { ...NO_SLURM_FAULT, ...fault };
  }

  setKubeFault(fault: Partial<KubeFault>): void {
    this.cluster?.kube.setFault({ ...NO_FAULT, ...fault });
  }

  calm(): void {
    this.setSlurmFault({});
    this.setKubeFault({});
  }

  /** Empty if each machine that runs has joined Slurm, for so long that the product has read it. */
  joining(): string {
    for (const [name, machine] of this.slurm?.machines ?? []) {
      const joined = this.#joined.get(name);
      if (joined?.machine !== machine) return `the slurmd of ${name} has not registered`;
      const ageMs = this.#clock.monoMs() - joined.at;
      if (ageMs < READ_MS) return `the slurmd of ${name} registered ${Math.round(ageMs)} ms ago`;
    }
    return "";
  }

  /** Empty if no machine that runs is kept out of service in either scheduler. */
  unrest(): string {
    for (const [name] of this.slurm?.machines ?? []) {
      const node = this.slurm?.slurm.node(name);
      if (node == null || (node.base !== "DOWN" && node.flags.length === 0)) continue;
      const owner = parseReason(node.reason) === null ? "others" : "Navarch";
      const state = [node.base, ...node.flags].join("+");
      return `${name} is ${state} in Slurm, by ${owner} (${node.reason})`;
    }
    const marked = this.cluster?.nodes().find((node) => {
      const machine = this.cluster?.instanceOf(node.name) ?? null;
      return node.unschedulable && machine !== null && this.cluster?.kubelets.get(machine)?.isUp;
    });
    return marked === undefined ? "" : `Node ${marked.name} is cordoned`;
  }

  /** Machines of others do not join. */
  #nameOf(tags: Readonly<Record<string, string>>): string | null {
    if (tags["navarch-fleet"] !== this.#fleetId || tags["navarch-node"] === undefined) return null;
    return `${tags["navarch-pool"]}-${tags["navarch-slot"]}`;
  }
}

const reservationOf = (name: string): string => `pm-${name}`;
