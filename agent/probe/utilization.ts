/**
 * Can the load of each GPU be read? No load is a fault: 100 % right after the driver was loaded is
 * the memory being scrubbed (docs/reference/nvml.md#pitfalls), and with MIG on there is no reading
 * at all.
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
