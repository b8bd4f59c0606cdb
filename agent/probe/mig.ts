/**
 * Is MIG on? It is no fault. It is why other probes then answer `not_supported`: utilisation,
 * remapped rows and volatile counters cannot be read of the whole GPU
 * (docs/reference/nvml.md#pitfalls).
 */
import type { Probe } from "./probe.ts";
import { isLost } from "./probe.ts";

export const migProbe: Probe = {
  name: "mig",
  kinds: [],
  look(check) {
    const gpus = check.gpus.filter((gpu) => !isLost(gpu));
    const on = gpus.filter((gpu) => gpu.migEnabled === true).map((gpu) => gpu.index);
    const known = gpus.some((gpu) => gpu.migEnabled !== null);
    const message = on.length === 0 ? null : `on: GPU ${on.join(", ")}`;
    const outcome = known ? "ok" : "not_supported";
    return { conditions: [], outcome, message, learned: {}, blind: [] };
  },
};
