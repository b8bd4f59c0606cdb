/**
 * Power drawn against the limit that the driver enforces. Being at the limit is normal operation;
 * being far above it means that the limit is not kept.
 */
import { type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";

/**
 * The reading of GA100 and older is instantaneous (docs/reference/nvml.md#pitfalls): a tenth above
 * is a spike.
 */
const EXCESS = 1.2;

export const powerProbe: Probe = {
  name: "power",
  kinds: ["power"],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetPowerUsage"], (gpu) => {
      const { powerWatts, powerLimitWatts } = gpu;
      if (powerWatts === null) return { read: false };
      // A limit of zero comes from devices that have none.
      const limit = powerLimitWatts !== null && powerLimitWatts > 0 ? powerLimitWatts : null;
      if (limit === null || powerWatts <= limit * EXCESS) return { read: true };
      const condition = onGpu(gpu, {
        kind: "power",
        reason: "over_limit",
        severity: "warning",
        message: `GPU ${gpu.index} draws ${powerWatts} W, its limit is ${limit} W`,
        metrics: metricsOf({ power_watts: powerWatts, limit_watts: limit }),
      });
      return { read: true, conditions: [condition] };
    }),
};
