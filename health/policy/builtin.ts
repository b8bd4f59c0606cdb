/**
 * The policy that holds when nobody wrote another one, as ordinary rules. A fault of an application
 * never condemns a node. Other policies borrow hold, action and class from these rules where they
 * say nothing themselves.
 */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { CODE_RULES } from "./builtin-code.ts";
import { MEASURED_RULES } from "./builtin-measured.ts";
import type { BuiltinRule, Rank } from "./class.ts";
import { type CompiledPolicy, compilePolicy, hashRules } from "./compile.ts";

const RULES: readonly BuiltinRule[] = [...CODE_RULES, ...MEASURED_RULES];

const POLICY_RULES: PolicyRule[] = RULES.map((rule, at) => ({
  name: rule.name,
  description: rule.description,
  condition: rule.condition,
  result: rule.result,
  hold: rule.hold,
  action: rule.action,
  repeat: rule.repeat,
  pools: null,
  line: at + 1,
}));

export const builtinPolicy: Policy = {
  version: "v1",
  name: "builtin",
  description: "Classes of the vendor's catalogue; application faults never condemn a node.",
  rules: POLICY_RULES,
  hash: hashRules(POLICY_RULES),
};

/** Which fact a built-in rule stands on, and whether it proves broken hardware. */
export type RuleClass = { rank: Rank; definitive: boolean };

const CLASSES = new Map<string, RuleClass>(
  RULES.map(({ name, rank, definitive }) => [name, { rank, definitive }]),
);

/** The class of a built-in rule by name. */
export function classOf(rule: string): RuleClass {
  return CLASSES.get(rule) ?? { rank: "unknown", definitive: false };
}

function compileBuiltin(): CompiledPolicy {
  const answer = compilePolicy(builtinPolicy);
  if (!answer.ok) throw new Error(answer.problems.map((p) => `${p.rule}: ${p.message}`).join("; "));
  return answer.compiled;
}

/** The same, compiled: about a millisecond, once. */
export const compiledBuiltin: CompiledPolicy = compileBuiltin();
