/** Reports whether memory use is readable; `ecc.ts` and `remap.ts` report memory faults. */
import { type Probe, lookAtEach } from "./probe.ts";

export const memoryProbe: Probe = {
  name: "memory",
  kinds: [],
  look: (check) =>
    lookAtEach(check, ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"], (gpu) => ({
      read: gpu.memoryTotalBytes !== null && gpu.memoryUsedBytes !== null,
    })),
};
