/** Nodes and jobs as a Slurm controller shows them, whatever its version and transport. */

/** `base` and `flags` in upper case, as in `IDLE+DRAIN`; suffixes such as `*` are flags here. */
export type SlurmNode = {
  name: string;
  /** `IDLE`, `ALLOCATED`, `MIXED`, `DOWN`, `FAIL`, `ERROR`, `UNKNOWN`, `FUTURE`, … */
  base: string;
  flags: readonly string[];
  reason: string | null;
  reasonBy: string | null;
  /** Name of the active MAINT reservation it is in; `null` = none, or not named. */
  reservation: string | null;
  /** Wall milliseconds; `null` = never registered. */
  bootTime: number | null;
  slurmdStartedAt: number | null;
  address: string | null;
  hostname: string | null;
  partitions: readonly string[];
  /** As in `gpu:h100:8`; `null` = none. */
  gres: string | null;
  features: readonly string[];
};

/** `startsAt` in wall milliseconds; `null` = unknown. */
export type SlurmReservation = {
  name: string;
  isMaint: boolean;
  nodes: readonly string[];
  startsAt: number | null;
};

export type SlurmJob = {
  id: string;
  /** `PENDING`, `RUNNING`, `COMPLETING`, `SUSPENDED`, …, in upper case. */
  state: string;
  user: string | null;
  name: string | null;
  partition: string | null;
  /** Why it waits, as in `Resources`; `null` = it does not. */
  reason: string | null;
  /** NodeNames on which it runs or completes; empty while it waits. */
  nodes: readonly string[];
  /** GPUs and nodes that it asks for or has. */
  gpus: number;
  nodeCount: number;
  features: string | null;
  /** Types of GPUs that it asks for by name, as in `gpu:h100:8`. */
  gpuTypes: readonly string[];
  /** Nodes that it asks for by name. */
  requiredNodes: readonly string[];
  /** Wall milliseconds; `null` = unknown. */
  submittedAt: number | null;
  startedAt: number | null;
  /** Tasks of a pending array are one row here; this is how many wait. */
  tasks: number;
};
