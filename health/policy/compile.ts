/**
 * A policy with its conditions compiled, ready to be asked. Pure. A policy with one bad rule is
 * refused whole: running with the others would call sick hardware healthy (B40).
 */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { type Condition, compileCondition } from "../cel/condition.ts";

export type CompiledRule = { readonly rule: PolicyRule; readonly condition: Condition };

export type CompiledPolicy = {
  readonly policy: Policy;
  readonly rules: readonly CompiledRule[];
};

/** `line` is the one in the policy's file, counted from 1. */
export type PolicyProblem = {
  severity: "error" | "warning";
  rule: string | null;
  line: number | null;
  message: string;
};

export type CompilePolicyAnswer =
  | { ok: true; compiled: CompiledPolicy; warnings: PolicyProblem[] }
  | { ok: false; problems: PolicyProblem[] };

/**
 * Stretches remembered for one rule on one GPU. A rule that waits for more would never speak, so
 * such a rule is refused instead.
 */
export const REPEATS_MAX = 64;

/**
 * SHA-256 over what decides: name, condition, result, hold, action, repeat and pools of each rule
 * in order, as lower-case hex (`Policy.hash`). Descriptions and line numbers do not count.
 */
export function hashRules(rules: readonly PolicyRule[]): string {
  const canonical = rules.map((rule) => [
    rule.name,
    rule.condition,
    rule.result,
    typeof rule.hold === "object" && rule.hold !== null ? rule.hold.forMs : rule.hold,
    rule.action,
    rule.repeat === null
      ? null
      : [rule.repeat.atLeast, rule.repeat.withinMs, rule.repeat.by, rule.repeat.result],
    rule.pools,
  ]);
  return new Bun.CryptoHasher("sha256").update(JSON.stringify(canonical)).digest("hex");
}

function problemOf(rule: PolicyRule, message: string, isError: boolean): PolicyProblem {
  const severity = isError ? "error" : "warning";
  return { severity, rule: rule.name, line: rule.line, message };
}

function compileRule(rule: PolicyRule, problems: PolicyProblem[]): CompiledRule | null {
  if (rule.repeat && rule.repeat.atLeast > REPEATS_MAX) {
    const message = `at_least is ${rule.repeat.atLeast}, at most ${REPEATS_MAX} can be counted`;
    problems.push(problemOf(rule, message, true));
  }
  const made = compileCondition(rule.condition);
  if (!made.ok) {
    const place = made.at ? ` (line ${made.at.line}, column ${made.at.col} of the condition)` : "";
    problems.push(problemOf(rule, `${made.message}${place}`, true));
    return null;
  }
  for (const metric of made.condition.unguarded) {
    const message = `compares ${metric} without has(), so it fails on events that lack it`;
    problems.push(problemOf(rule, message, false));
  }
  return { rule, condition: made.condition };
}

/** A name is what a verdict points back to, so it may stand for one rule only. */
function refuseTwins(rules: readonly PolicyRule[], problems: PolicyProblem[]): void {
  const names = new Set<string>();
  for (const rule of rules) {
    if (names.has(rule.name)) problems.push(problemOf(rule, "name is used twice", true));
    names.add(rule.name);
  }
}

function lint(rules: readonly CompiledRule[], problems: PolicyProblem[]): void {
  let catcher: string | null = null;
  for (const { rule, condition } of rules) {
    if (catcher !== null) {
      problems.push(problemOf(rule, `never reached: ${catcher} is always true`, false));
    } else if (condition.alwaysTrue && rule.pools === null) {
      catcher = rule.name;
    }
  }
  if (catcher === null) {
    const message = "no rule is always true, so what matches none is healthy";
    problems.push({ severity: "warning", rule: null, line: null, message });
  }
}

/** Compiles every rule and reports every problem, not only the first. */
export function compilePolicy(policy: Policy): CompilePolicyAnswer {
  const problems: PolicyProblem[] = [];
  const rules = policy.rules.flatMap((rule) => compileRule(rule, problems) ?? []);
  refuseTwins(policy.rules, problems);
  lint(rules, problems);
  if (problems.some((p) => p.severity === "error")) return { ok: false, problems };
  return { ok: true, compiled: { policy, rules }, warnings: problems };
}
