/** Stub: signatures only, the body follows. */
import type { Finding } from "../../schema/finding.ts";
import type { Judgement, Verdict } from "../../schema/policy.ts";
import type { Check } from "../../schema/report.ts";
import type { HeldFinding } from "../held.ts";

/** `knownBootId` = the boot the node reports now; a finding of another boot is history and is not held. */
export function holdFinding(
  held: readonly HeldFinding[],
  finding: Finding,
  judgement: Judgement,
  nowMs: number,
  knownBootId: string | null = null,
): HeldFinding[] {
  throw new Error(`not built yet: ${held.length} ${finding.kind} ${judgement.rule} ${nowMs} ${knownBootId}`);
}
/** One evaluation. `check: null` or inconclusive = nothing but timed holds can clear. Pass the same `nowMs` as to `holdFinding`. */
export function releaseHeld(
  held: readonly HeldFinding[],
  evaluation: { bootId: string | null; check: Check | null; nowMs: number; resetSeen: boolean },
): HeldFinding[] {
  throw new Error(`not built yet: ${held.length} ${evaluation.nowMs}`);
}
/** Worst of all; `healthy` if nothing is held (the caller decides about `unknown`). */
export function verdictOf(held: readonly HeldFinding[]): Verdict {
  throw new Error(`not built yet: ${held.length}`);
}
