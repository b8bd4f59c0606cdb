/**
 * Reports memory errors. Uncorrected errors since driver load are a condition until a reset clears
 * the counter; corrected ones count by rate, never by their lifetime sum. Without ECC, errors are
 * not seen at all.
 */
import { type Condition, ConditionList, lookAtEach, metricsOf } from "./probe.ts";
import type { Look, Probe } from "./probe.ts";
import type { NvmlCheck, NvmlGpuCheck } from "../port/reading.ts";
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
        conditions: [...judge(gpu, perHour), ...findDisabled(gpu, check)],
        learned: { corrected },
      };
    });
  },
};

function judge(gpu: NvmlGpuCheck, perHour: number): Condition[] {
  const { index, eccCorrectedVolatile, eccUncorrectedVolatile } = gpu;
  const metrics = metricsOf({
    ecc_sbe_count: perHour,
    ecc_dbe_count: eccUncorrectedVolatile,
    sbe_per_hour: perHour,
    sbe_volatile: eccCorrectedVolatile,
    sbe_aggregate: gpu.eccCorrectedAggregate,
    volatile: eccUncorrectedVolatile,
    aggregate: gpu.eccUncorrectedAggregate,
  });
  const ecc = new ConditionList("ecc", gpu, metrics);
  const uncorrected = eccUncorrectedVolatile ?? 0;
  if (uncorrected !== 0) {
    const what = `${uncorrected} uncorrected memory errors since the driver started`;
    ecc.add("dbe", "fatal", `GPU ${index} has ${what}`, { level: uncorrected });
  }
  if (perHour > CORRECTED_PER_HOUR_MAX) {
    ecc.add("sbe", "warning", `GPU ${index} corrected ${perHour} memory errors within an hour`, {
      metrics: { ...metrics, ...metricsOf({ volatile: eccCorrectedVolatile }) },
      // Ten times as many is worth a second finding; each single one is not.
      level: Math.floor(Math.log10(perHour)),
    });
  }
  // The driver's own threshold; it needs root to be read (docs/reference/nvml.md#functions).
  if (gpu.sramThresholdExceeded === true) {
    const message = `GPU ${index} exceeded the SRAM error threshold: replace the hardware`;
    ecc.add("sram_threshold", "fatal", message, { metrics: {} });
  }
  return ecc.all;
}

/** Models with HBM are sold and tested with ECC; on other cards it is a choice for more memory. */
const HBM = /\b(?:P100|V100|A30|A100|A800|H20|H100|H200|H800|B100|B200|B300|GH200|GB200|GB300)\b/;

function findDisabled(gpu: NvmlGpuCheck, { gpus }: NvmlCheck): Condition[] {
  if (gpu.eccEnabled !== false) return [];
  const isEqual = (one: NvmlGpuCheck) => one.name === gpu.name && one.eccEnabled === true;
  const required = HBM.test(gpu.name) || gpus.some(isEqual);
  const later = gpu.eccPending === true ? "; it is on after the next reset" : "";
  const ecc = new ConditionList("ecc", gpu, { required, pending: gpu.eccPending === true });
  ecc.add("disabled", required ? "warning" : "info", `ECC is off on GPU ${gpu.index}${later}`);
  return ecc.all;
}
