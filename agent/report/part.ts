/**
 * The parts of the agent that its core needs. `service/main.ts` fills them with adapters, a
 * simulation or a test with its own.
 */
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { BootId, NodeId } from "../../schema/id.ts";
import type { AgentTrust, ShownKey } from "../../schema/order.ts";
import type { AgentCommand, AgentNotice, CommandResult, Inventory } from "../../schema/report.ts";
import type { Orders } from "../command/order.ts";
import type { Load } from "../host/machine.ts";
import type { HostWatch } from "../host/watch.ts";
import type { OpenKernelLog } from "./listen.ts";
import type { Bus, Clock, Nvml, Sender } from "../port/port.ts";
import type { Promises } from "./promise.ts";
import type { ProbeMemory } from "../probe/probe.ts";
import type { Spool } from "../spool/spool.ts";
import type { WorkerDuty } from "./worker-duty.ts";

export type Identity = {
  nodeId: NodeId;
  bootId: BootId;
  agentVersion: string;
  /** Wall time of boot, milliseconds. */
  bootWallMs: number;
};

export type Level = "debug" | "info" | "warn" | "error";
export type Log = (level: Level, message: string, fields?: Record<string, unknown>) => void;

/** Authenticates orders; `key-trust.ts` implements it. */
export type OrderGuard = {
  shown(key: ShownKey): void;
  judge(command: AgentCommand): string | null;
  noteRefusal(command: AgentCommand, why: string): boolean;
  view(): AgentTrust;
};

export type AgentParts = {
  clock: Clock;
  nvml: Nvml;
  openKernelLog: OpenKernelLog;
  /** How often the log is read without a wake-up (`Agent.wake`). */
  kernelPollMs: number;
  sender: Sender;
  spool: Spool;
  orders: Orders;
  guard: OrderGuard;
  identity: Identity;
  /** How many GPUs this machine must have by configuration. */
  promises: Promises;
  /** Watches the machine around the GPUs; `null` on a simulated node. */
  host: HostWatch | null;
  /** What the PCI bus shows now. */
  readBus: () => Bus;
  memory: ProbeMemory;
  saveMemory: (memory: ProbeMemory) => void;
  /** The node's inventory with these GPUs. */
  inventory: (gpus: GpuIdentity[]) => Inventory;
  /** The pod's current service-account token, or `null`. */
  podToken: () => string | null;
  /** The announced end of this machine, or `null`; `Agent.noticed` when there is one. */
  notice: () => AgentNotice | null;
  /** Of a worker of an AgentPool; absent on a machine. */
  duty?: WorkerDuty | null;
  load: () => Load;
  /** Stores the agent's own credential and uses it from then on. */
  adopt: (credential: string) => void;
  /** Executes commands that change the machine; `null` if they are not enabled. */
  runCommand: ((command: AgentCommand) => Promise<CommandResult>) | null;
  /** Replaces this program by another release; `null` if this process cannot. */
  upgrade: ((command: AgentCommand) => Promise<CommandResult>) | null;
  /** 0 ≤ x < 1. */
  random: () => number;
  log: Log;
};
