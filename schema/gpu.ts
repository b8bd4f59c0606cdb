/**
 * What an agent tells about GPUs: identity, which changes rarely, and a sample, which changes all
 * the time. Units are in the names; a value that could not be read is `null` or absent, never zero
 * (absence means not known, 0 means measured zero).
 */
import * as v from "valibot";
import { LIMIT } from "./limit.ts";
import { count, percentReading, reading } from "./number.ts";

const text = (max: number) => v.pipe(v.string(), v.maxLength(max));
const optional = v.nullish(reading);

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

/** One reading of one GPU. Everything but the key may be missing. */
export const GpuSample = v.object({
  index: v.pipe(count, v.maxValue(LIMIT.gpusPerNodeMax)),
  uuid: text(96),
  temperature_celsius: optional,
  memory_temperature_celsius: optional,
  power_watts: optional,
  utilization_percent: v.nullish(percentReading),
  memory_used_bytes: optional,
  memory_total_bytes: optional,
  sm_clock_mhz: optional,
  memory_clock_mhz: optional,
  /** NVML clock event reasons bit set. */
  throttle_reasons: optional,
  ecc_corrected_volatile: optional,
  ecc_uncorrected_volatile: optional,
  ecc_corrected_aggregate: optional,
  ecc_uncorrected_aggregate: optional,
  remapped_rows_correctable: optional,
  remapped_rows_uncorrectable: optional,
  remap_pending: v.nullish(v.boolean()),
  remap_failure: v.nullish(v.boolean()),
  pcie_replay_total: optional,
  pcie_link_generation: optional,
  pcie_link_width: optional,
  nvlink_active: optional,
  nvlink_total: optional,
  /** `nvmlGpuFabricState_t`: 0 not supported, 1 not started, 2 in progress, 3 completed. */
  fabric_state: optional,
  /**
   * Compute processes on the GPU; `null` when it cannot be told. Drain without a scheduler waits on
   * it.
   */
  processes: v.nullish(count),
  /** NVML field 230: 0 none … 5 recover IMEX domain. */
  recovery_action: optional,
});
export type GpuSample = v.InferOutput<typeof GpuSample>;
