/** Stub: signatures only, the body follows. */
import type { Finding } from "../../schema/finding.ts";
import type { Judgement, PolicyNode } from "../../schema/policy.ts";
import type { FindingHistory, PastFinding } from "../held.ts";
import type { CompiledPolicy } from "./compile.ts";

export function judge(finding: Finding, policy: CompiledPolicy, node: PolicyNode, history: FindingHistory): Judgement {
  throw new Error(`not built yet: ${finding.kind} ${policy.builtin} ${node.id} ${history.length}`);
}
/** Preferred: judges all findings of one report together (order inside it does not matter) and returns the history to store. */
export function judgeReport(
  findings: readonly Finding[],
  policy: CompiledPolicy,
  node: PolicyNode,
  history: FindingHistory,
): { judgements: Judgement[]; history: PastFinding[]; errors: { rule: string; message: string }[] } {
  throw new Error(`not built yet: ${findings.length} ${policy.builtin} ${node.id} ${history.length}`);
}
