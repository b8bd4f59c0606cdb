/**
 * A Slurm controller in virtual time: nodes, jobs, drains and registrations as measured on 22.05.8
 * (docs/reference/slurm.md). Where it differs from a real one, this one is wrong. Its journal has
 * every change of a node with its author; tests judge by the journal and the nodes.
 */
import type { SlurmNodeChange } from "../../../reconciler/core/slurm/client.ts";
import type {
  SlurmJob,
  SlurmNode,
  SlurmReservation,
} from "../../../reconciler/core/slurm/object.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import { type Machine, type Running, showJob, showMachine, type VirtualJob } from "./show.ts";
import type { SlurmWrite } from "./write.ts";

export type VirtualSlurmOptions = {
  /** SlurmdTimeout: how long a silent node stays in service. */
  slurmdTimeoutMs: number;
  /** How long an ended job still holds its node. */
  epilogMs: number;
};

/** How a job ended; `NODE_FAIL` is requeued. */
export type JobEnd = { id: string; nodes: readonly string[]; how: "COMPLETED" | "NODE_FAIL" };

/** The controller answered with an error and changed nothing. */
export class SlurmRefusal extends Error {}

const NOTHING = (): void => undefined;

export class VirtualSlurm {
  readonly journal: SlurmWrite[] = [];
  readonly ends: JobEnd[] = [];
  readonly #machines = new Map<string, Machine>();
  readonly #jobs = new Map<string, Running>();
  readonly #reservations: SlurmReservation[] = [];
  readonly #clock: Clock;
  readonly #options: VirtualSlurmOptions;
  #lastJob = 0;

  constructor(clock: Clock, options: Partial<VirtualSlurmOptions> = {}) {
    this.#clock = clock;
    this.#options = { slurmdTimeoutMs: 300_000, epilogMs: 1_000, ...options };
  }

