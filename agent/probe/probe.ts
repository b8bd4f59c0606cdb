/**
 * What a probe is: a pure function from one check of the driver, and what was remembered from
 * earlier ones, to the conditions that hold now. A probe never decides anything about the node and
 * never emits a finding itself; `run.ts` compares the conditions with those of the last round.
 */
import type { FindingKind, Metrics, Severity } from "../../schema/finding.ts";
import type { BootId } from "../../schema/id.ts";
import type { Expected, ProbeOutcome } from "../../schema/report.ts";
import { normalizePci } from "../pci.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../reading.ts";
import type { Bus } from "../port.ts";
import type { Window } from "./window.ts";

/** Where and when a round takes place. Wall time goes into records, monotonic time into rates. */
export type ProbeContext = {
  bootId: BootId;
  /** Milliseconds since the epoch. */
  wallMs: number;
  monoMs: number;
  /** Milliseconds since the node booted; links train and memory is scrubbed right after it. */
  uptimeMs: number;
  /** What others say about the number of GPUs: option, instance type, pool. */
  promised: readonly Expected[];
  bus: Bus;
  /** True if the GPUs are made up: findings are then marked with source `sim`. */
  simulated: boolean;
};

/** Which GPU: what is known of it. A GPU that was never opened has a place and no UUID. */
export type GpuPlace = { index: number | null; uuid: string | null; pciBusId: string };

/** One thing that is wrong now. It lasts until a round in which no probe tells of it. */
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
  /** A condition whose level rose is told again: a count, or degrees in steps; 0 if it has none. */
  level: number;
};

/** What is known about one GPU, by UUID, because an index may change between boots. */
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
  /** Since when software thermal slowdown was seen in every round, monotonic. */
  softThermalSinceMs: number | null;
  /** Links that were active at least once in this boot. */
  linksSeen: number[];
  /** True once the GPU had joined its fabric in this boot. */
  fabricJoined: boolean;
  /** Since when it has not, monotonic; `null` while it has. */
  fabricSinceMs: number | null;
  /** Rounds in a row with return code 999. */
  unknownRounds: number;
  /** Rounds in which the GPU was busy and its link slow; absent in what older agents stored. */
  slowRounds?: number;
};

export type Held = { severity: Severity; level: number };

