/** Stub: signatures only, the body follows. */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import type { Condition } from "../cel/condition.ts";

export type CompiledRule = { readonly rule: PolicyRule; readonly condition: Condition };
export type CompiledPolicy = { readonly policy: Policy; readonly rules: readonly CompiledRule[]; readonly builtin: boolean };
export type PolicyProblem = { severity: "error" | "warning"; rule: string | null; line: number | null; message: string };
export type CompilePolicyAnswer =
  | { ok: true; compiled: CompiledPolicy; warnings: PolicyProblem[] }
  | { ok: false; problems: PolicyProblem[] };
export function compilePolicy(policy: Policy): CompilePolicyAnswer {
  throw new Error(`not built yet: ${policy.name}`);
}
/** SHA-256 of the rules in canonical form, hex (`Policy.hash`). */
export function hashRules(rules: readonly PolicyRule[]): string {
  throw new Error(`not built yet: ${rules.length}`);
}
