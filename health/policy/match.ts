/** Finds the rule that decides about a finding, and the shadow rules before it. Pure. */
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

/** A condition that failed at run time; the rule counts as not matched. */
export type PolicyFault = { rule: string; message: string };

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

export type Matched = {
  finding: Finding;
  rule: CompiledRule | null;
  builtin: CompiledRule | null;
  shadows: readonly CompiledRule[];
};

/** `followed` is true if other findings explain this one. */
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
