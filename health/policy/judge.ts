/**
 * Says what findings mean for their node. Pure. The result comes from the first rule of the policy
 * whose condition is true; what that rule leaves open (hold, action, whether it proves broken
 * hardware) comes from the class of the finding, which is the built-in rule it falls under.
 *
 * The findings of one report are judged together and then do not depend on their order: evidence of
 * one fault arrives in any order (`gpu/kernel-log.md` §7).
 */
import type { Finding } from "../../schema/finding.ts";
import type { FindingHistory, PastFinding } from "../../schema/held.ts";
import type { Hold, Judgement, PolicyNode, PolicyRule, Result } from "../../schema/policy.ts";
import { sxid, xid } from "../catalog/catalog.ts";
import { type Activation, activate, evaluateIn } from "../cel/condition.ts";
import { builtinPolicy, classOf, compiledBuiltin } from "./builtin.ts";
import type { CompiledPolicy } from "./compile.ts";
import { eventOf } from "./event.ts";
import { atOf, countRepeats, isFollowed, prune, remember } from "./history.ts";

/** A condition that failed; the rule counts as not matched (`health-policy.md` §3). */
export type PolicyFault = { rule: string; message: string };

/** `judgements[i]` is about `findings[i]`; `history` replaces the stored one. */
export type JudgedReport = {
  judgements: Judgement[];
  history: PastFinding[];
  errors: PolicyFault[];
};

const WORSE: Record<Result, number> = { healthy: 0, degraded: 1, unhealthy: 2 };

/** Text of a sentence for people; the whole line is in the finding. */
const BECAUSE_CHARS = 240;

function because(finding: Finding): string {
  const on = typeof finding.gpu_index === "number" ? ` on GPU ${finding.gpu_index}` : "";
  const where = on || (finding.pci ? ` at ${finding.pci}` : "");
  const { code } = finding;
  if (finding.kind === "xid" && typeof code === "number") {
    const entry = xid(code);
    const known = entry !== null && entry.status !== "sheet_unused";
    const says = code === 154 || !known ? finding.message : entry.name;
    return `XID ${code}${where}: ${says}`.slice(0, BECAUSE_CHARS);
  }
  if (finding.kind === "sxid" && typeof code === "number") {
    return `SXid ${code}${where}: ${sxid(code)?.name ?? finding.message}`.slice(0, BECAUSE_CHARS);
  }
  return finding.message.slice(0, BECAUSE_CHARS);
}

function aside(finding: Finding, policy: CompiledPolicy, rule: string): Judgement {
  return {
    result: "healthy",
    rule,
    policyHash: policy.policy.hash,
    hold: "none",
    action: "none",
    definitive: false,
    rank: "none",
    because: because(finding),
  };
}

/** Why a finding is not judged at all, or `null`. */
function asideReason(finding: Finding, node: PolicyNode): string | null {
  if (finding.foreign === true) return "foreign";
  // Driver-level injection is a test on purpose; only a simulated node is such a test.
  return finding.injected === true && !node.fake ? "injected" : null;
}

/** First rule whose condition is true, or `null`. */
function firstMatch(
  policy: CompiledPolicy,
  activation: Activation,
  pool: string,
  errors: PolicyFault[] | null,
): PolicyRule | null {
  for (const { rule, condition } of policy.rules) {
    if (rule.pools !== null && !rule.pools.includes(pool)) continue;
    const answer = evaluateIn(condition, activation);
    if (answer.ok && answer.value) return rule;
    if (!answer.ok) errors?.push({ rule: rule.name, message: answer.message });
  }
  return null;
}

type Matched = { finding: Finding; rule: PolicyRule | null; builtin: PolicyRule | null };

function escalation(
  { finding, rule }: Matched,
  history: FindingHistory,
): { result: Result; times: number } | null {
  const repeat = rule?.repeat;
  if (!rule || !repeat || WORSE[repeat.result] <= WORSE[rule.result]) return null;
  const times = countRepeats(history, finding, rule.name, repeat);
  return times >= repeat.atLeast ? { result: repeat.result, times } : null;
}

