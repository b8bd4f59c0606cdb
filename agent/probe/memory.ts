/**
 * Can the memory of each GPU be read? How full it is concerns the jobs and never health; its faults
 * are told by `ecc.ts` and `remap.ts`.
 */
import { type Probe, lookAtEach } from "./probe.ts";

export const memoryProbe: Probe = {
  name: "memory",
  kinds: [],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"], (gpu) => ({
      read: gpu.memoryTotalBytes !== null && gpu.memoryUsedBytes !== null,
    })),
};
