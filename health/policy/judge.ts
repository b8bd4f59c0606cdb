/**
 * Says what findings mean for their node. Pure. The result comes from the first rule of the policy
 * whose condition is true; what that rule leaves open (hold, action, whether it proves broken
 * hardware) comes from the class of the finding, which is the built-in rule it falls under.
 *
 * The findings of one report are judged together and then do not depend on their order: evidence of
 * one fault arrives in any order (docs/reference/kernel-log.md#order).
 *
 * Shadow and suspended rules are evaluated but do not decide: the judgement is that of a policy
 * without them, and their results are returned separately.
 */
import type { Finding } from "../../schema/finding.ts";
import type { FindingHistory, PastFinding } from "../../schema/held.ts";
import type { Hold, Judgement, PolicyNode, PolicyRule, Result } from "../../schema/policy.ts";
import { sxid, xid } from "../catalog/catalog.ts";
import { builtinPolicy, classOf } from "./builtin.ts";
import { type CompiledPolicy, isShadow, NO_QUARANTINE, type Quarantine } from "./compile.ts";
import {
  atOf,
  countRepeats,
  isFollowed,
  prune,
  remember,
  type Remembered,
} from "./history.ts";
import { type Matched, matchRules, type PolicyFault } from "./match.ts";

/** What a rule that does not decide would have returned for `findings[index]`. */
export type ShadowJudgement = { index: number; judgement: Judgement };

/** `judgements[i]` is about `findings[i]`; `history` replaces the stored one. */
export type JudgedReport = {
  judgements: Judgement[];
  /** In the order of the findings, then of the rules. */
  shadows: ShadowJudgement[];
  history: PastFinding[];
  errors: PolicyFault[];
};

const WORSE: Record<Result, number> = { healthy: 0, degraded: 1, unhealthy: 2 };

/** Length of a sentence for people; the finding has the whole line. */
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
  // An injected error is a deliberate test; only a simulated node is such a test.
  return finding.injected === true && !node.fake ? "injected" : null;
}

function escalation(
  { finding, rule: compiled }: Matched,
  history: FindingHistory,
): { result: Result; times: number } | null {
  const rule = compiled?.rule;
  const repeat = rule?.repeat;
  if (!rule || !repeat || WORSE[repeat.result] <= WORSE[rule.result]) return null;
  const times = countRepeats(history, finding, rule.name, repeat);
  return times >= repeat.atLeast ? { result: repeat.result, times } : null;
}

/**
 * An escalated fault that the next clean check ends could never be acted on; unless the rule says
 * otherwise it lasts until a reset.
 */
function escalatedHold(hold: Hold, result: Result, isGiven: boolean): Hold {
  if (result !== "unhealthy" || isGiven) return hold;
  return hold === "none" || typeof hold === "object" ? "until_reset" : hold;
}

/** The judgement of the rule that decides. */
export function conclude(
  matched: Matched,
  policy: CompiledPolicy,
  history: FindingHistory,
): Judgement {
  const { finding } = matched;
  const rule = matched.rule?.rule ?? null;
  const builtin = matched.builtin?.rule ?? null;
  const version = matched.rule?.version ?? null;
  const isCustom = policy.policy.hash !== builtinPolicy.hash;
  const raised = escalation(matched, history);
  const result = raised?.result ?? rule?.result ?? "healthy";
  if (!rule || result === "healthy") {
    const quiet = aside(finding, policy, rule?.name ?? "default");
    return { ...quiet, version, action: rule?.action ?? "none", rank: rankOf(matched, isCustom) };
  }
  const hold = rule.hold ?? builtin?.hold ?? "none";
  const action = rule.action ?? builtin?.action ?? "none";
  const mild = action === "none" || action === "app" || action === "inspect";
  const isRaised = raised !== null && result === "unhealthy";
  const isProof = builtin !== null && classOf(builtin.name).definitive;
  return {
    result,
    rule: rule.name,
    version,
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
  return builtin ? classOf(builtin.rule.name).rank : "none";
}

/**
 * What each shadow rule would have returned. The built-in policy uses its own rule's class; others
 * use the finding's.
 */
export function shadowsOf(
  matched: Matched,
  policy: CompiledPolicy,
  history: FindingHistory,
): Judgement[] {
  const isBuiltin = policy.policy.hash === builtinPolicy.hash;
  return matched.shadows.map((rule) => {
    const builtin = isBuiltin ? rule : matched.builtin;
    return conclude({ ...matched, rule, builtin }, policy, history);
  });
}

/**
 * Judges all findings of one report. `history` is what was stored after the last report; give the
 * returned one to the next. A condition that fails is an entry in `errors`, once per rule.
 * `quarantined` rules are asked as shadows are.
 */
export function judgeReport(
  findings: readonly Finding[],
  policy: CompiledPolicy,
  node: PolicyNode,
  history: FindingHistory,
  quarantined: Quarantine = NO_QUARANTINE,
): JudgedReport {
  const faults = new Map<string, PolicyFault>();
  const context = { policy, node, quarantined };
  const judged = findings.filter((finding) => asideReason(finding, node) === null);
  const matches = new Map<Finding, Matched>();
  for (const finding of judged) {
    const errors: PolicyFault[] = [];
    const followed = isFollowed(finding, judged, history);
    matches.set(finding, matchRules(finding, followed, context, errors));
    for (const error of errors) if (!faults.has(error.rule)) faults.set(error.rule, error);
  }
  // The whole report is recorded before anything is counted, so its order does not matter.
  const seen: Remembered[] = [];
  for (const { finding, rule, shadows } of matches.values()) {
    const counts = finding.kind === "xid" || rule?.rule.repeat != null;
    if (counts) seen.push({ finding, rule: rule?.rule.name ?? "default" });
    for (const { rule: shadow } of shadows) {
      if (shadow.repeat !== null) seen.push({ finding, rule: shadow.name, isShadow: true });
    }
  }
  const next = remember(history, seen);
  const shadows: ShadowJudgement[] = [];
  const judgements = findings.map((finding, index) => {
    const matched = matches.get(finding);
    if (!matched) return aside(finding, policy, asideReason(finding, node) ?? "default");
    for (const judgement of shadowsOf(matched, policy, next)) shadows.push({ index, judgement });
    return conclude(matched, policy, next);
  });
  const newest = judged.length === 0 ? null : Math.max(...judged.map(atOf));
  const kept = newest === null ? [...next] : prune(next, newest, splitRules(policy, quarantined));
  return { judgements, shadows, history: kept, errors: [...faults.values()] };
}

function splitRules(policy: CompiledPolicy, quarantined: Quarantine) {
  const of = (shadow: boolean): PolicyRule[] =>
    policy.rules.flatMap((one) => (isShadow(one, quarantined) === shadow ? [one.rule] : []));
  return { deciding: of(false), shadow: of(true) };
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
