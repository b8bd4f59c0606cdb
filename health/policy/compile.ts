/**
 * Compiles the conditions of a policy. Pure. A policy with one bad rule is refused as a whole: the
 * other rules alone would report broken hardware as healthy.
 */
import type { Policy, PolicyRule } from "../../schema/policy.ts";
import { type Condition, compileCondition } from "../cel/condition.ts";
import { REPEATS_MAX } from "./history.ts";

export type CompiledRule = {
  readonly rule: PolicyRule;
  readonly condition: Condition;
  /** `ruleVersion` of the rule. */
  readonly version: string;
  /** `ruleKey` of the rule. */
  readonly key: string;
};

export type CompiledPolicy = {
  readonly policy: Policy;
  readonly rules: readonly CompiledRule[];
};

/** `line` is the line in the policy's file, from 1. */
type PolicyProblem = { rule: string; line: number; message: string };

type CompilePolicyAnswer =
  | { ok: true; compiled: CompiledPolicy }
  | { ok: false; problems: PolicyProblem[] };

/** Hex digits of a rule's version; they distinguish the few versions of one name. */
const VERSION_CHARS = 12;

function sha256(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

/** The fields that decide, without description and line. */
function canonicalOf({ name, condition, result, hold, action, repeat, pools }: PolicyRule) {
  const holdFor = typeof hold === "object" && hold !== null ? hold.forMs : hold;
  const repeated = repeat && [repeat.atLeast, repeat.withinMs, repeat.by, repeat.result];
  return [name, condition, result, holdFor, action, repeated, pools];
}

/** `Policy.hash`: SHA-256 of the rules' deciding fields in order, lower-case hex. */
export function hashRules(rules: readonly PolicyRule[]): string {
  const rows = rules.map((rule) => {
    const row = canonicalOf(rule);
    // Absent otherwise, so that older policies keep their hash.
    return rule.shadow === true ? [...row, "shadow"] : row;
  });
  return sha256(JSON.stringify(rows));
}

/**
 * The version of one rule: a digest of its content, independent of its place and of `shadow`. A
 * fixed rule has another version, so a quarantine of the bad one does not apply to it.
 */
export function ruleVersion(rule: PolicyRule): string {
  return sha256(JSON.stringify(canonicalOf(rule))).slice(0, VERSION_CHARS);
}

/** `<rule name>@<version>`. */
export function ruleKey(rule: string, version: string): string {
  return `${rule}@${version}`;
}

/** Suspended rule versions, as `ruleKey`s. */
export type Quarantine = ReadonlySet<string>;

export const NO_QUARANTINE: Quarantine = new Set();

/** Whether a rule is evaluated without deciding: its own `shadow`, or suspended. */
export function isShadow({ rule, key }: CompiledRule, quarantined: Quarantine): boolean {
  return rule.shadow === true || quarantined.has(key);
}

/** A short key that is equal for equal policies with equal suspended rules. */
export function basisOf({ policy, rules }: CompiledPolicy, quarantined: Quarantine): string {
  if (quarantined.size === 0) return policy.hash;
  const keys = rules.flatMap(({ key }) => (quarantined.has(key) ? [key] : []));
  if (keys.length === 0) return policy.hash;
  return `${policy.hash}+${sha256(keys.sort().join("\n")).slice(0, VERSION_CHARS)}`;
}

function compileRule(rule: PolicyRule, problems: PolicyProblem[]): CompiledRule | null {
  const refuse = (message: string) => problems.push({ rule: rule.name, line: rule.line, message });
  if (rule.repeat && rule.repeat.atLeast > REPEATS_MAX) {
    refuse(`at_least is ${rule.repeat.atLeast}, at most ${REPEATS_MAX} can be counted`);
  }
  const made = compileCondition(rule.condition);
  if (!made.ok) {
    const place = made.at ? ` (line ${made.at.line}, column ${made.at.col} of the condition)` : "";
    refuse(`${made.message}${place}`);
    return null;
  }
  const version = ruleVersion(rule);
  return { rule, condition: made.condition, version, key: ruleKey(rule.name, version) };
}

/**
 * Compiles a policy that no reader has checked, such as another control plane's, and reports every
 * problem. `reconciler/config/policy.ts` refuses the same and adds warnings.
 */
export function compilePolicy(policy: Policy): CompilePolicyAnswer {
  const problems: PolicyProblem[] = [];
  const rules = policy.rules.flatMap((rule) => compileRule(rule, problems) ?? []);
  const names = new Set<string>();
  for (const { name, line } of policy.rules) {
    if (names.has(name)) problems.push({ rule: name, line, message: "name is used twice" });
    names.add(name);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, compiled: { policy, rules } };
}

/** Compiles a policy that its reader has accepted, or the built-in one. Throws on a problem. */
export function compileRead(policy: Policy): CompiledPolicy {
  const answer = compilePolicy(policy);
  if (answer.ok) return answer.compiled;
  throw new Error(answer.problems.map((p) => `${p.rule}: ${p.message}`).join("; "));
}
