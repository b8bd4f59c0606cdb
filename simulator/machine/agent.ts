/**
 * The production agent core on a simulated machine: one life of its process, from start to stop,
 * crash or power cut. What its disk would keep outlives it in `Disk`.
 */
import { Orders } from "../../agent/command/order.ts";
import { Agent } from "../../agent/report/core.ts";
import type { OrderGuard } from "../../agent/report/part.ts";
import type { KernelLog, Nvml, Sender } from "../../agent/port/port.ts";
import { Promises } from "../../agent/report/promise.ts";
import { EMPTY_MEMORY, type ProbeMemory } from "../../agent/probe/probe.ts";
import { createMemoryStorage, type SpoolStorage } from "../../agent/spool/spool-storage.ts";
import { Spool } from "../../agent/spool/spool.ts";
import type { OpenKernelLog } from "../../agent/report/listen.ts";
import type { GpuIdentity } from "../../schema/gpu.ts";
import type { BootId, NodeId } from "../../schema/id.ts";
import type { Inventory } from "../../schema/report.ts";
import { VERSION } from "../../schema/version.ts";
import type { SimNode } from "../scenario/scenario.ts";
import type { MachineClock } from "./clock.ts";

/** Faults wake the agent themselves; the poll finds only unannounced ones. */
const KERNEL_POLL_MS = 5_000;
/** A goodbye takes one report; what takes longer is a dead control plane. */
const STOP_MS = 4_000;

/** What survives the agent's process. */
export type Disk = { storage: SpoolStorage; orders: string | null; memory: ProbeMemory };

export function emptyDisk(): Disk {
  return { storage: createMemoryStorage(), orders: null, memory: EMPTY_MEMORY };
}

export type AgentWorld = {
  clock: MachineClock;
  nvml: Nvml;
  openKernelLog: (...args: Parameters<OpenKernelLog>) => KernelLog;
  sender: Sender;
  disk: Disk;
  nodeId: NodeId;
  node: SimNode;
  instanceId: string;
  /** Name of its Kubernetes Node. */
  hostname: string;
  boot: { id: BootId; wallMs: number };
  /** 0 ≤ x < 1, of this machine alone. */
  random: () => number;
  newStream: () => string;
  /** Stores a credential that a reply carries. */
  adopt: (credential: string) => void;
  log: (line: string) => void;
};

/** Nothing is ordered here: a simulated machine has no other program to start. */
const NO_ORDERS: OrderGuard = {
  shown: () => undefined,
  judge: () => "a simulated machine takes no orders",
  noteRefusal: () => true,
  view: () => ({ transport: "loopback", key: null, source: null, refused: 0, last_refusal: null }),
};

export type Process = {
  wake(): void;
  /** With a last report. */
  stop(): Promise<void>;
  /** Findings that no control plane has acknowledged. */
  depth(): number;
};

export function startAgent(world: AgentWorld): Process {
  const { clock, disk } = world;
  const spool = new Spool({
    storage: disk.storage,
    streamId: world.newStream,
    wallMs: () => clock.wallMs(),
    monoMs: () => clock.monoMs(),
  });
  const agent = new Agent({
    clock,
    nvml: world.nvml,
    openKernelLog: world.openKernelLog,
    kernelPollMs: KERNEL_POLL_MS,
    sender: world.sender,
    spool,
    orders: new Orders(disk.orders, world.boot.id, (text) => {
      disk.orders = text;
    }),
    guard: NO_ORDERS,
    identity: {
      nodeId: world.nodeId,
      bootId: world.boot.id,
      agentVersion: VERSION,
      bootWallMs: world.boot.wallMs,
    },
    promises: new Promises(world.node.gpuCount),
    host: null,
    readBus: () => ({ kind: "unreadable", why: "a simulated machine has no PCI bus" }),
    memory: disk.memory,
    saveMemory: (memory) => {
      disk.memory = memory;
    },
    inventory: (gpus) => inventoryOf(world, gpus),
    load: () => ({ cpuPercent: null, memoryPercent: null }),
    podToken: () => null,
    notice: () => null,
    adopt: world.adopt,
    runCommand: null,
    upgrade: null,
    random: world.random,
    log: (level, message, fields) => {
      const more = fields === undefined ? "" : ` ${JSON.stringify(fields)}`;
      world.log(`${level} ${message}${more}`);
    },
  });
  agent.start();
  return {
    wake: () => agent.wake(),
    stop: () => agent.stop(STOP_MS),
    depth: () => spool.stats().depth,
  };
}

function inventoryOf({ node, hostname, instanceId }: AgentWorld, gpus: GpuIdentity[]): Inventory {
  return {
    hostname,
    provider: node.provider,
    region: node.region || null,
    zone: node.zone || null,
    instance_type: node.instanceType,
    provider_ids: [instanceId],
    pool: node.pool,
    labels: node.labels,
    internal_ip: null,
    external_ip: null,
    kernel_version: null,
    driver_version: gpus[0]?.driver_version ?? null,
    cuda_version: gpus[0]?.cuda_version ?? null,
    gpus,
    capabilities: ["diagnose"],
  };
}
