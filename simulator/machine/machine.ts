/**
 * One simulated GPU machine: power, boots, its agent's process and its faults. The scenario
 * changes it; what the product concludes is read from the product. Reboot, reset and replacement
 * clear the faults that they clear on real hardware; a replacement is another machine.
 */
import type { NvmlAnswer, NvmlCheck, NvmlEvent } from "../../agent/port/reading.ts";
import type { Nvml, SendAnswer, Sender } from "../../agent/port/port.ts";
import type { BootId, NodeId } from "../../schema/id.ts";
import type { Report } from "../../schema/report.ts";
import type { Failure } from "../scenario/fault.ts";
import { WHOLE_NODE } from "../scenario/action.ts";
import type { SimNode } from "../scenario/scenario.ts";
import { type Disk, emptyDisk, type Process, startAgent } from "./agent.ts";
import { MachineClock } from "./clock.ts";
import { KernelRing } from "./kernel-log.ts";
import { type Load, readMachine, UTILIZATION } from "./reading.ts";
import { curedByReboot } from "./reboot.ts";
import { lastingOf, formatXidLine } from "./xid.ts";

/** What a machine has to do with the rest of the world. */
export type MachineWorld = {
  clock: ConstructorParameters<typeof MachineClock>[0];
  /** Brings a report to the control plane; the answer comes by the caller's own deadline. */
  deliver: (machine: Machine, report: Report) => Promise<SendAnswer>;
  /** Opens the connection of one life of its agent; without it, reports go by `deliver`. */
  openSender?: (machine: Machine, clock: MachineClock) => Sender;
  /** Stores a credential that the control plane sent. */
  adopt?: (machine: Machine, credential: string) => void;
  /** The machine would boot again by itself: the caller boots it, by `bootAs`. */
  reboots?: (machine: Machine) => void;
  newStream?: () => string;
  random: () => number;
  /** Something on it changed: a suspended machine must resume. */
  stirred: (machine: Machine) => void;
  log: (machine: Machine, line: string) => void;
};

export type MachineIdentity = {
  /** What the scenario and the report call it. */
  name: string;
  /** What the product calls it. */
  nodeId: NodeId;
  instanceId: string;
  node: SimNode;
  /** Tells its GPUs from all others of the run. Below 2^48. */
  ordinal: number;
  /** Of its Kubernetes Node; absent = as the product calls it. */
  hostname?: string;
};

/** A reboot of such a machine takes minutes in truth; scenarios are shorter than that. */
const REBOOT_MS = 5_000;
/** `nvmlEventTypeXidCriticalError`. */
const XID_EVENT = 0x8;

export class Machine {
  readonly identity: MachineIdentity;
  readonly #world: MachineWorld;
  readonly #failures = new Map<number, Failure>();
  #disk: Disk = emptyDisk();
  #boots = 0;
  #streams = 0;
  #boot: { id: BootId; wallMs: number } | null = null;
  #ring: KernelRing | null = null;
  #clock: MachineClock | null = null;
  #process: Process | null = null;
  #events: NvmlEvent[] = [];
  #withoutGpus = false;
  #load: Load = { utilization: UTILIZATION, processes: 0 };
  #reading: NvmlAnswer<NvmlCheck> | null = null;
  #sending = 0;
  #cancelBoot: (() => void) | null = null;
  /** Monotonic instants of the last two reports, and of the last change. */
  sentMono = { last: Number.NEGATIVE_INFINITY, before: Number.NEGATIVE_INFINITY };
  changedMono = Number.NEGATIVE_INFINITY;

  constructor(identity: MachineIdentity, world: MachineWorld) {
    this.identity = identity;
    this.#world = world;
  }

  isRunning(): boolean {
    return this.#process !== null;
  }

  bootId(): BootId | null {
    return this.#boot?.id ?? null;
  }

  /** The network between it and the control plane. */
  isCut(): boolean {
    return this.#has("network");
  }

  failures(): Iterable<Failure> {
    return this.#failures.values();
  }

