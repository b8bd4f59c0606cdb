/**
 * The built-in policy, as ordinary rules. An application fault never makes a node unhealthy. Other
 * policies inherit hold, action and class from these rules where they set none.
 */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { CODE_RULES } from "./builtin-code.ts";
import { MEASURED_RULES } from "./builtin-measured.ts";
import type { BuiltinRule } from "./class.ts";
import { compileRead, hashRules } from "./compile.ts";

const RULES: readonly BuiltinRule[] = [...CODE_RULES, ...MEASURED_RULES];

const POLICY_RULES: PolicyRule[] = RULES.map(({ rank, definitive, ...rule }, at) => {
  return { ...rule, pools: null, line: at + 1 };
});

export const builtinPolicy: Policy = {
  version: "v1",
  name: "builtin",
  description: "Classes of the vendor's catalogue; application faults never condemn a node.",
  rules: POLICY_RULES,
  hash: hashRules(POLICY_RULES),
};

const CLASSES = new Map(RULES.map((rule) => [rule.name, rule]));

/** The evidence behind a built-in rule, and whether it proves broken hardware. */
export function classOf(rule: string): Pick<BuiltinRule, "rank" | "definitive"> {
  return CLASSES.get(rule) ?? { rank: "unknown", definitive: false };
}

/** Compiling takes about a millisecond, once. */
export const compiledBuiltin = compileRead(builtinPolicy);
