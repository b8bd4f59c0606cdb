/**
 * What a probe is: a pure function from one check of the driver, and what was remembered from
 * earlier ones, to the conditions that hold now. A probe never decides anything about the node and
 * never emits a finding itself; `run.ts` compares conditions with those of the last round.
 */
import type { Finding, FindingKind, Metrics, Severity } from "../../schema/finding.ts";
import type { BootId } from "../../schema/id.ts";
import type { ProbeOutcome } from "../../schema/report.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../nvml/reading.ts";

/** Where and when a round takes place. Wall time goes into records, monotonic time into rates. */
export type ProbeContext = {
  bootId: BootId;
  /** Milliseconds since the epoch. */
  wallMs: number;
  monoMs: number;
  /** Milliseconds since the node booted; links train and memory is scrubbed right after it. */
  uptimeMs: number;
  /** GPUs that this instance type must have, or `null` when only the baseline can tell. */
  expectedGpus: number | null;
  /** True if the GPUs are made up: findings are then marked with source `sim`. */
  simulated: boolean;
};

/** One thing that is wrong now. It lasts from round to round until a probe no longer reports it. */
export type Condition = {
  kind: FindingKind;
  reason: string;
  code: number | null;
  /** `null` for the whole node. */
  gpu: { index: number; uuid: string; pci: string } | null;
  severity: Severity;
  message: string;
  metrics: Metrics;
  /** A condition whose level rose is told again: a count, or degrees in steps. Zero if it has no degrees. */
  level: number;
};

/** Fields that a probe learned about one GPU, by UUID, because an index may change between boots. */
export type GpuMemory = {
  index: number;
  name: string;
  pciBusId: string;
  serial: string | null;
  memoryTotalBytes: number | null;
  migEnabled: boolean | null;
  /** Corrected errors and PCIe replays at the start of the current hour of observation. */
  corrected: { value: number; monoMs: number } | null;
  replay: { value: number; monoMs: number } | null;
  /** Since when software thermal slowdown was seen in every round. */
  softThermalSinceMs: number | null;
  /** Links that were active at least once since this boot. */
  linksSeen: number[];
  /** Rounds in a row with return code 999. */
  unknownRounds: number;
};

/** Plain data, so that it may be stored; empty at the first round. */
export type ProbeMemory = {
  bootId: string | null;
  /** Most GPUs ever seen together, less those excluded by the driver's own parameter. */
  expected: number | null;
  driverVersion: string | null;
  cudaVersion: string | null;
  gpus: Record<string, GpuMemory>;
  /** Conditions of the last round: key → severity and level. */
  held: Record<string, { severity: Severity; level: number }>;
};

export type ProbeOut = {
  conditions: Condition[];
  outcome: ProbeOutcome;
  message: string | null;
  /** What this probe learned; merged by `run.ts` into the memory of that GPU. */
  learned: Record<string, Partial<GpuMemory>>;
};

export type Probe = {
  name: string;
  look(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): ProbeOut;
};

/** A memory without any past. */
export const EMPTY_MEMORY: ProbeMemory = {
  bootId: null,
  expected: null,
  driverVersion: null,
  cudaVersion: null,
  gpus: {},
  held: {},
};

export type { Finding, NvmlGpuCheck };