/** Plain data, so that it may be stored; empty at the first round. */
export type ProbeMemory = {
  bootId: string | null;
  /** Most GPUs ever seen together; a number of GPUs that only shrinks is never believed. */
  expected: number | null;
  driverVersion: string | null;
  cudaVersion: string | null;
  gpus: Record<string, GpuMemory>;
  /** Conditions of the last round by key, with the worst they were since they rose. */
  held: Record<string, Held>;
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

export type Learned = Partial<
  Pick<
    GpuMemory,
    | "corrected"
    | "replay"
    | "linkErrors"
    | "softThermalSinceMs"
    | "linksSeen"
    | "fabricJoined"
    | "fabricSinceMs"
    | "unknownRounds"
    | "slowRounds"
  >
>;

export type ProbeOut = {
  conditions: Condition[];
  outcome: ProbeOutcome;
  message: string | null;
  /** By UUID; merged by `run.ts` into the memory of that GPU. */
  learned: Record<string, Learned>;
  /** UUIDs of GPUs on which nothing could be read: what held there before still does. */
  blind: string[];
};

export type Probe = {
  name: string;
  /** Starts of the keys of what this probe alone tells of a GPU: `ecc`, `nvlink/down`. */
  kinds: readonly string[];
  look(check: NvmlCheck, memory: ProbeMemory, ctx: ProbeContext): ProbeOut;
};

/** What one look at one GPU gave. `read` is false if this driver or mode does not tell. */
export type Look = { read: boolean; conditions?: Condition[]; learned?: Learned };

/**
 * Looks at every GPU that can be asked at all: a fault on the first never hides one on the last. A
 * lost GPU has nothing to read; `count.ts` tells of it. `calls` are the names in `unread` that
 * explain why a value is missing.
 */
export function lookAtEach(
  check: NvmlCheck,
  calls: readonly string[],
  look: (gpu: NvmlGpuCheck) => Look,
): ProbeOut {
  const conditions: Condition[] = [];
  const learned: Record<string, Learned> = {};
  const blind: NvmlGpuCheck[] = [];
  let denied = false;
  let asked = 0;
  for (const gpu of check.gpus) {
    if (isLost(gpu)) continue;
    asked++;
    const seen = look(gpu);
    conditions.push(...(seen.conditions ?? []));
    if (seen.learned !== undefined) learned[gpu.uuid] = seen.learned;
    if (seen.read) continue;
    blind.push(gpu);
    denied ||= calls.some((name) => gpu.unread[name] === NO_PERMISSION);
  }
  const all = blind.length === asked;
  return {
    conditions,
    learned,
    outcome: outcomeOf(conditions.length, denied, all, asked),
    message: blind.length === 0 ? null : formatBlind(blind, all),
    blind: blind.map((gpu) => gpu.uuid),
  };
}

function formatBlind(blind: readonly NvmlGpuCheck[], all: boolean): string {
  const indices = blind.map((gpu) => gpu.index).join(", ");
  return all ? "not read on all GPUs" : `not read on GPU ${indices}`;
}

/** Return codes (docs/reference/nvml.md#return-codes). */
const NO_PERMISSION = 4;
const GPU_IS_LOST = 15;

export function isLost(gpu: NvmlGpuCheck): boolean {
  return gpu.rc === GPU_IS_LOST;
}

/** Listed, not lost, and yet it could not be opened: nothing is known about it but that. */
export function isUnopened(gpu: NvmlGpuCheck): boolean {
  return gpu.openCode !== 0 && !isLost(gpu);
}

function outcomeOf(found: number, denied: boolean, allBlind: boolean, asked: number): ProbeOutcome {
  if (found > 0) return "finding";
  if (denied) return "no_permission";
  if (asked === 0) return "skipped";
  return allBlind ? "not_supported" : "ok";
}

/** A condition of one GPU, with what most conditions have in common. */
export function onGpu(
  gpu: GpuPlace,
  condition: Pick<Condition, "kind" | "reason" | "severity" | "message"> & Partial<Condition>,
): Condition {
  const { index, pciBusId } = gpu;
  const uuid = gpu.uuid === null || isUnknown(gpu.uuid) ? null : gpu.uuid;
  return { code: null, level: 0, metrics: {}, gpu: { index, uuid, pciBusId }, ...condition };
}

/** A condition of the whole node. */
export function onNode(
  condition: Pick<Condition, "kind" | "reason" | "severity" | "message"> & Partial<Condition>,
): Condition {
  return { code: null, level: 0, metrics: {}, gpu: null, ...condition };
}

/** Conditions of one kind about one GPU, or about the node, which share their metrics. */
export class ConditionList {
  readonly all: Condition[] = [];
  readonly #common: Pick<Condition, "kind" | "metrics">;
  readonly #gpu: GpuPlace | null;

  /** `gpu` is `null` for the whole node. */
  constructor(kind: FindingKind, gpu: GpuPlace | null, metrics: Metrics = {}) {
    this.#common = { kind, metrics };
    this.#gpu = gpu;
  }

  /** What is in `more` takes the place of what is common. */
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

/** How the child names a GPU that never answered it. */
const UNKNOWN = /^unknown-\d+$/;

export function isUnknown(uuid: string): boolean {
  return UNKNOWN.test(uuid);
}

/** UUID, else address, else index: the order of `gpuOf` in `health/policy/history.ts`. */
export function formatGpuKey({ index, uuid, pciBusId }: GpuPlace): string {
  if (uuid !== null && !isUnknown(uuid)) return uuid;
  return normalizePci(pciBusId) ?? (index === null ? "node" : `gpu-${index}`);
}

/**
 * `<kind>/<code or reason>/<gpu or node>`: the name under which the control plane holds the
 * finding, so that a check can say that it is still true.
 */
export function formatKey(condition: Pick<Condition, "kind" | "reason" | "code" | "gpu">): string {
  const { kind, reason, code, gpu } = condition;
  return `${kind}/${code ?? reason}/${gpu === null ? "node" : formatGpuKey(gpu)}`;
}

/** Without the readings that were not given: a metric that is not known is left out, never zero. */
export function metricsOf(values: Record<string, number | boolean | string | null>): Metrics {
  const known: Metrics = {};
  for (const [name, value] of Object.entries(values)) if (value !== null) known[name] = value;
  return known;
}
