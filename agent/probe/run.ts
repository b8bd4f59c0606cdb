/** Signature only for the moment: one round of probes over one answer. */
import type { Finding } from "../../schema/finding.ts";
import type { GpuIdentity, GpuSample } from "../../schema/gpu.ts";
import type { ProbeResult } from "../../schema/report.ts";
import type { NvmlAnswer, NvmlCheck } from "../nvml/reading.ts";
import type { ProbeContext, ProbeMemory } from "./probe.ts";

export type ProbeRound = {
  /** Only what rose or became worse since the last round. */
  findings: Finding[];
  results: ProbeResult[];
  /** `<kind>/<reason>/<gpu uuid|node>` of all that holds now. */
  active: string[];
  memory: ProbeMemory;
  gpus: GpuIdentity[];
  samples: GpuSample[];
  conclusive: boolean;
  present: number;
  expected: number | null;
};

export function runProbes(
  answer: NvmlAnswer<NvmlCheck>,
  memory: ProbeMemory,
  ctx: ProbeContext,
): ProbeRound {
  throw new Error(`not there yet: ${answer.kind} ${memory.expected} ${ctx.bootId}`);
}
