/**
 * Judges findings. Pure. The first matching rule of the policy gives the result; values that it
 * leaves open come from the built-in rule that matches the finding. The findings of a report are
 * judged together, because evidence of one fault arrives in any order
 * (docs/reference/kernel-log.md#order). Shadow and suspended rules do not decide; their results are
 * returned separately.
 */
import type { Finding } from "../../schema/finding.ts";
import type { FindingHistory, PastFinding } from "../../schema/held.ts";
import {
  type Hold,
  type Judgement,
  type PolicyNode,
  type PolicyRule,
  type Result,
  RESULTS,
} from "../../schema/policy.ts";
import { sxid, xid } from "../catalog/catalog.ts";
import { builtinPolicy, classOf } from "./builtin.ts";
import { type CompiledPolicy, isShadow, NO_QUARANTINE, type Quarantine } from "./compile.ts";
import { atOf, countRepeats, isFollowed, prune, remember, type Remembered } from "./history.ts";
import { type Matched, matchRules, type PolicyFault } from "./match.ts";

/** The result of a rule that does not decide, for `findings[index]`. */
export type ShadowJudgement = { index: number; judgement: Judgement };

/** `judgements[i]` is about `findings[i]`; `history` replaces the stored one. */
export type JudgedReport = {
  judgements: Judgement[];
  /** In the order of the findings, then of the rules. */
  shadows: ShadowJudgement[];
  history: PastFinding[];
  errors: PolicyFault[];
};

/** The finding has the whole line. */
const BECAUSE_CHARS = 240;

/** One sentence for people. */
export function sayFinding(finding: Finding): string {
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

function judgeHealthy(finding: Finding, policy: CompiledPolicy, rule: string): Judgement {
  return {
    result: "healthy",
    rule,
    policyHash: policy.policy.hash,
    hold: "none",
    action: "none",
    definitive: false,
    rank: "none",
    because: sayFinding(finding),
  };
}

/** Why a finding is not judged, or `null`. */
function whyUnjudged(finding: Finding, node: PolicyNode): string | null {
  if (finding.foreign === true) return "foreign";
  // An injected error is a test, which counts only on a simulated node.
  return finding.injected === true && !node.fake ? "injected" : null;
}

function escalation(
  { finding, rule: compiled }: Matched,
  history: FindingHistory,
): { result: Result; times: number } | null {
  const rule = compiled?.rule;
  const repeat = rule?.repeat;
  if (!rule || !repeat) return null;
  if (RESULTS.indexOf(repeat.result) <= RESULTS.indexOf(rule.result)) return null;
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
    const quiet = judgeHealthy(finding, policy, rule?.name ?? "default");
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
    because: raised ? `${sayFinding(finding)} (${raised.times} times)` : sayFinding(finding),
  };
}

function rankOf({ rule, builtin }: Matched, isCustom: boolean): string {
  if (isCustom) return rule ? "policy" : "none";
  return builtin ? classOf(builtin.rule.name).rank : "none";
}

/** The results of the shadow rules. A built-in rule uses its own class, others the finding's. */
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
 * Judges all findings of one report. `history` is the one returned for the last report. A condition
 * that fails at run time is in `errors`, once per rule. `quarantined` rules count as shadows.
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
  const judged = findings.filter((finding) => whyUnjudged(finding, node) === null);
  const matches = new Map<Finding, Matched>();
  for (const finding of judged) {
    const errors: PolicyFault[] = [];
    const followed = isFollowed(finding, judged, history);
    matches.set(finding, matchRules(finding, followed, context, errors));
    for (const error of errors) if (!faults.has(error.rule)) faults.set(error.rule, error);
  }
  // Recorded before counting, so that the order within the report does not matter.
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
    if (!matched) return judgeHealthy(finding, policy, whyUnjudged(finding, node) ?? "default");
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

/** Judges one finding alone. */
export function judge(
  finding: Finding,
  policy: CompiledPolicy,
  node: PolicyNode,
  history: FindingHistory,
): Judgement {
  const [judgement] = judgeReport([finding], policy, node, history).judgements;
  return judgement ?? judgeHealthy(finding, policy, "default");
}
