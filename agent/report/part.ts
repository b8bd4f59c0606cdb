/**
 * What the agent is made of: everything its core needs, named once. `agent/main.ts` fills it with
 * adapters, a test or a simulation with parts of its own.
 */
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { BootId, NodeId } from "../../schema/id.ts";
import type { AgentTrust, ShownKey } from "../../schema/order.ts";
import type { AgentCommand, CommandResult, Inventory } from "../../schema/report.ts";
import type { Orders } from "../command/order.ts";
import type { HostWatch } from "../host/watch.ts";
import type { OpenKernelLog } from "./listen.ts";
import type { Bus, Clock, Nvml, Sender } from "../port.ts";
import type { Promises } from "./promise.ts";
import type { ProbeMemory } from "../probe/probe.ts";
import type { Spool } from "../spool/spool.ts";

export type Identity = {
  nodeId: NodeId;
  bootId: BootId;
  agentVersion: string;
  /** Wall time of boot, milliseconds. */
  bootWallMs: number;
};

/** Per cent of all CPUs and of memory; `null` if it cannot be told. */
export type Load = { cpuPercent: number | null; memoryPercent: number | null };

export type Level = "debug" | "info" | "warn" | "error";
export type Log = (level: Level, message: string, fields?: Record<string, unknown>) => void;

/** Who may order this agent; `key-trust.ts` is the real one. */
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
  /** How often the log is read when nothing says that it moved; `Agent.wake` makes it sooner. */
  kernelPollMs: number;
  sender: Sender;
  spool: Spool;
  orders: Orders;
  guard: OrderGuard;
  identity: Identity;
  /** How many GPUs this machine must have, as far as others say. */
  promises: Promises;
  /** The machine around the GPUs; without it, nothing is said of that. */
  host?: HostWatch;
  /** What the PCI bus shows now. */
  readBus: () => Bus;
  memory: ProbeMemory;
  saveMemory: (memory: ProbeMemory) => void;
  /** The node as it is now, around the GPUs that were found. */
  inventory: (gpus: GpuIdentity[]) => Inventory;
  /** The pod's service-account token as it is now; `null` or without it, there is none. */
  podToken?: () => string | null;
  load: () => Load;
  /** Stores the agent's own credential and uses it from then on. */
  adopt: (credential: string) => void;
  /** Carries out what changes the machine, or `null` if that is not enabled. */
  runCommand: ((command: AgentCommand) => Promise<CommandResult>) | null;
  /** Puts another release in this program's place; `null` or without it, it cannot. */
  upgrade?: ((command: AgentCommand) => Promise<CommandResult>) | null;
  /** 0 ≤ x < 1. */
  random: () => number;
  log: Log;
};
