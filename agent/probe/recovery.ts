/**
 * Reports the driver's recovery action, field 230, as XID 154, so that one rule judges both
 * sources. It is read every round: the log prints XID 154 only on a change after driver load
 * (docs/reference/nvml.md#recovery-action).
 */
import { type Condition, type Probe, lookAtEach, onGpu } from "./probe.ts";

type Verdict = Pick<Condition, "reason" | "severity" | "level"> & { words: string };

/** Levels order the verdicts by how much must be restarted (docs/reference/nvml.md#constants). */
export const VERDICTS: Readonly<Record<number, Verdict>> = {
  1: { reason: "reset", severity: "fatal", level: 3, words: "reset the GPU" },
  2: { reason: "reboot", severity: "fatal", level: 5, words: "reboot the node" },
  3: { reason: "drain_p2p", severity: "serious", level: 1, words: "drain peer-to-peer work" },
  4: { reason: "drain_reset", severity: "fatal", level: 4, words: "drain and reset the GPU" },
  5: { reason: "imex", severity: "serious", level: 2, words: "recover the IMEX domain" },
  // New in the header of R615.
  6: { reason: "bus_reset", severity: "fatal", level: 5, words: "reset the GPU's bus" },
  7: { reason: "system_reboot", severity: "fatal", level: 5, words: "reboot the system" },
};

const XID_RECOVERY_ACTION = 154;

export const recoveryProbe: Probe = {
  name: "recovery",
  kinds: ["xid"],
  look: (check) =>
    lookAtEach(check, ["field.230"], (gpu) => {
      const action = gpu.recoveryAction;
      if (action === null) return { read: false };
      if (action === 0) return { read: true };
      // An action of a later driver is reported but not acted on.
      const verdict = VERDICTS[action] ?? {
        reason: "unknown",
        severity: "warning",
        level: 1,
        words: `unknown action ${action}`,
      };
      const { reason, severity, level, words } = verdict;
      const condition = onGpu(gpu, {
        kind: "xid",
        code: XID_RECOVERY_ACTION,
        reason: `recovery_${reason}`,
        severity,
        level,
        message: `driver's verdict on GPU ${gpu.index}: ${words}`,
        metrics: { xid_code: XID_RECOVERY_ACTION, recovery_action: action },
      });
      return { read: true, conditions: [condition] };
    }),
};
