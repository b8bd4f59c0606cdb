/**
 * Reports row remapping (Ampere and later) and page retirement (before): pending needs a reset,
 * failed means no spare rows are left and the board must be replaced. With MIG the driver gives no
 * values, which is not "healthy" (docs/reference/nvml.md#functions).
 */
import { type Condition, ConditionList, type Probe, lookAtEach, metricsOf } from "./probe.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";

/** Sixty retired pages qualify a board for replacement (vendor, Dynamic Page Retirement). */
const RETIRED_PAGES_MAX = 60;

export const remapProbe: Probe = {
  name: "remap",
  kinds: ["remap"],
  look: (check) => {
    const calls = ["nvmlDeviceGetRemappedRows", "field.31"];
    return lookAtEach(check, calls, (gpu) => ({
      read: gpu.remapPending !== null || gpu.retiredPending !== null,
      conditions: judge(gpu),
    }));
  },
};

function judge(gpu: NvmlGpuCheck): Condition[] {
  const { index, remapHistogram: banks } = gpu;
  const metrics = metricsOf({
    pending: gpu.remapPending ?? gpu.retiredPending,
    failure: gpu.remapFailure,
    correctable: gpu.remappedCorrectable,
    uncorrectable: gpu.remappedUncorrectable,
    retired_sbe: gpu.retiredSbe,
    retired_dbe: gpu.retiredDbe,
  });
  const remap = new ConditionList("remap", gpu, metrics);
  if (gpu.remapFailure === true) {
    remap.add("failure", "fatal", `row remapping of GPU ${index} failed: replace the hardware`);
  }
  if (gpu.remapPending === true || gpu.retiredPending === true) {
    const what = gpu.remapPending === true ? "row remapping" : "page retirement";
    remap.add("pending", "serious", `${what} of GPU ${index} waits for a reset`);
  }
  // Few spare rows are an early warning of a failure.
  if (banks !== null && banks.low + banks.none !== 0) {
    const { low, none } = banks;
    const message = `GPU ${index}: ${low} memory banks have few spare rows, ${none} have none`;
    remap.add("spare_low", "warning", message, {
      metrics: { ...metrics, banks_low: low, banks_none: none },
      // A bank that goes from few to none is worse, and the sum alone would hide it.
      level: low + 2 * none,
    });
  }
  const pages = (gpu.retiredSbe ?? 0) + (gpu.retiredDbe ?? 0);
  if (pages >= RETIRED_PAGES_MAX) {
    const message = `GPU ${index} retired ${pages} memory pages: replace the hardware`;
    remap.add("retired_pages", "serious", message, { level: pages });
  }
  return remap.all;
}
