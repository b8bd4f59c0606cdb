/**
 * Judges held evidence again after a change of the rules: another policy, or a rule suspended or
 * resumed. Pure. `held` is the evidence of the rules that decide; `aside` is evidence of shadow
 * rules and of an older policy. The same signs of recovery release both (`hold.ts`), so evidence
 * that moves from `aside` to `held` is still current.
 */
import { LIMIT } from "../../schema/limit.ts";
import type { HeldFinding } from "../../schema/held.ts";
import type { Health } from "../../schema/node.ts";
import type { Judgement, PolicyNode, Verdict } from "../../schema/policy.ts";
import { basisOf, type CompiledPolicy, type CompiledRule, type Quarantine } from "./compile.ts";
import { byWeight, isWorse, releaseHeld, verdictOf } from "./hold.ts";
import { isFollowed } from "./history.ts";
import { conclude, shadowsOf } from "./judge.ts";
import { matchRules } from "./match.ts";

export type Rules = { policy: CompiledPolicy; quarantined: Quarantine; node: PolicyNode };

/**
 * The health of a node under `rules`; the same object if nothing changed. `nowMs` is the control
 * plane's wall clock.
 *
 * A node that is no longer unhealthy loses its `unhealthyRun`, which the withdrawn rule caused,
 * unless heartbeats are missing. One that becomes unhealthy counts from the next evaluation on.
 */
export function rejudge(health: Health, rules: Rules, nowMs: number): Health {
  const before = health.aside ?? [];
  if (health.held.length === 0 && before.length === 0) return health;
  const basis = basisOf(rules.policy, rules.quarantined);
  if (health.basis === basis) return health;
  const entries = [...health.held, ...before];
  const counts = new Map<string, HeldFinding>();
  const others = new Map<string, HeldFinding>();
  for (const entry of entries) {
    const { judgement, shadow } = judgeAgain(entry, health, rules);
    if (judgement.result !== "healthy") put(counts, { ...entry, judgement });
    if (shadow !== null) put(others, { ...entry, judgement: shadow });
    else if (judgement.result === "healthy") put(others, entry);
  }
  const passed = { bootId: null, check: null, nowMs, resetSeen: false };
  const held = releaseHeld(heaviest(counts), passed);
  const aside = releaseHeld(heaviest(others), passed);
  return settle({ ...health, held, aside, basis });
}

function settle(health: Health): Health {
  const isKnown = health.held.length > 0 || health.lastCheckAt !== null;
  const verdict: Verdict = isKnown ? verdictOf(health.held) : "unknown";
  const keeps = verdict === "unhealthy" || health.silentSince !== null;
  return { ...health, verdict, unhealthyRun: keeps ? health.unhealthyRun : 0 };
}

function judgeAgain(
  entry: HeldFinding,
  health: Health,
  rules: Rules,
): { judgement: Judgement; shadow: Judgement | null } {
  const { policy } = rules;
  const { finding } = entry;
  const around = [...health.held, ...(health.aside ?? [])].map((h) => h.finding);
  const matched = matchRules(finding, isFollowed(finding, around, health.history), rules);
  const own = (rule: CompiledRule | null | undefined, made: Judgement): Judgement =>
    isBy(entry.judgement, rule, policy) ? { ...entry.judgement, ...stamp(made) } : made;
  const judgement = own(matched.rule, conclude(matched, policy, health.history));
  const shadows = shadowsOf(matched, policy, health.history).map((made, at) =>
    own(matched.shadows[at], made),
  );
  const shadow = worstShadow(shadows);
  return { judgement, shadow };
}

/** The worst judgement of rules that do not decide, or `null`. */
export function worstShadow(shadows: readonly Judgement[]): Judgement | null {
  const bad = shadows.filter((one) => one.result !== "healthy");
  return bad.reduce<Judgement | null>(
    (worst, one) => (worst === null || isWorse(one, worst) ? one : worst),
    null,
  );
}

/** True if this rule made the judgement, which is then kept: what it counted may be deleted. */
function isBy(
  judgement: Judgement,
  rule: CompiledRule | null | undefined,
  policy: CompiledPolicy,
): boolean {
  if (!rule || judgement.rule !== rule.rule.name) return false;
  if (judgement.version == null) return judgement.policyHash === policy.policy.hash;
  return judgement.version === rule.version;
}

function stamp({ policyHash, version }: Judgement): Partial<Judgement> {
  return version === undefined ? { policyHash } : { policyHash, version };
}

/** The worse judgement of a key wins. */
function put(into: Map<string, HeldFinding>, entry: HeldFinding): void {
  const before = into.get(entry.key);
  if (before === undefined) {
    into.set(entry.key, entry);
    return;
  }
  const [speaks, other] = isWorse(entry.judgement, before.judgement)
    ? [entry, before]
    : [before, entry];
  into.set(entry.key, {
    ...speaks,
    firstAt: Math.min(speaks.firstAt, other.firstAt),
    lastAt: Math.max(speaks.lastAt, other.lastAt),
    count: Math.max(speaks.count, other.count),
    cleanSince: Math.min(speaks.cleanSince, other.cleanSince),
    resetSeen: speaks.resetSeen === true && other.resetSeen === true,
  });
}

/** The worst entries that fit a list, in a stable order. */
function heaviest(entries: ReadonlyMap<string, HeldFinding>): HeldFinding[] {
  const all = [...entries.values()].sort(byWeight).slice(-LIMIT.heldFindingsMax);
  return all.sort((a, b) => a.firstAt - b.firstAt || (a.key < b.key ? -1 : 1));
}
