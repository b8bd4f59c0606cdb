/** How a judgement names the version of the rule that made it, as quarantines and causes do. */
import { ruleKey } from "../../../health/policy/compile.ts";
import type { Judgement } from "../../../schema/policy.ts";

/** Judgements of older releases have no version: then the policy's hash stands for it. */
export function ruleKeyOf(judgement: Judgement): string {
  return ruleKey(judgement.rule, judgement.version ?? judgement.policyHash);
}
