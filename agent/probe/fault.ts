/**
 * Reports return codes that state a GPU fault other than loss
 * (docs/reference/nvml.md#return-codes); any call may answer them. A listed GPU that cannot be
 * opened is unusable, whatever the code, from the first check on.
 */
import type { FindingKind, Severity } from "../../schema/finding.ts";
import { type Condition, ConditionList, isUnopened, lookAtEach } from "./probe.ts";
import type { Look, Probe } from "./probe.ts";
import type { NvmlGpuCheck } from "../reading.ts";
import { formatCode } from "../nvml/return-code.ts";

/** One "unknown error" is noise; three rounds of it are a fault. */
const UNKNOWN_ROUNDS = 3;
const UNKNOWN = 999;

type Fault = readonly [FindingKind, reason: string, Severity, says: string];

const FAULTS: Readonly<Record<number, Fault>> = {
  8: ["power", "insufficient", "serious", "lacks external power: check its cables"],
  11: ["driver", "interrupt", "serious", "gets no interrupts"],
  14: ["driver", "inforom", "serious", "has a corrupted infoROM"],
  16: ["driver", "reset_required", "fatal", "must be reset before it can be used again"],
};

export const faultProbe: Probe = {
  name: "fault",
  kinds: [],
  look: (check, memory) =>
    lookAtEach(check, [], (gpu): Look => {
      const before = memory.gpus[gpu.uuid]?.unknownRounds ?? 0;
      const unknownRounds = gpu.rc === UNKNOWN ? before + 1 : 0;
      return { read: true, conditions: judge(gpu, unknownRounds), learned: { unknownRounds } };
    }),
};

function judge(gpu: NvmlGpuCheck, unknownRounds: number): Condition[] {
  const { index, openCode, rc } = gpu;
  const [kind, reason, severity, says] = FAULTS[rc] ?? ["driver", null, null, null];
  const fault = new ConditionList(kind, gpu, { nvml_code: rc });
  if (reason !== null) fault.add(reason, severity, `GPU ${index} ${says}`);
  else if (isUnopened(gpu)) {
    const answer = `NVML answers ${formatCode(openCode)}`;
    const message = `GPU ${index} is listed and cannot be opened: ${answer}`;
    fault.add("unopened", "serious", message, { metrics: { nvml_code: openCode } });
  } else if (unknownRounds >= UNKNOWN_ROUNDS) {
    const message = `GPU ${index} answered "unknown error" in ${unknownRounds} checks in a row`;
    fault.add("unknown", "warning", message);
  }
  return fault.all;
}
