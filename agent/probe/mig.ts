/**
 * Reports MIG mode, which is no fault: it explains why utilisation, remapped rows and volatile
 * counters are not supported on the whole GPU (docs/reference/nvml.md#pitfalls).
 */
import { isLost, type Probe, wholeNode } from "./probe.ts";

export const migProbe: Probe = {
  name: "mig",
  kinds: [],
  look(check) {
    const gpus = check.gpus.filter((gpu) => !isLost(gpu));
    const on = gpus.filter((gpu) => gpu.migEnabled === true).map((gpu) => gpu.index);
    const known = gpus.some((gpu) => gpu.migEnabled !== null);
    const message = on.length === 0 ? null : `on: GPU ${on.join(", ")}`;
    return wholeNode([], message, known ? "ok" : "not_supported");
  },
};
