/**
 * The check of a `Sample` without a copy. A fleet sends little else: 10,000 nodes with eight GPUs
 * each are 200,000 readings a second, and the schema, which makes a new object of each GPU, takes
 * half of the control plane's time for them. This accepts exactly what the schema `Sample` accepts
 * and leaves unchanged, which a property test checks; what it refuses is given to the schema, which
 * says why, or replaces a reading beyond its bounds.
 */
import type { GpuSample } from "./gpu.ts";
import { isInstant } from "./instant.ts";
import { LIMIT } from "./limit.ts";
import { INTEGER_MAX } from "./number.ts";
import type { Sample } from "./report.ts";

/** The readings of one GPU that are plain finite numbers. */
export const GPU_READINGS = [
  "temperature_celsius",
  "memory_temperature_celsius",
  "power_watts",
  "utilization_percent",
  "memory_used_bytes",
  "memory_total_bytes",
  "sm_clock_mhz",
  "memory_clock_mhz",
  "throttle_reasons",
  "ecc_corrected_volatile",
  "ecc_uncorrected_volatile",
  "ecc_corrected_aggregate",
  "ecc_uncorrected_aggregate",
  "remapped_rows_correctable",
  "remapped_rows_uncorrectable",
  "pcie_replay_total",
  "pcie_link_generation",
  "pcie_link_width",
  "nvlink_active",
  "nvlink_total",
  "fabric_state",
  "recovery_action",
] as const;
export type GpuReading = (typeof GPU_READINGS)[number];

/** The readings of one GPU that are true or false. */
export const GPU_FLAGS = ["remap_pending", "remap_failure"] as const;
export type GpuFlag = (typeof GPU_FLAGS)[number];

/** Fields of a GPU that are in neither list; a field added to the schema must find its place. */
type Other = Exclude<keyof GpuSample, GpuReading | GpuFlag>;
const OTHERS: Record<Other, true> = { index: true, uuid: true, processes: true };
/** Every field of `GpuSample` by name. @internal */
export const GPU_FIELDS: readonly string[] = [
  ...GPU_READINGS,
  ...GPU_FLAGS,
  ...Object.keys(OTHERS),
];

const UUID_CHARS_MAX = 96;

/** Whether the value is a `Sample` as it stands. Unknown keys are left in place, and unread. */
export function isSample(raw: unknown): raw is Sample {
  if (!isObject(raw)) return false;
  const { at, cpu_percent: cpu, memory_percent: memory, gpus } = raw;
  if (typeof at !== "string" || !isInstant(at)) return false;
  if (!isReadingOrNone(cpu) || !isReadingOrNone(memory)) return false;
  if (!Array.isArray(gpus) || gpus.length > LIMIT.gpusPerNodeMax) return false;
  // By position and not with `every`, which passes over the holes of a list.
  for (let position = 0; position < gpus.length; position++) {
    if (!isGpu(gpus[position])) return false;
  }
  return true;
}

function isGpu(raw: unknown): boolean {
  if (!isObject(raw)) return false;
  const { index, uuid, processes } = raw;
  if (!isCount(index) || index > LIMIT.gpusPerNodeMax) return false;
  if (typeof uuid !== "string" || uuid.length > UUID_CHARS_MAX) return false;
  if (!isNone(processes) && !isCount(processes)) return false;
  for (const key of GPU_READINGS) {
    if (!isReadingOrNone(raw[key])) return false;
  }
  const { utilization_percent: part } = raw;
  if (typeof part === "number" && (part < 0 || part > 100)) return false;
  for (const key of GPU_FLAGS) {
    const value = raw[key];
    if (!isNone(value) && typeof value !== "boolean") return false;
  }
  return true;
}

const isObject = (raw: unknown): raw is Record<string, unknown> =>
  typeof raw === "object" && raw !== null;
const isNone = (raw: unknown): raw is null | undefined => raw === null || raw === undefined;
const isCount = (raw: unknown): raw is number =>
  typeof raw === "number" && Number.isSafeInteger(raw) && raw >= 0;
/** Neither NaN nor infinite: a comparison with either is false. */
const isReadingOrNone = (raw: unknown): boolean =>
  isNone(raw) || (typeof raw === "number" && Math.abs(raw) <= INTEGER_MAX);
