/**
 * Evaluates the safety machinery before each plan: values that are new in the fleet, breakers,
 * suspended rules, expired holds and freezes, unconfirmed terminations. Pure.
 */
import type { CompiledPolicy } from "../../../health/policy/compile.ts";
import type { Config } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { PoolState } from "../../../schema/node.ts";
import { type Fact, factKey, FactMap, factsOf } from "../../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { type Step, stepBreakers } from "./breaker.ts";
import { surplusQuarantined } from "./quarantined-hardware.ts";
import { poolEvent } from "../event-draft.ts";
import { saySafety } from "../say/safety.ts";

/** Versions kept of each kind, so that one that returns after a rollback is not new. */
const SEEN_MAX = 500;
/** In a fleet younger than this no version is new. */
const YOUNG_MS = 60 * 60_000;

export function stepSafety(
  fleet: Fleet,
  config: Config,
  policy: CompiledPolicy,
  now: number,
): Step {
  const rules = countingIn(policy);
  const seen = stepSeen(fleet, rules, now);
  let facts = withFacts(fleet.facts, seen.put);
  const step = stepBreakers({ ...fleet, facts }, config, now, rules);
  facts = withFacts(facts, step.put);
  const put = [...seen.put, ...step.put];
  const drop = [...seen.drop, ...step.drop, ...surplusQuarantined(facts)];
  const { events } = step;
  for (const { cause, state, why } of factsOf(facts, "breaker")) {
    if (state !== "open" || cause?.attribute !== "rule") continue;
    const fact: Fact = { kind: "quarantine", rule: cause.value, at: now, why };
    if (facts.has(factKey(fact)) || facts.has(`trusted:${fact.rule}`)) continue;
    facts = withFacts(facts, [fact]);
    put.push(fact);
    const message = saySafety({ code: "rule_suspended", rule: cause.value, why });
    events.push(poolEvent(null, now, "safety.quarantine", message));
  }
  for (const fact of factsOf(facts, "quarantine")) {
    const trusted = facts.has(`trusted:${fact.rule}`) || !config.safety.breaker.enabled;
    if (rules.has(fact.rule) && !trusted) continue;
    drop.push(factKey(fact));
    const { rule } = fact;
    const message = saySafety({ code: "rule_back", rule, isKnown: rules.has(rule) });
    events.push(poolEvent(null, now, "safety.quarantine", message));
  }
  const freeze = facts.get("freeze");
  if (freeze?.kind === "freeze" && freeze.until !== null && freeze.until <= now) {
    drop.push("freeze");
    const message = saySafety({ code: "freeze_over", by: freeze.by, why: freeze.why });
    events.push(poolEvent(null, now, "safety.released", message));
  }
  const holds = stepHolds(fleet, now);
  const bills = stepBills(fleet, now);
  const agents = stepAgents(fleet, facts, now);
  put.push(...agents.put);
  drop.push(...agents.drop);
  events.push(...holds.events, ...bills.events);
  return {
    put: [...put, ...bills.put],
    drop: [...drop, ...bills.drop],
    pools: holds.pools,
    events,
  };
}

/** Of each policy, which is compiled once. */
const COUNTING = new WeakMap<CompiledPolicy, ReadonlySet<string>>();

/** Versions of the rules that decide; a shadow rule decides nothing, so it counts as removed. */
function countingIn(policy: CompiledPolicy): ReadonlySet<string> {
  const known = COUNTING.get(policy);
  if (known !== undefined) return known;
  const counting = policy.rules.filter(({ rule }) => rule.shadow !== true);
  const rules = new Set(counting.map((rule) => rule.key));
  COUNTING.set(policy, rules);
  return rules;
}

/** The same map if there is nothing to add. */
function withFacts(
  facts: ReadonlyMap<string, Fact>,
  more: readonly Fact[],
): ReadonlyMap<string, Fact> {
  if (more.length === 0) return facts;
  const all = new FactMap(facts);
  for (const fact of more) all.set(factKey(fact), fact);
  return all;
}

/** Ends expired holds. */
function stepHolds(fleet: Fleet, now: number): { pools: PoolState[]; events: EventDraft[] } {
  const pools: PoolState[] = [];
  const events: EventDraft[] = [];
  for (const pool of fleet.pools.values()) {
    if (pool.hold === null || pool.hold.until > now) continue;
    pools.push({ ...pool, hold: null });
    const { by, why } = pool.hold;
    const message = saySafety({ code: "hold_over", by, why });
    events.push(poolEvent(pool.name, now, "safety.released", message));
  }
  return { pools, events };
}

/** A termination that is unconfirmed for this long raises an alarm. */
const BILLED_ALARM_MS = 30 * 60_000;

