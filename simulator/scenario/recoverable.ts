/**
 * Which failures end by themselves: those whose class in the policy is not reset, reboot or
 * replace. The policy itself is asked, with the event that the agent would report, so there is no
 * second table to disagree with it.
 */
import { xid } from "../../health/catalog/catalog.ts";
import { compiledBuiltin } from "../../health/policy/builtin.ts";
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import { judge } from "../../health/policy/judge.ts";
import type { Finding } from "../../schema/finding.ts";
import * as v from "valibot";
import { BootId } from "../../schema/id.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { FailureSpec, FailureType } from "./scenario.ts";

/** Whether a failure may end by itself. */
export type Recoverable = (failure: FailureSpec) => boolean;

const BOOT = v.parse(BootId, "simulated");
const AT = "2026-01-01T00:00:00Z";

/** Asks this policy; answers are remembered, since a run asks for thousands of the same. */
export function recoverableBy(policy: CompiledPolicy = compiledBuiltin): Recoverable {
  const known = new Map<string, boolean>();
  return (failure) => {
    const key = `${failure.type}/${failure.xidCode ?? ""}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const finding = findingOf(failure);
    const answer = finding === null ? endsByItself(failure.type) : isMild(finding, policy);
    known.set(key, answer);
    return answer;
  };
}

function isMild(finding: Finding, policy: CompiledPolicy): boolean {
  const node = {
    id: "simulated",
    pool: "",
    labels: {},
    gpu_count: 8,
    driver_version: "",
    fake: true,
  };
  const { action } = judge(finding, policy, node, []);
  return action !== "reset" && action !== "reboot" && action !== "replace";
}

/** The evidence of failures that a driver reports as an event; `null` for the others. */
function findingOf(failure: FailureSpec): Finding | null {
  const common = {
    pci: "0000:01:00.0",
    gpu_index: 0,
    gpu_uuid: null,
    mig: null,
    pid: null,
    process_name: null,
    at: AT,
    boot_id: BOOT,
    severity: "serious" as const,
    metrics: {},
    source: "sim",
    foreign: false,
    injected: false,
    kmsg_seq: null,
  };
  if (failure.type === "xid_error") {
    const code = failure.xidCode ?? 0;
    const message = xid(code)?.name ?? `XID ${code}`;
    return { ...common, kind: "xid", code, reason: null, message };
  }
  if (failure.type === "memory_error") {
    return { ...common, kind: "ecc", code: null, reason: "dbe", message: "DBE" };
  }
  return null;
}

/**
 * States that last exactly as long as their cause, so that they may end, and machines that are gone
 * for good.
 */
function endsByItself(type: FailureType): boolean {
  switch (type) {
    case "temperature":
    case "nvml_failure":
    case "backend_error":
    case "boot_failure":
    case "device_error":
    case "nvlink_error":
    case "network":
    case "pcie_error":
    case "power_error":
    case "hang":
    case "slow_boot":
      return true;
    case "preempt":
    case "vm_gone":
      return false;
    case "xid_error":
    case "memory_error":
      throw new Error(`${type} is judged by the policy`);
    default:
      return unreachable(type);
  }
}