  /** A configured node whose slurmd has not registered yet; powered down if it is `CLOUD`. */
  add(name: string, { gpus = 8, partition = "compute", isCloud = false } = {}): void {
    this.#machines.set(name, {
      name,
      gpus,
      partition,
      base: isCloud ? "IDLE" : "DOWN",
      isSilentDown: !isCloud,
      drain: false,
      power: isCloud ? ["CLOUD", "POWERED_DOWN"] : [],
      isResponding: false,
      isUp: false,
      goneAt: this.#clock.monoMs(),
      reason: null,
      reasonBy: null,
      reasonAt: 0,
      reboot: null,
      bootTime: null,
      stopSilence: NOTHING,
    });
  }

  /** Its slurmd registers, from a new boot unless `isRestart`. */
  boot(name: string, isRestart = false): void {
    const machine = this.#need(name);
    machine.stopSilence();
    machine.stopSilence = NOTHING;
    // A boot has none of the processes from before.
    if (!isRestart) this.#fail(machine);
    machine.isUp = true;
    machine.isResponding = true;
    machine.power = machine.power.filter((flag) => flag === "CLOUD");
    if (machine.bootTime === null || !isRestart) machine.bootTime = this.#clock.wallMs();
    if (machine.reboot?.isIssued === true && !isRestart) this.#endReboot(machine);
    if (machine.base === "DOWN" && machine.isSilentDown) {
      machine.base = "IDLE";
      machine.isSilentDown = false;
      // The reason of a silence goes with it; that of a drain stays.
      if (!machine.drain) this.#explain(machine, null, null);
    }
    this.#note(name, "up", null, "slurm");
    this.#schedule();
  }

  /** The machine is gone, as after a power cut; its jobs are requeued once it is DOWN. */
  cut(name: string): void {
    const machine = this.#need(name);
    if (!machine.isUp) return;
    machine.isUp = false;
    machine.goneAt = this.#clock.monoMs();
    for (const job of this.#jobsOn(name)) job.stop();
    const { slurmdTimeoutMs } = this.#options;
    const late = this.#clock.after(slurmdTimeoutMs / 2, () => (machine.isResponding = false));
    const down = this.#clock.after(slurmdTimeoutMs, () => this.#lose(machine));
    machine.stopSilence = () => {
      late();
      down();
    };
  }

  submit(job: Partial<VirtualJob> = {}): string {
    const id = String(++this.#lastJob);
    const wish = { gpus: 8, nodeCount: 1, lastsMs: 600_000, partition: "compute", user: "alice" };
    const manner = { isRequeueable: true, stopMs: null };
    this.#jobs.set(id, {
      ...wish,
      ...manner,
      ...job,
      id,
      state: "PENDING",
      nodes: [],
      submittedAt: this.#clock.wallMs(),
      startedAt: null,
      isHeld: false,
      isStopping: false,
      stop: NOTHING,
    });
    this.#schedule();
    return id;
  }

  cancel(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    job.stop();
    this.#jobs.delete(id);
    this.#schedule();
  }

  requeue(id: string, hold: boolean, by: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) throw new SlurmRefusal("Invalid job id specified");
    if (job.state === "PENDING") throw new SlurmRefusal("Job is pending execution");
    if (!job.isRequeueable) throw new SlurmRefusal("Requested operation is presently disabled");
    this.#noteJob(job, hold ? "requeuehold" : "requeue", by);
    job.isHeld = hold;
    this.#requeue(job);
    this.#schedule();
  }

  /** A job that traps it ends by itself `stopMs` later; another goes on. */
  signal(id: string, by: string): void {
    const job = this.#jobs.get(id);
    if (job?.state !== "RUNNING") throw new SlurmRefusal("Job already completing or completed");
    this.#noteJob(job, "signal", by);
    if (job.stopMs === null || job.isStopping) return;
    job.isStopping = true;
    job.stop();
    job.stop = this.#clock.after(job.stopMs, () => this.#complete(job));
  }

  update(name: string, { state, reason }: SlurmNodeChange, by: string): void {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new SlurmRefusal("Invalid node name specified");
    // A drain without a reason is refused, also on a node that is drained already.
    if ((state === "drain" || state === "down") && (reason ?? "") === "") {
      throw new SlurmRefusal("You must specify a reason when downing a node");
    }
    const before = this.#factsOf(name);
    if (state === "drain") machine.drain = true;
    if (state === "undrain" || state === "resume") this.#undrain(machine);
    if (state === "down") this.#end(machine, false);
    if (state === "resume" && machine.base === "DOWN") {
      machine.base = "IDLE";
      machine.isSilentDown = false;
    }
    if (state === "power_down") this.#powerDown(machine);
    // Silently over another party's reason: there is no co-ownership.
    if (reason !== undefined) this.#explain(machine, reason, by);
    this.#note(name, state ?? "reason", reason ?? null, by, before);
    this.#schedule();
  }

  /** An active reservation with the flag MAINT, as `scontrol create reservation` makes it. */
  reserve(name: string, nodes: readonly string[], by: string): void {
    this.#reservations.push({ name, isMaint: true, nodes, startsAt: this.#clock.wallMs() });
    for (const node of nodes) this.#note(node, "reserve", name, by);
    this.#schedule();
  }

  /** `scontrol delete reservation`. */
  unreserve(name: string, by: string): void {
    const at = this.#reservations.findIndex((one) => one.name === name);
    const [gone] = at < 0 ? [] : this.#reservations.splice(at, 1);
    for (const node of gone?.nodes ?? []) this.#note(node, "unreserve", name, by);
    this.#schedule();
  }

  reservations(): SlurmReservation[] {
    return [...this.#reservations];
  }

  /** `scontrol reboot ASAP reason=… NAME`: drained for it, and begun once no job is left. */
  reboot(name: string, reason: string | null, by: string): void {
    const machine = this.#need(name);
    const before = this.#factsOf(name);
    machine.reboot = { isIssued: false, stays: machine.drain };
    machine.drain = true;
    if (reason !== null) this.#explain(machine, reason, by);
    this.#note(name, "reboot", reason, by, before);
    this.#schedule();
  }

  /** `scontrol cancel_reboot NAME`, which begun reboots outlive. */
  cancelReboot(name: string, by: string): void {
    const machine = this.#need(name);
    if (machine.reboot === null || machine.reboot.isIssued) return;
    if (!machine.reboot.stays) this.#undrain(machine);
    machine.reboot = null;
    this.#note(name, "cancel_reboot", null, by);
    this.#schedule();
  }

  /** Reboots that are begun and whose machine has not booted since. */
  rebooting(): string[] {
    const all = [...this.#machines.values()];
    return all.filter(({ reboot }) => reboot?.isIssued === true).map(({ name }) => name);
  }

  remove(name: string, by: string): void {
    if (this.#jobsOn(name).length > 0) throw new SlurmRefusal("Requested nodes are busy");
    const before = this.#factsOf(name);
    if (!this.#machines.delete(name)) throw new SlurmRefusal("Invalid node name specified");
    this.#note(name, "delete", null, by, before);
  }

  /** Jobs that run on the node, or whose epilog does. */
  jobsOn(name: string): string[] {
    return this.#jobsOn(name).map(({ id }) => id);
  }

  nodes(): SlurmNode[] {
    return [...this.#machines.values()].map((machine) => this.#show(machine));
  }

  node(name: string): SlurmNode | null {
    const machine = this.#machines.get(name);
    return machine === undefined ? null : this.#show(machine);
  }

  jobs(): SlurmJob[] {
    return [...this.#jobs.values()].map(showJob);
  }

  #show(machine: Machine): SlurmNode {
    const jobs = this.#jobsOn(machine.name);
    return showMachine(machine, jobs, this.#isReserved(machine.name));
  }

  #isReserved(name: string): boolean {
    return this.#reservations.some(({ nodes }) => nodes.includes(name));
  }

  /** The node goes DOWN with slurmctld's words behind the reason, and RebootProgram runs. */
  #beginReboot(machine: Machine): void {
    if (machine.reboot === null) return;
    machine.reboot.isIssued = true;
    machine.base = "DOWN";
    machine.isSilentDown = false;
    this.#explain(machine, `${machine.reason ?? ""} : reboot issued`, "slurm");
    this.#note(machine.name, "reboot issued", machine.reason, "slurm");
  }

  /** `nextstate=resume`, the default of ASAP: the drain is gone, whosever it was. */
  #endReboot(machine: Machine): void {
    machine.reboot = null;
    machine.base = "IDLE";
    machine.drain = false;
    this.#explain(machine, null, null);
  }

  #need(name: string): Machine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new Error(`no node ${name}`);
    return machine;
  }

  #undrain(machine: Machine): void {
    if (!machine.drain) return;
    machine.drain = false;
    // On a node that is down the reason stays.
    if (machine.base !== "DOWN") this.#explain(machine, null, null);
  }

  /** Powering a drained node down clears the flag and keeps the text. */
  #powerDown(machine: Machine): void {
    this.#end(machine, true);
    machine.base = "IDLE";
    machine.drain = false;
    machine.isUp = false;
    machine.goneAt = this.#clock.monoMs();
    machine.isResponding = false;
    machine.power = [...new Set([...machine.power, "POWERED_DOWN"])];
  }

  #lose(machine: Machine): void {
    this.#end(machine, true);
    machine.isResponding = false;
    if (machine.reason === null) this.#explain(machine, "Not responding", "slurm");
    this.#note(machine.name, "down", machine.reason, "slurm");
    this.#schedule();
  }

  #fail(machine: Machine): void {
    for (const job of this.#jobsOn(machine.name)) {
      this.ends.push({ id: job.id, nodes: [...job.nodes], how: "NODE_FAIL" });
      this.#requeue(job);
    }
  }

  #end(machine: Machine, isSilent: boolean): void {
    this.#fail(machine);
    machine.base = "DOWN";
    machine.isSilentDown = isSilent;
  }

  #requeue(job: Running): void {
    job.stop();
    Object.assign(job, { state: "PENDING", nodes: [], startedAt: null, stop: NOTHING });
  }

  #explain(machine: Machine, reason: string | null, by: string | null): void {
    if (reason !== machine.reason) machine.reasonAt = this.#clock.monoMs();
    machine.reason = reason;
    machine.reasonBy = by;
  }

  #jobsOn(name: string): Running[] {
    return [...this.#jobs.values()].filter((job) => job.nodes.includes(name));
  }

  #isFree({ name, base, drain, isUp, isResponding, power }: Machine): boolean {
    const isReady = base === "IDLE" && !drain && isUp && isResponding;
    if (!isReady || power.includes("POWERED_DOWN") || this.#isReserved(name)) return false;
    return this.#jobsOn(name).length === 0;
  }

  /** In the order of submission; a job that does not fit lets smaller ones pass (backfill). */
  #schedule(): void {
    for (const machine of this.#machines.values()) {
      const isDue = machine.reboot?.isIssued === false && this.#jobsOn(machine.name).length === 0;
      if (isDue) this.#beginReboot(machine);
    }
    for (const job of this.#jobs.values()) {
      if (job.state !== "PENDING" || job.isHeld) continue;
      const free = [...this.#machines.values()].filter(
        (one) => one.partition === job.partition && one.gpus >= job.gpus && this.#isFree(one),
      );
      if (free.length < job.nodeCount) continue;
      job.nodes = free.slice(0, job.nodeCount).map(({ name }) => name);
      job.state = "RUNNING";
      job.startedAt = this.#clock.wallMs();
      job.stop = this.#clock.after(job.lastsMs, () => this.#complete(job));
    }
  }

  #complete(job: Running): void {
    job.state = "COMPLETING";
    job.stop = this.#clock.after(this.#options.epilogMs, () => {
      this.ends.push({ id: job.id, nodes: [...job.nodes], how: "COMPLETED" });
      this.#jobs.delete(job.id);
      this.#schedule();
    });
  }

  #factsOf(name: string): Pick<SlurmWrite, "over" | "overMs" | "jobs" | "goneMs"> {
    const now = this.#clock.monoMs();
    const machine = this.#machines.get(name);
    if (machine === undefined) return { over: null, overMs: 0, jobs: [], goneMs: Infinity };
    const { drain, base, reason, reasonAt, isUp, goneAt } = machine;
    return {
      over: drain || base === "DOWN" ? (reason ?? "") : null,
      overMs: now - reasonAt,
      jobs: this.jobsOn(name),
      goneMs: isUp ? 0 : now - goneAt,
    };
  }

  #noteJob({ id, nodes }: Running, what: string, by: string): void {
    this.#note(id, what, nodes.join(), by, this.#factsOf(nodes[0] ?? ""));
  }

  #note(
    node: string,
    what: string,
    reason: string | null,
    by: string,
    before = this.#factsOf(node),
  ): void {
    this.journal.push({ at: this.#clock.wallMs(), node, what, reason, by, ...before });
  }
}
