/**
 * Defines a probe: a pure function from one check of the driver and the memory of earlier ones to
 * the current conditions. It judges no node and emits no finding; `run.ts` compares conditions with
 * those of the last round.
 */
import type { FindingKind, Metrics, Severity } from "../../schema/finding.ts";
import type { BootId } from "../../schema/id.ts";
import type { Expected, ProbeOutcome } from "../../schema/report.ts";
import { GPU_IS_LOST, SUCCESS, isDenial } from "../nvml/return-code.ts";
import { normalizePci } from "../kernel/pci.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
import type { Bus } from "../port/port.ts";
import type { Window } from "./window.ts";

/** An expected number of GPUs. `isOwn`: it describes this container, whatever its machine has. */
export type Promised = Expected & { isOwn?: true };

/** Circumstances of a round. Wall time goes into records, monotonic time into rates. */
export type ProbeContext = {
  bootId: BootId;
  /** Milliseconds since the epoch. */
  wallMs: number;
  monoMs: number;
  /** Milliseconds since boot: links train and memory is scrubbed right after it. */
  uptimeMs: number;
  /** Expected numbers of GPUs: option, instance type, pool. */
  promised: readonly Promised[];
  bus: Bus;
  /** Simulated GPUs: findings have the source `sim`. */
  simulated: boolean;
};

/** Identifies a GPU; one that was never opened has no UUID. */
export type GpuPlace = { index: number | null; uuid: string | null; pciBusId: string };

/** A current fault. It lasts until a round in which no probe reports it. */
export type Condition = {
  kind: FindingKind;
  reason: string;
  /** XID number for kind `xid`, else `null`. */
  code: number | null;
  /** `null` for the whole node. */
  gpu: GpuPlace | null;
  severity: Severity;
  message: string;
  metrics: Metrics;
  /** A condition is reported again when its level rises: a count, or degrees in steps; else 0. */
  level: number;
};

/** Memory of one GPU, by UUID: an index may change between boots. */
export type GpuMemory = {
  index: number;
  name: string;
  pciBusId: string;
  serial: string | null;
  memoryTotalBytes: number | null;
  migEnabled: boolean | null;
  corrected: Window | null;
  replay: Window | null;
  linkErrors: Window | null;
  /** Monotonic start of lasting software thermal slowdown. */
  softThermalSinceMs: number | null;
  /** Links that were active at least once in this boot. */
  linksSeen: number[];
  /** True once the GPU had joined its fabric in this boot. */
  fabricJoined: boolean;
  /** Monotonic time since which it is not joined; `null` while it is. */
  fabricSinceMs: number | null;
  /** Rounds in a row with return code 999. */
  unknownRounds: number;
  /** Rounds in which the GPU was busy and its link slow; older agents stored none. */
  slowRounds?: number;
};

export type Held = { severity: Severity; level: number };

/** Plain data, so that it may be stored; empty at the first round. */
export type ProbeMemory = {
  bootId: string | null;
  /** The highest number of GPUs ever seen. */
  expected: number | null;
  driverVersion: string | null;
  cudaVersion: string | null;
  gpus: Record<string, GpuMemory>;
  /** Conditions of the last round by key, with their worst severity and level so far. */
  held: Record<string, Held>;
};

export const EMPTY_MEMORY: ProbeMemory = {
  bootId: null,
  expected: null,
  driverVersion: null,
  cudaVersion: null,
  gpus: {},
  held: {},
};

/** What probes learn about a GPU, besides what `rememberGpu` copies from the check. */
export type Learned = Partial<
  Omit<GpuMemory, "index" | "name" | "pciBusId" | "serial" | "memoryTotalBytes" | "migEnabled">
>;

export type ProbeOut = {
  conditions: Condition[];
  outcome: ProbeOutcome;
  message: string | null;
  /** By UUID; merged by `run.ts` into the memory of that GPU. */
  learned: Record<string, Learned>;
  /** UUIDs of GPUs that could not be read: their earlier conditions stay. */
  blind: string[];
  /** Of these, the GPUs whose readings this process may not have. */
  denied: string[];
};

export type Probe = {
  name: string;
  /** Prefixes of the keys that only this probe reports about a GPU: `ecc`, `nvlink/down`. */
  kinds: readonly string[];
  look(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): ProbeOut;
};

/** The result for one GPU. `read` is false if this driver or mode gives no value. */
export type Look = { read: boolean; conditions?: Condition[]; learned?: Learned };

/** The result of a probe of the whole node; `outcome` applies without conditions. */
export function wholeNode(
  conditions: Condition[],
  message: string | null,
  outcome: ProbeOutcome = "ok",
): ProbeOut {
  const found = conditions.length > 0 ? "finding" : outcome;
  return { conditions, outcome: found, message, learned: {}, blind: [], denied: [] };
}

/**
 * Looks at every GPU but lost ones, which `count.ts` reports. `calls` are the names in `unread`
 * that explain a missing value.
 */