  /** Boots, then starts the agent; `slow_boot` makes it take a minute longer. */
  powerOn(afterMs = 0): void {
    const slow = this.#has("slow_boot") ? 60_000 : 0;
    this.#cancelBoot = this.#world.clock.after(afterMs + slow, () => {
      this.#cancelBoot = null;
      const wallMs = this.#world.clock.wallMs();
      const id = `${this.identity.instanceId}-boot${++this.#boots}` as BootId;
      this.#boot = { id, wallMs };
      this.#ring = new KernelRing(id, wallMs);
      this.#begin();
    });
  }

  /**
   * Boots at once as this boot, which began at `wallMs`. Its faults must be injected again; lines
   * of the kernel log that were written before this process get the same numbers.
   */
  bootAs(boot: { id: BootId; wallMs: number }): void {
    this.powerOff();
    this.#failures.clear();
    this.#boot = boot;
    this.#ring = new KernelRing(boot.id, boot.wallMs, true);
    this.#begin();
  }

  /** Power off: the agent sends nothing any more. */
  powerOff(): void {
    this.#cancelBoot?.();
    this.#cancelBoot = null;
    this.#kill();
    this.#boot = null;
  }

  /**
   * Started again from outside, by its cloud: another boot id. Answers the failures that ended with
   * the old boot.
   */
  reboot(): Failure[] {
    const cured = [...this.#failures.values()].filter(curedByReboot);
    for (const { id } of cured) this.#failures.delete(id);
    this.#reading = null;
    this.#stir();
    this.#log("reboot");
    this.#reboot(REBOOT_MS);
    return cured;
  }

  /** The agent's process ends as systemd would end it; the machine stays. */
  async stopAgent(): Promise<void> {
    const process = this.#process;
    this.#stir();
    this.#process = null;
    await process?.stop();
    this.#clock?.end();
  }

  /** `said`: the kernel message, if the scenario sets it; `atMs`: the time of its line. */
  inject(failure: Failure, said: string | null = null, atMs = this.#wall()): void {
    this.#failures.set(failure.id, failure);
    this.#reading = null;
    this.#stir();
    this.#log(`inject ${failure.type}${failure.xidCode === null ? "" : ` ${failure.xidCode}`}`);
    switch (failure.type) {
      case "xid_error":
        this.#tellXid(failure, said, atMs);
        break;
      case "nvlink_error":
        this.#ring?.write(formatXidLine(74, Math.max(0, failure.gpuIndex), said), atMs);
        break;
      case "memory_error":
        break;
      case "boot_failure":
        this.#withoutGpus = true;
        if (this.#process !== null) this.#restartAgent();
        break;
      case "hang":
        this.#clock?.hold();
        return;
      case "slow_boot":
        if (this.#process !== null) this.#reboot(0);
        break;
      default:
        break;
    }
    this.#process?.wake();
  }

  /** Ends one failure; false if it had ended before. */
  recover(id: number): boolean {
    const failure = this.#failures.get(id);
    if (failure === undefined) return false;
    this.#failures.delete(id);
    this.#reading = null;
    this.#stir();
    this.#log(`recover ${failure.type}`);
    if (failure.type === "boot_failure" && !this.#has("boot_failure")) {
      this.#withoutGpus = false;
      if (this.#process !== null) this.#restartAgent();
    }
    if (failure.type === "hang" && !this.#has("hang")) {
      if (this.#process === null) this.#begin();
      else this.#clock?.resume(false);
    }
    // A card that fell off the bus comes back with the next boot and not before.
    if (failure.type === "xid_error" && lastingOf(failure.xidCode ?? 0) === "lost") {
      if (this.#world.reboots === undefined) this.#reboot(REBOOT_MS);
      else this.#world.reboots(this);
    }
    return true;
  }

  setLoad(change: Partial<Load>): void {
    this.#load = { ...this.#load, ...change };
    this.#reading = null;
    this.#stir();
  }

  /** Nothing is on its way and only the periodic timers run, so it may be suspended. */
  isIdle(timers: number): boolean {
    const clock = this.#clock;
    if (this.#process === null || clock === null || clock.isStill()) return false;
    return this.#sending === 0 && clock.pending() === timers && this.#process.depth() === 0;
  }

  suspend(): void {
    this.#clock?.hold();
    this.#reading = null;
  }

  resume(): void {
    if (!this.#has("hang")) this.#clock?.resume(true);
  }

  #has(type: Failure["type"]): boolean {
    for (const failure of this.#failures.values()) if (failure.type === type) return true;
    return false;
  }

  #wall(): number {
    return this.#world.clock.wallMs();
  }

  #log(line: string): void {
    this.#world.log(this, line);
  }

  #stir(): void {
    this.changedMono = this.#world.clock.monoMs();
    this.#world.stirred(this);
  }

  #tellXid(failure: Failure, said: string | null, atMs: number): void {
    const code = failure.xidCode ?? 0;
    const check = this.#read();
    const gpus = check.kind === "ok" ? check.value.gpus : [];
    for (const gpu of gpus) {
      if (failure.gpuIndex !== WHOLE_NODE && failure.gpuIndex !== gpu.index) continue;
      this.#ring?.write(formatXidLine(code, gpu.index, said), atMs);
      this.#events.push({
        atMs,
        uuid: gpu.uuid,
        type: XID_EVENT,
        data: code,
        gpuInstance: null,
        computeInstance: null,
      });
    }
  }

  #reboot(afterMs: number): void {
    if (this.#boot === null) return;
    this.#kill();
    this.#boot = null;
    this.powerOn(afterMs);
  }

  #restartAgent(): void {
    this.#kill();
    this.#begin();
  }

  #kill(): void {
    this.#stir();
    this.#process = null;
    this.#clock?.end();
    this.#clock = null;
    this.#events = [];
    this.#sending = 0;
  }

  #begin(): void {
    const { identity } = this;
    const ring = this.#ring;
    const boot = this.#boot;
    // A machine that hangs from its boot on runs nothing; its agent starts when it is let go.
    if (ring === null || boot === null || this.#has("hang")) return;
    this.#withoutGpus = this.#has("boot_failure");
    this.#reading = null;
    this.changedMono = this.#world.clock.monoMs();
    const clock = new MachineClock(this.#world.clock);
    this.#clock = clock;
    this.#process = startAgent({
      clock,
      nvml: this.#nvml(),
      openKernelLog: (cursor, gpus) => ring.open(cursor, gpus, () => clock.wallMs()),
      sender: this.#world.openSender?.(this, clock) ?? this.#sender(clock),
      disk: this.#disk,
      nodeId: identity.nodeId,
      node: identity.node,
      instanceId: identity.instanceId,
      boot,
      random: this.#world.random,
      hostname: identity.hostname ?? identity.nodeId,
      newStream: this.#world.newStream ?? (() => `${identity.instanceId}-stream${++this.#streams}`),
      adopt: (credential) => this.#world.adopt?.(this, credential),
      log: (line) => this.#log(`agent ${line}`),
    });
  }

  #read(): NvmlAnswer<NvmlCheck> {
    this.#reading ??= readMachine(
      this.identity.node,
      this.identity.ordinal,
      this.#failures.values(),
      this.#load,
      this.#withoutGpus,
    );
    return this.#reading;
  }

  #nvml(): Nvml {
    return {
      sample: async () => this.#read(),
      check: async () => this.#read(),
      takeEvents: () => this.#events.splice(0),
      simulated: true,
      close: () => undefined,
    };
  }

  /** One life's transport: answers after its end are dropped. */
  #sender(clock: MachineClock): Sender {
    return {
      send: async (report) => {
        this.sentMono = { last: clock.monoMs(), before: this.sentMono.last };
        this.#sending++;
        const answer = await this.#world.deliver(this, report);
        if (this.#clock !== clock) return await new Promise<never>(() => undefined);
        this.#sending--;
        return answer;
      },
      listen: () => undefined,
      connected: () => true,
      close: () => undefined,
    };
  }
}
