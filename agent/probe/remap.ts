/**
 * Row remapping (Ampere and later) and page retirement (before): pending means that a reset is
 * owed, failed means that the spare rows are used up and the board must be replaced. With MIG
 * instances the driver tells nothing here, and "not told" is never "healthy"
 * (docs/reference/nvml.md#functions).
 */
import { type Condition, type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";

/** Sixty retired pages qualify a board for replacement (vendor, Dynamic Page Retirement). */
const RETIRED_PAGES_MAX = 60;

export const remapProbe: Probe = {
  name: "remap",
  kinds: ["remap"],
  look: (check) => {
    const calls = ["nvmlDeviceGetRemappedRows", "field.31"];
    return lookAtEach(check, calls, (gpu) => ({
      read: gpu.remapPending !== null || gpu.retiredPending !== null,
      conditions: [...rows(gpu), ...banks(gpu), ...pages(gpu)],
    }));
  },
};

function metricsFor(gpu: NvmlGpuCheck): Condition["metrics"] {
  return metricsOf({
    pending: gpu.remapPending ?? gpu.retiredPending,
    failure: gpu.remapFailure,
    correctable: gpu.remappedCorrectable,
    uncorrectable: gpu.remappedUncorrectable,
    retired_sbe: gpu.retiredSbe,
    retired_dbe: gpu.retiredDbe,
  });
}

function rows(gpu: NvmlGpuCheck): Condition[] {
  const remap = { kind: "remap", metrics: metricsFor(gpu) } as const;
  const found: Condition[] = [];
  if (gpu.remapFailure === true) {
    const message = `row remapping of GPU ${gpu.index} failed: replace the hardware`;
    found.push(onGpu(gpu, { ...remap, reason: "failure", severity: "fatal", message }));
  }
  if (gpu.remapPending === true || gpu.retiredPending === true) {
    const what = gpu.remapPending === true ? "row remapping" : "page retirement";
    const message = `${what} of GPU ${gpu.index} waits for a reset`;
    found.push(onGpu(gpu, { ...remap, reason: "pending", severity: "serious", message }));
  }
  return found;
}

/** Banks with few or no spare rows are the early warning of a failure to come. */
function banks(gpu: NvmlGpuCheck): Condition[] {
  const histogram = gpu.remapHistogram;
  if (histogram === null) return [];
  const count = histogram.low + histogram.none;
  if (count === 0) return [];
  const { low, none } = histogram;
  return [
    onGpu(gpu, {
      kind: "remap",
      reason: "spare_low",
      severity: "warning",
      message: `GPU ${gpu.index}: ${low} memory banks have few spare rows, ${none} have none`,
      metrics: { ...metricsFor(gpu), banks_low: low, banks_none: none },
      // A bank that goes from few to none is worse, and the sum alone would hide it.
      level: low + 2 * none,
    }),
  ];
}

function pages(gpu: NvmlGpuCheck): Condition[] {
  const count = (gpu.retiredSbe ?? 0) + (gpu.retiredDbe ?? 0);
  if (count < RETIRED_PAGES_MAX) return [];
  return [
    onGpu(gpu, {
      kind: "remap",
      reason: "retired_pages",
      severity: "serious",
      message: `GPU ${gpu.index} retired ${count} memory pages: replace the hardware`,
      metrics: metricsFor(gpu),
      level: count,
    }),
  ];
}
