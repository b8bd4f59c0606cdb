/**
 * Makes identities, inventory and samples. A GPU lost before the probe child could read its name
 * gets its identity from an earlier round. Pure.
 */
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import type { NvmlCheck, NvmlGpuCheck, NvmlGpuSample } from "../port/reading.ts";
import { type GpuMemory, type ProbeMemory, isLost, isUnknown, isUnopened } from "./probe.ts";

/** Names unnamed GPUs: by their earlier index if that UUID is free, else the only free UUID. */
export function nameUnknown(check: NvmlCheck, memory: ProbeMemory): NvmlCheck {
  if (!check.gpus.some((gpu) => isUnknown(gpu.uuid))) return check;
  const here = new Set(check.gpus.map((gpu) => gpu.uuid));
  const free = Object.entries(memory.gpus).filter(([uuid]) => !here.has(uuid));
  const take = (gpu: NvmlGpuCheck): NvmlGpuCheck => {
    if (!isUnknown(gpu.uuid)) return gpu;
    const at = free.findIndex(([, known]) => known.index === gpu.index);
    const place = at < 0 && free.length === 1 ? 0 : at;
    const [found] = place < 0 ? [] : free.splice(place, 1);
    if (found === undefined) return gpu;
    const [uuid, { name, pciBusId, serial }] = found;
    return { ...gpu, uuid, name, pciBusId, serial };
  };
  return { ...check, gpus: check.gpus.map(take) };
}

/** The memory of a GPU after a round, without what the probes learn. */
export function rememberGpu(gpu: NvmlGpuCheck, before: GpuMemory | undefined): GpuMemory {
  return {
    corrected: null,
    replay: null,
    linkErrors: null,
    softThermalSinceMs: null,
    linksSeen: [],
    fabricJoined: false,
    fabricSinceMs: null,
    unknownRounds: 0,
    slowRounds: 0,
    ...before,
    index: gpu.index,
    name: gpu.name,
    pciBusId: gpu.pciBusId,
    serial: gpu.serial ?? before?.serial ?? null,
    memoryTotalBytes: gpu.memoryTotalBytes ?? before?.memoryTotalBytes ?? null,
    migEnabled: gpu.migEnabled ?? before?.migEnabled ?? null,
  };
}

/** The inventory, in the order of the indices. */
export function makeIdentities(memory: ProbeMemory): GpuIdentity[] {
  return Object.entries(memory.gpus)
    .map(([uuid, gpu]) => ({
      index: gpu.index,
      uuid,
      name: gpu.name,
      pci_bus_id: gpu.pciBusId,
      serial: gpu.serial,
      memory_total: gpu.memoryTotalBytes,
      driver_version: memory.driverVersion,
      cuda_version: memory.cudaVersion,
      mig_enabled: gpu.migEnabled,
    }))
    .sort((a, b) => a.index - b.index);
}

/** Light readings for the report; an unreadable GPU has none. */
export function makeSamples(gpus: readonly NvmlGpuSample[]): GpuSample[] {
  return gpus.filter((gpu) => gpu.rc !== 15 && gpu.openCode === 0).map(makeSample);
}

function makeSample(gpu: NvmlGpuSample): GpuSample {
  return {
    index: gpu.index,
    uuid: gpu.uuid,
    temperature_celsius: gpu.temperatureCelsius,
    memory_temperature_celsius: gpu.memoryTemperatureCelsius,
    power_watts: gpu.powerWatts,
    utilization_percent: gpu.utilizationPercent,
    memory_used_bytes: gpu.memoryUsedBytes,
    memory_total_bytes: gpu.memoryTotalBytes,
    sm_clock_mhz: gpu.smClockMhz,
    memory_clock_mhz: gpu.memoryClockMhz,
    throttle_reasons: gpu.throttleReasons,
    processes: gpu.processes,
    recovery_action: gpu.recoveryAction,
  };
}

/** Samples with the counters that only a check reads. */
export function makeCheckSamples(gpus: readonly NvmlGpuCheck[]): GpuSample[] {
  return gpus
    .filter((gpu) => !isLost(gpu) && !isUnopened(gpu))
    .map((gpu) => ({
      ...makeSample(gpu),
      ecc_corrected_volatile: gpu.eccCorrectedVolatile,
      ecc_uncorrected_volatile: gpu.eccUncorrectedVolatile,
      ecc_corrected_aggregate: gpu.eccCorrectedAggregate,
      ecc_uncorrected_aggregate: gpu.eccUncorrectedAggregate,
      remapped_rows_correctable: gpu.remappedCorrectable,
      remapped_rows_uncorrectable: gpu.remappedUncorrectable,
      remap_pending: gpu.remapPending,
      remap_failure: gpu.remapFailure,
      pcie_replay_total: gpu.pcieReplay,
      pcie_link_generation: gpu.pcieGeneration,
      pcie_link_width: gpu.pcieWidth,
      nvlink_active: gpu.nvlinks?.filter((link) => link.state === 1).length ?? null,
      nvlink_total: gpu.nvlinks?.length ?? null,
      fabric_state: gpu.fabric?.state ?? null,
    }));
}
