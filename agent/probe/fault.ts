/**
 * Reports return codes that state a GPU fault other than loss
 * (docs/reference/nvml.md#return-codes); any call may answer them. A listed GPU that cannot be
 * opened is unusable, whatever the code, from the first check on; one that opens and gives no
 * reading is, once the code has lasted.
 */
import type { FindingKind, Severity } from "../../schema/finding.ts";
import { countPassing, answerOf, isMute, isProven } from "./mute.ts";
import { type Condition, ConditionList, isUnopened, lookAtEach } from "./probe.ts";
import type { Look, Probe } from "./probe.ts";
import type { NvmlGpuCheck } from "../port/reading.ts";
import { formatCode, isPassing } from "../nvml/return-code.ts";

type Fault = readonly [FindingKind, reason: string, Severity, says: string];

/** Alone it does not stop the readings. */
const INFOROM = 14;

const FAULTS: Readonly<Record<number, Fault>> = {
  8: ["power", "insufficient", "serious", "lacks external power: check its cables"],
  11: ["driver", "interrupt", "serious", "gets no interrupts"],
  [INFOROM]: ["driver", "inforom", "serious", "has a corrupted infoROM"],
  16: ["driver", "reset_required", "fatal", "must be reset before it can be used again"],
};

export const faultProbe: Probe = {
  name: "fault",
  kinds: [],
  look: (check, memory) =>
    lookAtEach(check, [], (gpu): Look => {
      const unknownRounds = countPassing(gpu, memory.gpus[gpu.uuid]);
      return { read: true, conditions: judge(gpu, unknownRounds), learned: { unknownRounds } };
    }),
};

function judge(gpu: NvmlGpuCheck, unknownRounds: number): Condition[] {
  const { index, openCode, rc } = gpu;
  const [kind, reason, severity, says] = FAULTS[rc] ?? ["driver", null, null, null];
  const fault = new ConditionList(kind, gpu, { nvml_code: rc });
  if (reason !== null) fault.add(reason, severity, `GPU ${index} ${says}`);
  if (reason !== null && rc !== INFOROM) return fault.all;
  if (isUnopened(gpu) && reason === null) {
    const answer = `NVML answers ${formatCode(openCode)}`;
    const message = `GPU ${index} is listed and cannot be opened: ${answer}`;
    fault.add("unopened", "serious", message, { metrics: { nvml_code: openCode } });
  } else if (isMute(gpu)) addMute(fault, gpu, unknownRounds);
  else if (isPassing(rc) && isProven(gpu, unknownRounds)) {
    const message = `GPU ${index} answered ${formatCode(rc)} in ${unknownRounds} checks in a row`;
    fault.add("unknown", "warning", message);
  }
  return fault.all;
}

/** Without a code of the GPU itself it is not checked, and the round is inconclusive. */
function addMute(fault: ConditionList, gpu: NvmlGpuCheck, rounds: number): void {
  const { index, rc } = gpu;
  const answer = answerOf(gpu);
  const metrics = { nvml_code: answer };
  const what = `GPU ${index} opens and gives no reading: NVML answers ${formatCode(answer)}`;
  if (isProven(gpu, rounds)) {
    const lasting = isPassing(rc) ? `, in ${rounds} checks in a row` : "";
    fault.add("mute", "serious", `${what}${lasting}`, { metrics });
  } else if (!isPassing(rc)) {
    fault.add("unread", "warning", `${what}; it is not checked`, { metrics });
  }
}