/** Reports once each instance that is billed long after its termination was requested. */
function stepBills(
  fleet: Fleet,
  now: number,
): { put: Fact[]; drop: string[]; events: EventDraft[] } {
  const put: Fact[] = [];
  const events: EventDraft[] = [];
  const billed = new Set<string>();
  for (const { id, pool, phase, instance } of fleet.nodes.values()) {
    if (phase.kind !== "terminating" || instance === null) continue;
    const key = `${instance.provider}/${instance.id}`;
    billed.add(key);
    const waitedMs = now - phase.since;
    if (waitedMs < BILLED_ALARM_MS || fleet.facts.has(`billed:${key}`)) continue;
    put.push({ kind: "billed", instance: key, at: now });
    const minutes = Math.round(waitedMs / 60_000);
    const { pricePerHour: perHour } = instance;
    const message = saySafety({ code: "still_billed", instance: key, perHour, minutes });
    const about = { at: now, node: id, pool, session: null, actor: "navarch" };
    events.push({ ...about, kind: "provider.error", message });
  }
  const known = factsOf(fleet.facts, "billed").filter((fact) => !billed.has(fact.instance));
  return { put, drop: known.map(factKey), events };
}

/**
 * Records when each version appeared. Versions at the first evaluation count as always known, so
 * that a new install, or one whose database was lost, suspects nothing.
 */
function stepSeen(
  fleet: Fleet,
  rules: ReadonlySet<string>,
  now: number,
): { put: Fact[]; drop: string[] } {
  const agents = new Set<string>();
  const drivers = new Set<string>();
  for (const { agent } of fleet.nodes.values()) {
    if (agent === null) continue;
    agents.add(agent.version);
    const driver = agent.inventory.driver_version ?? null;
    if (driver !== null) drivers.add(driver);
  }
  const groups = [
    ["rule", rules],
    ["agent", agents],
    ["driver", drivers],
  ] as const;
  const missing = groups.flatMap(([attribute, values]) =>
    values
      .values()
      .filter((value) => !fleet.facts.has(`seen:${attribute}:${value}`))
      .map((value) => ({ attribute, value }))
      .toArray(),
  );
  if (missing.length === 0 && fleet.facts.size <= SEEN_MAX) return { put: [], drop: [] };
  const known = Map.groupBy(factsOf(fleet.facts, "seen"), ({ attribute }) => attribute);
  const born = Math.min(...fleet.nodes.values().map((node) => node.createdAt));
  const isYoung = now - born < YOUNG_MS;
  const put = missing.map(({ attribute, value }): Fact => {
    const isFirst = !known.has(attribute) || (isYoung && attribute !== "rule");
    return { kind: "seen", attribute, value, at: isFirst ? 0 : now };
  });
  const drop = groups.flatMap(([attribute, values]) => {
    const seen = known.get(attribute) ?? [];
    const gone = seen.filter((fact) => !values.has(fact.value)).sort((a, b) => a.at - b.at);
    return gone.slice(0, Math.max(0, seen.length - SEEN_MAX)).map(factKey);
  });
  return { put, drop };
}

/** Suspended rule versions. */
export function quarantineOf(facts: ReadonlyMap<string, Fact>): ReadonlySet<string> {
  return new Set(factsOf(facts, "quarantine").map((fact) => fact.rule));
}

/** Agent versions whose findings are dropped once the node runs another version. */
export function discreditedIn(facts: ReadonlyMap<string, Fact>): ReadonlySet<string> {
  return new Set(factsOf(facts, "discredited").map((fact) => fact.agent));
}

/** Discredits an agent version that caused a burst, and forgets versions that are gone. */
function stepAgents(fleet: Fleet, facts: ReadonlyMap<string, Fact>, now: number): Step {
  const step: Step = { put: [], drop: [], pools: [], events: [] };
  for (const { cause, state, why } of factsOf(facts, "breaker")) {
    if (state !== "open" || cause?.attribute !== "agent") continue;
    if (facts.has(`discredited:${cause.value}`)) continue;
    step.put.push({ kind: "discredited", agent: cause.value, at: now, why });
  }
  for (const fact of factsOf(facts, "discredited")) {
    const left = fleet.nodes.values().some(({ agent, health, phase }) => {
      if (phase.kind === "gone") return false;
      return agent?.version === fact.agent || health.held.some((one) => one.agent === fact.agent);
    });
    if (!left) step.drop.push(factKey(fact));
  }
  return step;
}

/** Whether the freeze in force stops cordons too. */
export function freezesAll(facts: ReadonlyMap<string, Fact>, now: number): boolean {
  const freeze = facts.get("freeze");
  return freeze?.kind === "freeze" && freeze.all === true && frozenBy(facts, now) !== null;
}

/** A person's reason for the freeze; `null` = not frozen. */
export function frozenBy(facts: ReadonlyMap<string, Fact>, now: number): string | null {
  const freeze = facts.get("freeze");
  if (freeze?.kind !== "freeze" || (freeze.until !== null && freeze.until <= now)) return null;
  return `${freeze.why} (${freeze.by})`;
}
