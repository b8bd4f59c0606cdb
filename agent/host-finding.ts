/**
 * Findings about the machine and the agent itself: the log cannot be read, the spool has no disk.
 * They lower what the node's silence is worth, and never condemn its GPUs. Pure.
 */
import type { Finding } from "../schema/finding.ts";
import type { BootId } from "../schema/id.ts";
import { LIMIT } from "../schema/limit.ts";

export function makeHostFinding(
  reason: string,
  message: string,
  at: { wallMs: number; bootId: BootId; simulated: boolean },
): Finding {
  return {
    kind: "host",
    code: null,
    reason,
    pci: null,
    gpu_index: null,
    gpu_uuid: null,
    mig: null,
    pid: null,
    process_name: null,
    at: new Date(at.wallMs).toISOString(),
    boot_id: at.bootId,
    severity: "warning",
    message: message.slice(0, LIMIT.messageCharsMax),
    metrics: {},
    source: at.simulated ? "sim" : "probe",
    foreign: false,
    injected: false,
    kmsg_seq: null,
  };
}
