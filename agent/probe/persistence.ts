/**
 * Persistence mode. Without it the driver takes a GPU down whenever its last user leaves: the next
 * one waits for it to come up again, and counters start over. It is a setting and no fault, so it
 * is one finding of the node that the policy only records.
 */
import { isLost, onNode, type Probe } from "./probe.ts";

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
    return {
      conditions: off.length === 0 ? [] : [finding],
      outcome: off.length > 0 ? "finding" : known.length > 0 ? "ok" : "not_supported",
      message: null,
      learned: {},
      blind: [],
    };
  },
};
