/**
 * Findings about the machine and the agent itself: the log cannot be read, the spool has no disk.
 * They say how far missing reports can be trusted, and are never evidence against the GPUs. Pure.
 */
import { type Finding, newFinding } from "../schema/finding.ts";
import type { BootId } from "../schema/id.ts";
import { LIMIT } from "../schema/limit.ts";

export function makeHostFinding(
  reason: string,
  message: string,
  at: { wallMs: number; bootId: BootId; simulated: boolean },
): Finding {
  return newFinding({
    reason,
    at: new Date(at.wallMs).toISOString(),
    boot_id: at.bootId,
    message: message.slice(0, LIMIT.messageCharsMax),
    source: at.simulated ? "sim" : "probe",
  });
}
