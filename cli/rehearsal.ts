/**
 * A policy tried on a file of events, as `policy test` does it: all events are judged as one
 * report, as they would be when an agent sends them together, so their order in the file changes
 * nothing.
 */
import type { CompiledPolicy } from "../health/policy/compile.ts";
import { holdFinding, verdictOf } from "../health/policy/hold.ts";
import { judgeReport } from "../health/policy/judge.ts";
import type { Finding } from "../schema/finding.ts";
import type { HeldFinding } from "../schema/held.ts";
import type { Judgement, PolicyNode, Verdict } from "../schema/policy.ts";
import { parseFindingLine } from "./finding-line.ts";

export type Judged = { line: number; finding: Finding; judgement: Judgement };
export type Rehearsal = {
  judged: Judged[];
  /** What shadows would have said. */
  shadows: { line: number; judgement: Judgement }[];
  verdict: Verdict;
  /** Conditions that failed while they were asked. */
  errors: { rule: string; message: string }[];
};

export type Numbered = { line: number; finding: Finding };

/** `FILE:LINE: problem` for every line that is no event; blank lines are skipped. */
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
    // Injected findings are judged too: a rehearsal is a test on purpose.
    fake: true,
  };
  const { judgements, shadows, errors } = judgeReport(findings, policy, node, []);
  const judged: Judged[] = [];
  let held: HeldFinding[] = [];
  for (const [index, { line, finding }] of numbered.entries()) {
    const judgement = judgements[index];
    if (judgement === undefined) throw new Error(`no judgement for line ${line}`);
    judged.push({ line, finding, judgement });
    held = holdFinding(held, finding, judgement, Date.parse(finding.at));
  }
  const would = shadows.map(({ index, judgement }) => {
    return { line: numbered[index]?.line ?? 0, judgement };
  });
  return { judged, shadows: would, verdict: verdictOf(held), errors };
}
