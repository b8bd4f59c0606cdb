/**
 * Judges a driver that could not be read. Each failure has its own reason: a missing library, a
 * version mismatch, a hang and a blocked device need different repairs, and none a new GPU.
 */
import type { Severity } from "../../schema/finding.ts";
import type { ProbeOutcome } from "../../schema/report.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { NvmlAnswer, NvmlFailure } from "../port/reading.ts";
import { type Condition, metricsOf, onNode } from "./probe.ts";

export type DriverVerdict = {
  /** `null`: no fault; earlier conditions stay. */
  condition: Condition | null;
  outcome: ProbeOutcome;
  /** False if the failure says nothing about the GPUs. */
  conclusive: boolean;
  /** True if the GPUs of earlier rounds still count as present. */
  keepsGpus: boolean;
};

type Failed = Exclude<NvmlAnswer<unknown>, { kind: "ok" }>;

export function judgeDriver(answer: Failed): DriverVerdict {
  switch (answer.kind) {
    case "failed":
      return judgeFailure(answer.failure);
    case "unresponsive": {
      const message = `the driver did not answer in time; ${answer.evidence}`;
      const metrics = { operation: "check", abandoned: answer.abandoned };
      return verdict("unresponsive", "fatal", message, metrics, "timeout");
    }
    case "crashed": {
      const message = `the library crashed the probe (${answer.signal})`;
      const metrics = { operation: "check", signal: answer.signal, abandoned: answer.abandoned };
      return verdict("crashed", "serious", message, metrics, "crashed");
    }
    case "stuck": {
      const message = `${answer.abandoned} probes hang in the driver and cannot be killed`;
      const metrics = { operation: "check", abandoned: answer.abandoned };
      return verdict("stuck", "fatal", message, metrics, "timeout");
    }
    default:
      return unreachable(answer);
  }
}

function judgeFailure(failure: NvmlFailure): DriverVerdict {
  const metrics = metricsOf({ operation: "init", nvml_code: failure.code });
  const { message } = failure;
  switch (failure.reason) {
    // Without driver or library there are no usable GPUs, and none are listed.
    case "library":
      return { ...verdict("library", "fatal", message, metrics, "error"), keepsGpus: false };
    case "driver":
      return { ...verdict("not_loaded", "fatal", message, metrics, "error"), keepsGpus: false };
    case "version":
      return verdict("version", "serious", message, metrics, "error");
    case "permission": {
      const denied = verdict("permission", "warning", message, metrics, "no_permission");
      return { ...denied, conclusive: false };
    }
    case "released":
      return { condition: null, outcome: "skipped", conclusive: false, keepsGpus: true };
    case "other":
      return verdict("error", "serious", message, metrics, "error");
    default:
      return unreachable(failure);
  }
}

function verdict(
  reason: string,
  severity: Severity,
  message: string,
  metrics: Condition["metrics"],
  outcome: ProbeOutcome,
): DriverVerdict {
  const condition = onNode({ kind: "driver", reason, severity, message, metrics });
  return { condition, outcome, conclusive: true, keepsGpus: true };
}
