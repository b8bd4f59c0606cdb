/**
 * A policy with its conditions compiled, ready to be asked. Pure. A policy with one bad rule is
 * refused whole: running with the others would call sick hardware healthy.
 */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { type Condition, compileCondition } from "../cel/condition.ts";

export type CompiledRule = {
  readonly rule: PolicyRule;
  readonly condition: Condition;
  /** `ruleVersion` of the rule. */
  readonly version: string;
  /** `ruleKey` of the rule: what a quarantine names. */
  readonly key: string;
};

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

/** Hex digits of a rule's version: told apart are the few versions that one name ever has. */
const VERSION_CHARS = 12;

function sha256(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

/** What a rule decides by, wherever it stands and however it is described. */
function canonicalOf(rule: PolicyRule): unknown[] {
  return [
    rule.name,
    rule.condition,
    rule.result,
    typeof rule.hold === "object" && rule.hold !== null ? rule.hold.forMs : rule.hold,
    rule.action,
    rule.repeat === null
      ? null
      : [rule.repeat.atLeast, rule.repeat.withinMs, rule.repeat.by, rule.repeat.result],
    rule.pools,
  ];
}

/**
 * SHA-256 over what decides: name, condition, result, hold, action, repeat, pools and shadow of
 * each rule in order, as lower-case hex (`Policy.hash`). Descriptions and line numbers do not
 * count.
 */
export function hashRules(rules: readonly PolicyRule[]): string {
  const rows = rules.map((rule) => {
    const row = canonicalOf(rule);
    // Only then, so that the policies of before keep their hash.
    return rule.shadow === true ? [...row, "shadow"] : row;
  });
  return sha256(JSON.stringify(rows));
}

/**
 * The version of one rule: its content, wherever it stands and whether it is a shadow or not. A
 * rule that was fixed has another version, so a quarantine of the bad one does not hit it.
 */
export function ruleVersion(rule: PolicyRule): string {
  return sha256(JSON.stringify(canonicalOf(rule))).slice(0, VERSION_CHARS);
}

/** `<rule name>@<version>`: how a quarantine names one version of a rule. */
export function ruleKey(rule: string, version: string): string {
  return `${rule}@${version}`;
}

/** Rule versions that decide nothing for now, as `ruleKey`s. */
export type Quarantine = ReadonlySet<string>;

export const NO_QUARANTINE: Quarantine = new Set();

/** Whether a rule is asked without deciding, by its own word or by quarantine. */
export function isShadow({ rule, key }: CompiledRule, quarantined: Quarantine): boolean {
  return rule.shadow === true || quarantined.has(key);
}

/** The same for equal policies under equal quarantines, and short. */
export function basisOf({ policy, rules }: CompiledPolicy, quarantined: Quarantine): string {
  if (quarantined.size === 0) return policy.hash;
  const keys = rules.flatMap(({ key }) => (quarantined.has(key) ? [key] : []));
  if (keys.length === 0) return policy.hash;
  return `${policy.hash}+${sha256(keys.sort().join("\n")).slice(0, VERSION_CHARS)}`;
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
  const version = ruleVersion(rule);
  return { rule, condition: made.condition, version, key: ruleKey(rule.name, version) };
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
    } else if (condition.alwaysTrue && rule.pools === null && rule.shadow !== true) {
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
