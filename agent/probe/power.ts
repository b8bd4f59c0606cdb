/** Reports power far above the enforced limit; power at the limit is normal. */
import { type Probe, lookAtEach, metricsOf, onGpu } from "./probe.ts";

/** GA100 and older read instantaneous power (docs/reference/nvml.md#pitfalls), with spikes. */
const EXCESS = 1.2;

export const powerProbe: Probe = {
  name: "power",
  kinds: ["power"],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetPowerUsage"], (gpu) => {
      const { powerWatts, powerLimitWatts } = gpu;
      if (powerWatts === null) return { read: false };
      // Devices without a limit report zero.
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
