/**
 * Which rule of a policy decides about a finding, and which shadow rules precede it. Pure. Order
 * matters: the first rule whose condition is true decides; shadow and suspended rules are evaluated
 * in their place but do not decide.
 */
import type { Finding } from "../../schema/finding.ts";
import type { PolicyNode } from "../../schema/policy.ts";
import { type Activation, activate, evaluateIn } from "../cel/condition.ts";
import { builtinPolicy, compiledBuiltin } from "./builtin.ts";
import {
  type CompiledPolicy,
  type CompiledRule,
  isShadow,
  NO_QUARANTINE,
  type Quarantine,
} from "./compile.ts";
import { eventOf } from "./event.ts";
import { isEvidentFinding } from "./evident.ts";

/** A condition that failed; the rule counts as not matched. */
export type PolicyFault = { rule: string; message: string };

/** First deciding rule whose condition is true, or `null`, and the shadows before it. */
function firstMatch(
  policy: CompiledPolicy,
  activation: Activation,
  pool: string,
  asked: { quarantined: Quarantine; errors: PolicyFault[] | null },
): { rule: CompiledRule | null; shadows: CompiledRule[] } {
  const shadows: CompiledRule[] = [];
  for (const compiled of policy.rules) {
    const { rule, condition } = compiled;
    if (rule.pools !== null && !rule.pools.includes(pool)) continue;
    const answer = evaluateIn(condition, activation);
    if (!answer.ok) asked.errors?.push({ rule: rule.name, message: answer.message });
    if (!answer.ok || !answer.value) continue;
    if (!isShadow(compiled, asked.quarantined)) return { rule: compiled, shadows };
    shadows.push(compiled);
  }
  return { rule: null, shadows };
}

/** A finding and the rules that match it; a shadow's judgement is made as if it were `rule`. */
export type Matched = {
  finding: Finding;
  rule: CompiledRule | null;
  builtin: CompiledRule | null;
  shadows: readonly CompiledRule[];
};

/** The rules that match one finding. `followed` is a fact about the findings around it. */
export function matchRules(
  finding: Finding,
  followed: boolean,
  context: { policy: CompiledPolicy; node: PolicyNode; quarantined: Quarantine },
  errors: PolicyFault[] | null = null,
): Matched {
  const { policy, node } = context;
  const quarantined = isEvidentFinding(finding) ? NO_QUARANTINE : context.quarantined;
  const activation = activate(eventOf(finding, followed), node);
  const found = firstMatch(policy, activation, node.pool, { quarantined, errors });
  if (policy.policy.hash === builtinPolicy.hash) {
    return { finding, ...found, builtin: found.rule };
  }
  const none = { quarantined: NO_QUARANTINE, errors: null };
  const builtin = firstMatch(compiledBuiltin, activation, node.pool, none).rule;
  return { finding, ...found, builtin };
}
