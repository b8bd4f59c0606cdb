/**
 * Return codes by which a GPU itself says that something is wrong, other than being lost
 * (docs/reference/nvml.md#return-codes): they come from whatever was asked, so no other probe owns
 * them. A GPU that is listed and cannot be opened is of no use, whatever the code and from the
 * first check on.
 */
import { type Condition, type Look, type Probe, isUnopened, lookAtEach, onGpu } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";
import { formatCode } from "../nvml/return-code.ts";

/** One "unknown error" is noise; three rounds of it on one GPU are not. */
const UNKNOWN_ROUNDS = 3;
const UNKNOWN = 999;

type Fault = Pick<Condition, "kind" | "reason" | "severity"> & { says: string };

const FAULTS: Readonly<Record<number, Fault>> = {
  8: {
    kind: "power",
    reason: "insufficient",
    severity: "serious",
    says: "lacks external power: check its cables",
  },
  11: {
    kind: "driver",
    reason: "interrupt",
    severity: "serious",
    says: "gets no interrupts",
  },
  14: {
    kind: "driver",
    reason: "inforom",
    severity: "serious",
    says: "has a corrupted infoROM",
  },
  16: {
    kind: "driver",
    reason: "reset_required",
    severity: "fatal",
    says: "must be reset before it can be used again",
  },
};

export const faultProbe: Probe = {
  name: "fault",
  kinds: [],
  look: (check, memory) =>
    lookAtEach(check, [], (gpu): Look => {
      const before = memory.gpus[gpu.uuid]?.unknownRounds ?? 0;
      const unknownRounds = gpu.rc === UNKNOWN ? before + 1 : 0;
      const conditions = faultConditions(gpu, unknownRounds);
      return { read: true, conditions, learned: { unknownRounds } };
    }),
};

function faultConditions(gpu: NvmlGpuCheck, unknownRounds: number): Condition[] {
  const metrics = { nvml_code: gpu.rc };
  const fault = FAULTS[gpu.rc];
  if (fault !== undefined) {
    const { kind, reason, severity, says } = fault;
    return [onGpu(gpu, { kind, reason, severity, metrics, message: `GPU ${gpu.index} ${says}` })];
  }
  if (isUnopened(gpu)) return [unopened(gpu)];
  if (unknownRounds < UNKNOWN_ROUNDS) return [];
  const message = `GPU ${gpu.index} answered "unknown error" in ${unknownRounds} checks in a row`;
  return [onGpu(gpu, { kind: "driver", reason: "unknown", severity: "warning", metrics, message })];
}

function unopened(gpu: NvmlGpuCheck): Condition {
  const { index, openCode } = gpu;
  return onGpu(gpu, {
    kind: "driver",
    reason: "unopened",
    severity: "serious",
    metrics: { nvml_code: openCode },
    message: `GPU ${index} is listed and cannot be opened: NVML answers ${formatCode(openCode)}`,
  });
}
