/**
 * Judges an agent's last verdict as a program on its machine may: the control plane's word while
 * it is heard, else the built-in policy. Counting over time is left to the control plane. Pure.
 */
import type { HeldFinding } from "../../schema/held.ts";
import type { LastVerdict } from "../../schema/last-verdict.ts";
import { compiledBuiltin } from "./builtin.ts";
import { type DrainCode, drainCodeOf } from "./drain-code.ts";
import { byWeight, holdFinding, releaseHeld } from "./hold.ts";
import { judgeReport } from "./judge.ts";
import { parseInstant } from "../../schema/instant.ts";

export type LocalJudgement =
  | { kind: "fit"; by: "control plane" | "agent" }
  /** All current faults, the worst first; at least one. */
  | { kind: "unfit"; faults: readonly DrainCode[] };

/** Clean checks that end a condition; here one check stands for all of them. */
const CLEAN_CHECKS = 3;

/** `nowMs` is the node's wall clock. */
export function judgeLast(last: LastVerdict, nowMs: number): LocalJudgement {
  const { heard } = last;
  if (heard === "healthy" || heard === "degraded") return { kind: "fit", by: "control plane" };
  const faults = faultsOf(last, nowMs);
  if (faults.length > 0) return { kind: "unfit", faults };
  // The control plane condemned the node for what the agent does not hold.
  if (heard === "unhealthy") return { kind: "unfit", faults: [unnamed(last)] };
  return { kind: "fit", by: "agent" };
}

function unnamed(last: LastVerdict): DrainCode {
  const short = shortOf(last);
  if (short !== null) return { code: "GPU_COUNT", text: short };
  return { code: "UNHEALTHY", text: "the control plane judged this node unhealthy" };
}

/** `7<8`, or `null` if no GPU is missing. */
function shortOf({ expected_gpus, present_gpus }: LastVerdict): string | null {
  const isShort = expected_gpus !== null && present_gpus < expected_gpus;
  return isShort ? `${present_gpus}<${expected_gpus}` : null;
}

function faultsOf(last: LastVerdict, nowMs: number): DrainCode[] {
  const { active, boot_id, conclusive, findings, simulated } = last;
  const node = { ...last.node, fake: simulated };
  const { judgements } = judgeReport(findings, compiledBuiltin, node, []);
  let held: HeldFinding[] = [];
  findings.forEach((finding, place) => {
    const judgement = judgements[place];
    // A clock that was set back makes an old line a future one.
    const atMs = Math.min(parseInstant(finding.at), nowMs - 1);
    if (judgement) held = holdFinding(held, finding, judgement, atMs, boot_id);
  });
  const { expected_gpus, present_gpus } = last;
  const at = new Date(nowMs).toISOString();
  const check = { at, conclusive, active, expected_gpus, present_gpus, probes: [] };
  for (let round = 0; round < CLEAN_CHECKS; round++) {
    held = releaseHeld(held, { bootId: boot_id, check, nowMs, resetSeen: false });
  }
  const bad = held.filter(({ judgement }) => judgement.result === "unhealthy");
  const faults = bad
    .sort((a, b) => byWeight(b, a))
    .map(({ finding, judgement }) => {
      const fault = drainCodeOf(finding, judgement.because);
      const short = fault.code === "GPU_COUNT" ? shortOf(last) : null;
      return short === null ? fault : { ...fault, text: short };
    });
  return [...new Map(faults.toReversed().map((one) => [one.code, one])).values()].toReversed();
}