export function lookAtEach(
  check: NvmlCheck,
  calls: readonly string[],
  look: (gpu: NvmlGpuCheck) => Look,
): ProbeOut {
  const conditions: Condition[] = [];
  const learned: Record<string, Learned> = {};
  const blind: NvmlGpuCheck[] = [];
  const denied: string[] = [];
  let asked = 0;
  for (const gpu of check.gpus) {
    if (isLost(gpu)) continue;
    asked++;
    const seen = look(gpu);
    conditions.push(...(seen.conditions ?? []));
    if (seen.learned !== undefined) learned[gpu.uuid] = seen.learned;
    if (seen.read) continue;
    blind.push(gpu);
    if (isDenied(gpu, calls)) denied.push(gpu.uuid);
  }
  const all = blind.length === asked;
  return {
    conditions,
    learned,
    outcome: outcomeOf(conditions.length, denied.length > 0, all, asked),
    message: blind.length === 0 ? null : formatBlind(blind, all),
    blind: blind.map((gpu) => gpu.uuid),
    denied,
  };
}

function formatBlind(blind: readonly NvmlGpuCheck[], all: boolean): string {
  const indices = blind.map((gpu) => gpu.index).join(", ");
  return all ? "not read on all GPUs" : `not read on GPU ${indices}`;
}

/** True if this process may not make one of these calls. */
export function isDenied({ unread }: NvmlGpuCheck, calls: readonly string[]): boolean {
  return calls.some((name) => isDenial(unread[name] ?? SUCCESS));
}

export function isLost(gpu: NvmlGpuCheck): boolean {
  return gpu.rc === GPU_IS_LOST;
}

/** Listed and not lost, but it could not be opened. */
export function isUnopened(gpu: NvmlGpuCheck): boolean {
  return gpu.openCode !== 0 && !isLost(gpu);
}

function outcomeOf(found: number, denied: boolean, allBlind: boolean, asked: number): ProbeOutcome {
  if (found > 0) return "finding";
  if (denied) return "no_permission";
  if (asked === 0) return "skipped";
  return allBlind ? "not_supported" : "ok";
}

/** A condition of one GPU, with defaults. */
export function onGpu(
  gpu: GpuPlace,
  condition: Pick<Condition, "kind" | "reason" | "severity" | "message"> & Partial<Condition>,
): Condition {
  const { index, pciBusId } = gpu;
  const uuid = gpu.uuid === null || isUnknown(gpu.uuid) ? null : gpu.uuid;
  return { code: null, level: 0, metrics: {}, gpu: { index, uuid, pciBusId }, ...condition };
}

/** A condition of the whole node, with defaults. */
export function onNode(
  condition: Pick<Condition, "kind" | "reason" | "severity" | "message"> & Partial<Condition>,
): Condition {
  return { code: null, level: 0, metrics: {}, gpu: null, ...condition };
}

/** Conditions of one kind about one GPU or the node, with shared metrics. */
export class ConditionList {
  readonly all: Condition[] = [];
  readonly #common: Pick<Condition, "kind" | "metrics">;
  readonly #gpu: GpuPlace | null;

  /** `gpu` is `null` for the whole node. */
  constructor(kind: FindingKind, gpu: GpuPlace | null, metrics: Metrics = {}) {
    this.#common = { kind, metrics };
    this.#gpu = gpu;
  }

  /** `more` replaces the shared values. */
  add(
    reason: string,
    severity: Severity,
    message: string,
    { gpu = this.#gpu, ...more }: Partial<Pick<Condition, "gpu" | "level" | "metrics">> = {},
  ): void {
    const condition = { ...this.#common, reason, severity, message, ...more };
    this.all.push(gpu === null ? onNode(condition) : onGpu(gpu, condition));
  }
}

/** The child's name for a GPU that never answered. */
const UNKNOWN = /^unknown-\d+$/;

export function isUnknown(uuid: string): boolean {
  return UNKNOWN.test(uuid);
}

/** UUID, else address, else index: the order of `gpuOf` in `health/policy/history.ts`. */
export function formatGpuKey({ index, uuid, pciBusId }: GpuPlace): string {
  if (uuid !== null && !isUnknown(uuid)) return uuid;
  return normalizePci(pciBusId) ?? (index === null ? "node" : `gpu-${index}`);
}

/** `<kind>/<code or reason>/<gpu or node>`: the control plane's key of the finding. */
export function formatKey(condition: Pick<Condition, "kind" | "reason" | "code" | "gpu">): string {
  const { kind, reason, code, gpu } = condition;
  return `${kind}/${code ?? reason}/${gpu === null ? "node" : formatGpuKey(gpu)}`;
}

/** Leaves out unknown readings: an unknown metric is absent, never zero. */
export function metricsOf(values: Record<string, number | boolean | string | null>): Metrics {
  const known: Metrics = {};
  for (const [name, value] of Object.entries(values)) if (value !== null) known[name] = value;
  return known;
}
