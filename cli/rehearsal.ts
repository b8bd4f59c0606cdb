/**
 * Judges a file of events by a policy, for `policy test`. All events count as one report, so their
 * order in the file does not matter.
 */
import type { CompiledPolicy } from "../health/policy/compile.ts";
import { holdFinding, verdictOf } from "../health/policy/hold.ts";
import { judgeReport } from "../health/policy/judge.ts";
import type { Finding } from "../schema/finding.ts";
import type { HeldFinding } from "../schema/held.ts";
import type { Judgement, PolicyNode, Verdict } from "../schema/policy.ts";
import { parseFindingLine } from "./finding-line.ts";
import { parseInstant } from "../schema/instant.ts";

export type Judged = { line: number; finding: Finding; judgement: Judgement };
export type Rehearsal = {
  judged: Judged[];
  /** Results of shadow rules. */
  shadows: { line: number; judgement: Judgement }[];
  verdict: Verdict;
  /** Conditions that failed at evaluation. */
  errors: { rule: string; message: string }[];
};

export type Numbered = { line: number; finding: Finding };

/** `problems` has `FILE:LINE: …` for each invalid line; blank lines are skipped. */
export function parseEvents(
  file: string,
  text: string,
): { findings: Numbered[]; problems: string[] } {
  const findings: Numbered[] = [];
  const problems: string[] = [];
  for (const [index, one] of text.split("\n").entries()) {
    if (one.trim() === "") continue;
    const answer = parseFindingLine(one, index + 1);
    if (answer.ok) findings.push({ line: index + 1, finding: answer.finding });
    else problems.push(`${file}:${index + 1}: ${answer.message}`);
  }
  return { findings, problems };
}

export function rehearse(
  policy: CompiledPolicy,
  numbered: readonly Numbered[],
  pool: string,
): Rehearsal {
  const findings = numbered.map(({ finding }) => finding);
  const node: PolicyNode = {
    id: "test",
    pool,
    labels: {},
    gpu_count: 8,
    driver_version: "",
    // Injected findings are judged too.
    fake: true,
  };
  const { judgements, shadows, errors } = judgeReport(findings, policy, node, []);
  const judged: Judged[] = [];
  let held: HeldFinding[] = [];
  for (const [index, { line, finding }] of numbered.entries()) {
    const judgement = judgements[index];
    if (judgement === undefined) throw new Error(`no judgement for line ${line}`);
    judged.push({ line, finding, judgement });
    held = holdFinding(held, finding, judgement, parseInstant(finding.at));
  }
  const would = shadows.map(({ index, judgement }) => {
    return { line: numbered[index]?.line ?? 0, judgement };
  });
  return { judged, shadows: would, verdict: verdictOf(held), errors };
}