/**
 * An escalated fault that would be gone with the next clean check could never be acted on: unless
 * the rule says otherwise it then lasts until the GPU was reset.
 */
function escalatedHold(hold: Hold, result: Result, isGiven: boolean): Hold {
  if (result !== "unhealthy" || isGiven) return hold;
  return hold === "none" || typeof hold === "object" ? "until_reset" : hold;
}

function conclude(matched: Matched, policy: CompiledPolicy, history: FindingHistory): Judgement {
  const { finding, rule, builtin } = matched;
  const isCustom = policy.policy.hash !== builtinPolicy.hash;
  const raised = escalation(matched, history);
  const result = raised?.result ?? rule?.result ?? "healthy";
  if (!rule || result === "healthy") {
    const quiet = aside(finding, policy, rule?.name ?? "default");
    return { ...quiet, action: rule?.action ?? "none", rank: rankOf(matched, isCustom) };
  }
  const hold = rule.hold ?? builtin?.hold ?? "none";
  const action = rule.action ?? builtin?.action ?? "none";
  const mild = action === "none" || action === "app" || action === "inspect";
  const isRaised = raised !== null && result === "unhealthy";
  const isProof = builtin !== null && classOf(builtin.name).definitive;
  return {
    result,
    rule: rule.name,
    policyHash: policy.policy.hash,
    hold: raised ? escalatedHold(hold, result, isCustom && rule.hold !== null) : hold,
    action: isRaised && mild && !(isCustom && rule.action) ? "reset" : action,
    definitive: result === "unhealthy" && !raised && isProof,
    rank: rankOf(matched, isCustom),
    because: raised ? `${because(finding)} (${raised.times} times)` : because(finding),
  };
}

function rankOf({ rule, builtin }: Matched, isCustom: boolean): string {
  if (isCustom) return rule ? "policy" : "none";
  return builtin ? classOf(builtin.name).rank : "none";
}

/**
 * Judges all findings of one report. `history` is what was stored after the last report; give the
 * returned one to the next. A condition that fails is an entry in `errors`, once per rule.
 */
export function judgeReport(
  findings: readonly Finding[],
  policy: CompiledPolicy,
  node: PolicyNode,
  history: FindingHistory,
): JudgedReport {
  const faults = new Map<string, PolicyFault>();
  const isCustom = policy.policy.hash !== builtinPolicy.hash;
  const judged = findings.filter((finding) => asideReason(finding, node) === null);
  const matches = new Map<Finding, Matched>();
  for (const finding of judged) {
    const event = eventOf(finding, isFollowed(finding, judged, history));
    const activation = activate(event, node);
    const errors: PolicyFault[] = [];
    const rule = firstMatch(policy, activation, node.pool, errors);
    for (const error of errors) if (!faults.has(error.rule)) faults.set(error.rule, error);
    const builtin = isCustom ? firstMatch(compiledBuiltin, activation, node.pool, null) : rule;
    matches.set(finding, { finding, rule, builtin });
  }
  // All of the report is remembered before anything is counted: then order inside it is nothing.
  let next: PastFinding[] = [...history];
  for (const { finding, rule } of matches.values()) {
    const counts = finding.kind === "xid" || rule?.repeat != null;
    if (counts) next = remember(next, finding, rule?.name ?? "default");
  }
  const judgements = findings.map((finding) => {
    const matched = matches.get(finding);
    if (matched) return conclude(matched, policy, next);
    return aside(finding, policy, asideReason(finding, node) ?? "default");
  });
  const rules = policy.policy.rules;
  const newest = judged.length === 0 ? null : Math.max(...judged.map(atOf));
  const kept = newest === null ? next : prune(next, newest, rules);
  return { judgements, history: kept, errors: [...faults.values()] };
}

/** Judges one finding by itself; `judgeReport` is preferred where several came together. */
export function judge(
  finding: Finding,
  policy: CompiledPolicy,
  node: PolicyNode,
  history: FindingHistory,
): Judgement {
  const [judgement] = judgeReport([finding], policy, node, history).judgements;
  return judgement ?? aside(finding, policy, "default");
}
