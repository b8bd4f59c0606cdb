/**
 * What an agent tells about GPUs: identity, which changes rarely, and a sample, which changes all
 * the time. Units are in the names; a value that could not be read is `null` or absent, never zero
 * (absence means not known, 0 means measured zero).
 */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { count, percentReading, reading } from "./number.ts";

const text = (max: number) => v.pipe(v.string(), v.maxLength(max));

/** Identity of one GPU. `index` is for display; `uuid` is the key across boots. */
export const GpuIdentity = v.object({
  index: v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax)),
  uuid: text(96),
  name: text(96),
  /**
   * NVML form `00000000:18:00.0`; compare as numbers, never as text
   * (docs/reference/nvml.md#pitfalls).
   */
  pci_bus_id: text(32),
  serial: v.nullish(text(64)),
  /** Bytes. */
  memory_total: v.nullish(count),
  driver_version: v.nullish(text(80)),
  cuda_version: v.nullish(text(32)),
  mig_enabled: v.nullish(v.boolean()),
});
export type GpuIdentity = v.InferOutput<typeof GpuIdentity>;

/** Readings of one GPU that are plain numbers. */
export const GPU_READINGS = [
  "temperature_celsius",
  "memory_temperature_celsius",
  "power_watts",
  "utilization_percent",
  "memory_used_bytes",
  "memory_total_bytes",
  "sm_clock_mhz",
  "memory_clock_mhz",
  /** NVML clock event reasons bit set. */
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
  /** `nvmlGpuFabricState_t`: 0 not supported, 1 not started, 2 in progress, 3 completed. */
  "fabric_state",
  /** NVML field 230: 0 none … 5 recover IMEX domain. */
  "recovery_action",
] as const;
export type GpuReading = (typeof GPU_READINGS)[number];

/** Readings of one GPU that are true or false. */
export const GPU_FLAGS = ["remap_pending", "remap_failure"] as const;

function entriesOf<const K extends string, S>(keys: readonly K[], schema: S): Record<K, S> {
  // Every key is in it, which the type of `fromEntries` cannot say.
  return Object.fromEntries(keys.map((key) => [key, schema])) as Record<K, S>;
}

/** One reading of one GPU. Everything but the key may be missing. */
export const GpuSample = v.object({
  index: v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax)),
  uuid: text(96),
  ...entriesOf(GPU_READINGS, v.nullish(reading)),
  utilization_percent: v.nullish(percentReading),
  ...entriesOf(GPU_FLAGS, v.nullish(v.boolean())),
  /**
   * Compute processes on the GPU; `null` when it cannot be told. Drain without a scheduler waits on
   * it.
   */
  processes: v.nullish(count),
});
export type GpuSample = v.InferOutput<typeof GpuSample>;
