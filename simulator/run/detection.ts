/**
 * Matches recorded findings and events to injected faults. Pure. A fault without a sign of its own
 * (a machine that only boots slowly) is never counted as missed.
 */
import type { EventKind } from "../../schema/event.ts";
import type { Finding, FindingKind } from "../../schema/finding.ts";
import type { Cause, Failure } from "../scenario/fault.ts";
import type { FailureType } from "../scenario/scenario.ts";
import { lastingOf } from "../machine/xid.ts";

/** Ground truth: the injected fault, and when it was first reported. Milliseconds of the run. */
export type Injection = {
  node: string;
  failure: Failure;
  atMs: number;
  cause: Cause | "scenario";
  depth: number;
  name: string | null;
  detectedMs: number | null;
  endedMs: number | null;
  /** False if its detection cannot be measured (a repeated fault). */
  countable: boolean;
};

/** Kinds of findings that report a failure. */
const KINDS: Readonly<Record<FailureType, readonly FindingKind[]>> = {
  xid_error: ["xid"],
  temperature: ["thermal"],
  nvml_failure: ["driver"],
  backend_error: ["driver"],
  boot_failure: ["lost", "driver"],
  device_error: ["driver"],
  memory_error: ["ecc"],
  nvlink_error: ["nvlink", "xid"],
  network: [],
  pcie_error: ["pcie"],
  power_error: ["power"],
  preempt: [],
  vm_gone: [],
  hang: [],
  slow_boot: [],
};

export function explains(failure: Failure, finding: Finding): boolean {
  if (failure.type === "xid_error") {
    const isLost = finding.kind === "lost" && lastingOf(failure.xidCode ?? 0) === "lost";
    return isLost || (finding.kind === "xid" && finding.code === failure.xidCode);
  }
  return KINDS[failure.type].includes(finding.kind);
}

const SILENCE: readonly FailureType[] = ["network", "hang", "preempt", "vm_gone", "slow_boot"];
const LOSS: readonly FailureType[] = ["preempt", "vm_gone"];

/** Failures that no agent can report: the control plane detects the silence. */
export function isSeenInEvent(failure: Failure, kind: EventKind): boolean {
  if (kind === "node.silent") return SILENCE.includes(failure.type);
  return kind === "instance.lost" && LOSS.includes(failure.type);
}

/** A slow boot has no sign of its own unless it is slow enough to be silence. */
export function isCounted(injection: Injection): boolean {
  return injection.countable && injection.failure.type !== "slow_boot";
}
