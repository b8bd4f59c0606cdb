/**
 * Memory errors. An uncorrected one since the driver was loaded stays a condition until the counter
 * is cleared by a reset; corrected ones matter by rate, never by their lifetime sum.
 */
import { type Condition, type Look, type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";
import { nextWindow } from "./window.ts";

/** Corrected errors within an hour; upstream's rule has the same number without the hour. */
const CORRECTED_PER_HOUR_MAX = 100;

export const eccProbe: Probe = {
  name: "ecc",
  kinds: ["ecc"],
  look: (check, memory, ctx) => {
    const calls = ["field.3", "field.4", "nvmlDeviceGetTotalEccErrors"];
    return lookAtEach(check, calls, (gpu): Look => {
      const window = memory.gpus[gpu.uuid]?.corrected ?? null;
      const value = gpu.eccCorrectedVolatile;
      const corrected = value === null ? window : nextWindow(window, value, ctx.monoMs);
      const perHour = value === null ? 0 : (corrected?.grown ?? 0);
      return {
        read: value !== null || gpu.eccUncorrectedVolatile !== null,
        conditions: [...uncorrected(gpu, perHour), ...tooMany(gpu, perHour), ...sram(gpu)],
        learned: { corrected },
      };
    });
  },
};

function metricsFor(gpu: NvmlGpuCheck, perHour: number): Condition["metrics"] {
  return metricsOf({
    ecc_sbe_count: perHour,
    ecc_dbe_count: gpu.eccUncorrectedVolatile,
    sbe_per_hour: perHour,
    sbe_volatile: gpu.eccCorrectedVolatile,
    sbe_aggregate: gpu.eccCorrectedAggregate,
    volatile: gpu.eccUncorrectedVolatile,
    aggregate: gpu.eccUncorrectedAggregate,
  });
}

function uncorrected(gpu: NvmlGpuCheck, perHour: number): Condition[] {
  const count = gpu.eccUncorrectedVolatile ?? 0;
  if (count === 0) return [];
  return [
    onGpu(gpu, {
      kind: "ecc",
      reason: "dbe",
      severity: "fatal",
      message: `GPU ${gpu.index} has ${count} uncorrected memory errors since the driver started`,
      metrics: metricsFor(gpu, perHour),
      level: count,
    }),
  ];
}

function tooMany(gpu: NvmlGpuCheck, perHour: number): Condition[] {
  if (perHour <= CORRECTED_PER_HOUR_MAX) return [];
  const metrics = metricsFor(gpu, perHour);
  return [
    onGpu(gpu, {
      kind: "ecc",
      reason: "sbe",
      severity: "warning",
      message: `GPU ${gpu.index} corrected ${perHour} memory errors within an hour`,
      metrics: { ...metrics, ...metricsOf({ volatile: gpu.eccCorrectedVolatile }) },
      // Ten times as many is worth a second finding; each single one is not.
      level: Math.floor(Math.log10(perHour)),
    }),
  ];
}

/**
 * The driver's own threshold for replacing the hardware; needs root to be read
 * (docs/reference/nvml.md#functions).
 */
function sram(gpu: NvmlGpuCheck): Condition[] {
  if (gpu.sramThresholdExceeded !== true) return [];
  const message = `GPU ${gpu.index} exceeded the SRAM error threshold: replace the hardware`;
  return [onGpu(gpu, { kind: "ecc", reason: "sram_threshold", severity: "fatal", message })];
}
