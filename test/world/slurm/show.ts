/** Nodes and jobs of the virtual controller, and how it shows them (docs/reference/slurm.md). */
import type { SlurmJob, SlurmNode } from "../../../reconciler/core/slurm/object.ts";

export type VirtualJob = {
  gpus: number;
  nodeCount: number;
  lastsMs: number;
  partition: string;
  user: string;
  isRequeueable: boolean;
  /** How long it takes to end after a signal; `null` = it goes on. */
  stopMs: number | null;
};

export type Machine = {
  name: string;
  gpus: number;
  partition: string;
  /** Without jobs: `IDLE`, `DOWN`. */
  base: "IDLE" | "DOWN";
  /** DOWN because it was silent: a registration lifts it (`ReturnToService=1`). */
  isSilentDown: boolean;
  drain: boolean;
  /** The flags of power saving. */
  power: string[];
  isResponding: boolean;
  isUp: boolean;
  /** Monotonic. */
  goneAt: number;
  reason: string | null;
  reasonBy: string | null;
  reasonAt: number;
  /** `scontrol reboot`: asked for, or begun; what becomes of it afterwards. */
  reboot: { isIssued: boolean; stays: boolean } | null;
  bootTime: number | null;
  stopSilence: () => void;
};

export type Running = VirtualJob & {
  id: string;
  state: "PENDING" | "RUNNING" | "COMPLETING";
  nodes: string[];
  submittedAt: number;
  startedAt: number | null;
  isHeld: boolean;
  isStopping: boolean;
  stop: () => void;
};

export function showJob(job: Running): SlurmJob {
  return {
    id: job.id,
    state: job.state,
    user: job.user,
    name: null,
    partition: job.partition,
    reason: job.state !== "PENDING" ? null : job.isHeld ? "JobHeldUser" : "Resources",
    nodes: [...job.nodes],
    gpus: job.gpus * job.nodeCount,
    nodeCount: job.nodeCount,
    ...{ features: null, gpuTypes: [], requiredNodes: [] },
    submittedAt: job.submittedAt,
    startedAt: job.startedAt,
    tasks: 1,
  };
}

/** `jobs`: those that run there, or whose epilog does. */
export function showMachine(
  machine: Machine,
  jobs: readonly Running[],
  isReserved: boolean,
): SlurmNode {
  const isBusy = jobs.some((job) => job.state === "RUNNING");
  const flags = [...machine.power];
  if (machine.drain) flags.push("DRAIN");
  if (!isBusy && jobs.length > 0) flags.push("COMPLETING");
  if (machine.reboot !== null) {
    flags.push(machine.reboot.isIssued ? "REBOOT_ISSUED" : "REBOOT_REQUESTED");
  }
  if (isReserved) flags.push("MAINTENANCE", "RESERVED");
  const isDark = !machine.isResponding && !machine.power.includes("POWERED_DOWN");
  if (isDark) flags.push("NOT_RESPONDING");
  return {
    name: machine.name,
    base: isBusy && machine.base === "IDLE" ? "ALLOCATED" : machine.base,
    flags,
    reason: machine.reason,
    reasonBy: machine.reasonBy,
    // 22.05 shows the flag alone.
    reservation: null,
    bootTime: machine.bootTime,
    slurmdStartedAt: machine.bootTime,
    address: null,
    hostname: null,
    partitions: [machine.partition],
    gres: `gpu:h100:${machine.gpus}`,
    features: [],
  };
}
