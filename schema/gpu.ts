/**
 * GPUs as agents report them: identity, and samples. Units are in the names; a value that could not
 * be read is `null` or absent, never zero.
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
  /** NVML form `00000000:18:00.0`; compare as numbers (docs/reference/nvml.md#pitfalls). */
  pci_bus_id: text(32),
  serial: v.nullish(text(64)),
  /** Bytes. */
  memory_total: v.nullish(count),
  driver_version: v.nullish(text(80)),
  cuda_version: v.nullish(text(32)),
  mig_enabled: v.nullish(v.boolean()),
});
export type GpuIdentity = v.InferOutput<typeof GpuIdentity>;

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

export const GPU_FLAGS = ["remap_pending", "remap_failure"] as const;

function entriesOf<const K extends string, S>(keys: readonly K[], schema: S): Record<K, S> {
  return Object.fromEntries(keys.map((key) => [key, schema])) as Record<K, S>;
}

/** Everything but index and UUID may be missing. */
export const GpuSample = v.object({
  index: v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax)),
  uuid: text(96),
  ...entriesOf(GPU_READINGS, v.nullish(reading)),
  utilization_percent: v.nullish(percentReading),
  ...entriesOf(GPU_FLAGS, v.nullish(v.boolean())),
  /** Compute processes; `null` if unknown. A drain without a scheduler waits for 0. */
  processes: v.nullish(count),
});
export type GpuSample = v.InferOutput<typeof GpuSample>;
