/**
 * Reports whether utilisation is readable. No value is a fault: 100 % after driver load is memory
 * scrubbing, and MIG has no reading (docs/reference/nvml.md#pitfalls).
 */
import { type Probe, lookAtEach } from "./probe.ts";

export const utilizationProbe: Probe = {
  name: "utilization",
  kinds: [],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetUtilizationRates"], (gpu) => ({
      read: gpu.utilizationPercent !== null,
    })),
};
