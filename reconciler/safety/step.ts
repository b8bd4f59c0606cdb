/**
 * One look at the safety machinery, before each plan: what is new in the fleet, which breakers trip
 * or clear, which rules are put aside, whose freeze has run out. Pure; what it answers is written
 * in one transaction, and writes nothing while nothing changes.
 */
import type { CompiledPolicy } from "../../health/policy/compile.ts";
import type { Config } from "../../schema/config.ts";
import type { EventDraft } from "../../schema/event.ts";
import type { PoolState } from "../../schema/node.ts";
import { type Fact, factKey, factsOf } from "../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { type Step, stepBreakers } from "./breaker.ts";
import { surplusLemons } from "./lemon.ts";

/** A version that nobody has had for this long is forgotten. */
const SEEN_KEPT_MS = 30 * 86_400_000;

export function stepSafety(
  fleet: Fleet,
  config: Config,
  policy: CompiledPolicy,
  now: number,
): Step {
  const rules = new Set(policy.rules.map((rule) => rule.key));
  const seen = stepSeen(fleet, rules, now);
  const facts = new Map(fleet.facts);
  for (const fact of seen.put) facts.set(factKey(fact), fact);
  const step = stepBreakers({ ...fleet, facts }, config, now, rules);
  for (const fact of step.put) facts.set(factKey(fact), fact);
  const put = [...seen.put, ...step.put];
  const drop = [...seen.drop, ...step.drop, ...surplusLemons(facts)];
  const { events } = step;
  const told = { at: now, node: null, pool: null, session: null, actor: "navarch" } as const;
  for (const { cause, state, why } of factsOf(facts, "breaker")) {
    if (state !== "open" || cause?.attribute !== "rule") continue;
    const fact: Fact = { kind: "quarantine", rule: cause.value, at: now, why };
    if (facts.has(factKey(fact))) continue;
    facts.set(factKey(fact), fact);
    put.push(fact);
    const message = `rule ${cause.value} is put aside, its verdicts do not count: ${why}`;
    events.push({ ...told, kind: "safety.quarantine", message });
  }
  for (const fact of factsOf(facts, "quarantine")) {
    if (rules.has(fact.rule)) continue;
    drop.push(factKey(fact));
    const message = `rule ${fact.rule} is no longer in the policy: nothing is put aside for it`;
    events.push({ ...told, kind: "safety.quarantine", message });
  }
  const freeze = facts.get("freeze");
  if (freeze?.kind === "freeze" && freeze.until !== null && freeze.until <= now) {
    drop.push("freeze");
    const message = `the freeze by ${freeze.by} ran out: ${freeze.why}`;
    events.push({ ...told, kind: "safety.released", message });
  }
  const holds = stepHolds(fleet, now);
  const bills = stepBills(fleet, now);
  events.push(...holds.events, ...bills.events);
  return { put: [...put, ...bills.put], drop: [...drop, ...bills.drop], pools: holds.pools, events };
}

/** Holds that ran out: a person who forgot must not have stopped the pool for ever. */
function stepHolds(fleet: Fleet, now: number): { pools: PoolState[]; events: EventDraft[] } {
  const pools: PoolState[] = [];
  const events: EventDraft[] = [];
  for (const pool of fleet.pools.values()) {
    if (pool.hold === null || pool.hold.until > now) continue;
    pools.push({ ...pool, hold: null });
    const message = `the hold by ${pool.hold.by} ran out: ${pool.hold.why}`;
    const about = { at: now, node: null, pool: pool.name, session: null, actor: "navarch" };
    events.push({ ...about, kind: "safety.released", message });
  }
  return { pools, events };
}

/** safety.md §10: an end that is not confirmed for this long is a person's business. */
const BILLED_TOLD_MS = 30 * 60_000;

/** Instances still billed long after their end was asked for: told once each. */
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
    if (waitedMs < BILLED_TOLD_MS || fleet.facts.has(`billed:${key}`)) continue;
    put.push({ kind: "billed", instance: key, at: now });
    const minutes = Math.round(waitedMs / 60_000);
    const price = instance.pricePerHour === null ? "" : ` at $${instance.pricePerHour}/h`;
    const message = `instance ${key} is still billed${price}, ${minutes} min after its end was due`;
    const about = { at: now, node: id, pool, session: null, actor: "navarch" };
    events.push({ ...about, kind: "provider.error", message });
  }
  const known = factsOf(fleet.facts, "billed").filter((fact) => !billed.has(fact.instance));
  return { put, drop: known.map(factKey), events };
}

/**
 * What came into the fleet when. What is there at the first look was always there: a new install
 * suspects nothing, and neither does one whose database was lost.
 */
function stepSeen(
  fleet: Fleet,
  rules: ReadonlySet<string>,
  now: number,
): { put: Fact[]; drop: string[] } {
  const put: Fact[] = [];
  const agents = new Set<string>();
  const drivers = new Set<string>();
  for (const { agent } of fleet.nodes.values()) {
    if (agent === null) continue;
    agents.add(agent.version);
    const driver = agent.inventory.driver_version ?? null;
    if (driver !== null) drivers.add(driver);
  }
  const known = factsOf(fleet.facts, "seen");
  for (const [attribute, values] of [
    ["rule", rules],
    ["agent", agents],
    ["driver", drivers],
  ] as const) {
    const isFirst = !known.some((fact) => fact.attribute === attribute);
    for (const value of values) {
      if (fleet.facts.has(`seen:${attribute}:${value}`)) continue;
      put.push({ kind: "seen", attribute, value, at: isFirst ? 0 : now });
    }
  }
  const current = { rule: rules, agent: agents, driver: drivers };
  const drop = known
    .filter((one) => !current[one.attribute].has(one.value) && now - one.at > SEEN_KEPT_MS)
    // The first generation has no date; it goes when something newer has taken its place for long.
    .filter((one) => one.at > 0)
    .map(factKey);
  return { put, drop };
}

/** Rule versions whose verdicts do not count now. */
export function quarantineOf(facts: ReadonlyMap<string, Fact>): ReadonlySet<string> {
  return new Set(factsOf(facts, "quarantine").map((fact) => fact.rule));
}

/** Why nothing destructive may be done, by a person's word; `null` = not frozen. */
export function frozenBy(facts: ReadonlyMap<string, Fact>, now: number): string | null {
  const freeze = facts.get("freeze");
  if (freeze?.kind !== "freeze" || (freeze.until !== null && freeze.until <= now)) return null;
  return `${freeze.why} (${freeze.by})`;
}
