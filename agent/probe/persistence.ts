/**
 * Reports persistence mode that is off: the driver then shuts a GPU down when its last user leaves,
 * so the next one waits and counters restart. It is a setting that the policy only records.
 */
import { isLost, onNode, type Probe, wholeNode } from "./probe.ts";

export const persistenceProbe: Probe = {
  name: "persistence",
  kinds: [],
  look(check) {
    const known = check.gpus.filter((gpu) => !isLost(gpu) && gpu.persistence !== null);
    const off = known.filter((gpu) => gpu.persistence === false);
    const indices = off.map((gpu) => gpu.index).join(", ");
    const finding = onNode({
      kind: "host",
      reason: "persistence",
      severity: "info",
      message: `persistence mode is off on GPU ${indices}`,
      metrics: { gpus: off.length },
      level: off.length,
    });
    const outcome = known.length > 0 ? "ok" : "not_supported";
    return wholeNode(off.length === 0 ? [] : [finding], null, outcome);
  },
};
