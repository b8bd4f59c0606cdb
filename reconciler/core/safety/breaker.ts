/**
 * The circuit breakers (docs/reference/safety.md#breaker) compare new repair sessions in each scope
 * with its failure rate. A burst slows the scope and never stops it; a common cause is handled
 * instead of its nodes; the breaker closes through growing batches. Pure. Nothing is counted in
 * memory, so a restart changes nothing.
 */
import type { Config } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import { type Cause, type Fact, type FactOf, factKey, factsOf } from "../../../schema/safety.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Fleet } from "../fleet.ts";
import { attribute, explains, type Sick } from "./cause.ts";
import { holdsPlace, LOST, QUARANTINED } from "./in-flight.ts";
import { tripCount } from "./poisson.ts";
import { rateOf } from "./rate.ts";
import { FLEET, predecessorOf, scopesOf, sizesOf } from "./scope.ts";
import { poolEvent } from "../event-draft.ts";
import { isHeldInSlurm } from "../slurm/hold.ts";
import { saySafety } from "../say/safety.ts";

type Breaker = FactOf<"breaker">;

const DAY_MS = 86_400_000;
/** Pause between two batches (docs/reference/safety.md#batches). */
const SETTLE_MS = 5 * 60_000;
/** Batches that must pass before the breaker closes, and the largest batch. */
const BATCHES = 2;
const BATCH_MAX = 64;
/** After this time a node does not recover and is replaced. */
const CAUSE_WAIT_MS = 60 * 60_000;
/** A domain has recovered when at most this share of its nodes is unhealthy. */
const PLACE_BACK_SHARE = 0.2;

export type Step = { put: Fact[]; drop: string[]; pools: PoolState[]; events: EventDraft[] };

type Scope = {
  name: string;
  size: number;
  nodes: Node[];
  /** When each session of its nodes opened, oldest first. */
  arrivals: number[];
};

export function stepBreakers(
  fleet: Fleet,
  config: Config,
  now: number,
  rules: ReadonlySet<string>,
): Step {
  const step: Step = { put: [], drop: [], pools: [], events: [] };
  const settings = config.safety.breaker;
  const known = new Map(factsOf(fleet.facts, "breaker").map((one) => [one.scope, one]));
  if (!settings.enabled) {
    for (const one of known.values()) step.drop.push(factKey(one));
    return step;
  }
  const scopes = gather(fleet, config, now - settings.longWindowMs, known);
  if (scopes.length === 0) return step;
  const wanted = sizesOf(fleet, config).get(FLEET)?.slots ?? 0;
  const [stored] = factsOf(fleet.facts, "rate");
  const perMs = rateOf(stored ?? null, settings, wanted, now) / 1_000 / DAY_MS;
  for (const scope of scopes) {
    // A scope that no longer exists needs no breaker.
    if (scope.size === 0) {
      if (known.has(scope.name)) step.drop.push(`breaker:${scope.name}`);
      continue;
    }
    const tripped = lastTrip(scope, settings, perMs);
    const before = known.get(scope.name) ?? null;
    const after = next(before, scope, { fleet, config, now, tripped, rules });
    if (after === before) continue;
    if (after === null) step.drop.push(`breaker:${scope.name}`);
    else step.put.push(after);
    if (after?.state !== before?.state) step.events.push(tell(scope.name, after, now));
  }
  return step;
}

/** Scopes with recent sessions or a breaker that is not closed. */
function gather(
  fleet: Fleet,
  config: Config,
  since: number,
  known: ReadonlyMap<string, Breaker>,
): Scope[] {
  const arrivals = new Map<string, number[]>();
  for (const node of fleet.nodes.values()) {
    for (const at of openedAt(node)) {
      if (at < since) continue;
      for (const scope of scopesOf(node)) {
        const list = arrivals.get(scope);
        if (list === undefined) arrivals.set(scope, [at]);
        else list.push(at);
      }
    }
  }
  for (const name of known.keys()) if (!arrivals.has(name)) arrivals.set(name, []);
  if (arrivals.size === 0) return [];
  const sizes = sizesOf(fleet, config);
  const members = new Map<string, Node[]>([...arrivals.keys()].map((name) => [name, []]));
  for (const node of fleet.nodes.values()) {
    const before = node.instance === null ? predecessorOf(fleet, node) : null;
    for (const scope of scopesOf(node, before)) members.get(scope)?.push(node);
  }
  return [...arrivals].map(([name, list]) => ({
    name,
    size: sizes.get(name)?.slots ?? 0,
    nodes: members.get(name) ?? [],
    arrivals: list.sort((a, b) => a - b),
  }));
}

function openedAt({ session, lastSession }: Node): number[] {
  const out: number[] = [];
  if (session !== null) out.push(session.openedAt);
  const last = lastSession ?? null;
  // Neither a suspended rule nor a machine removed by others is a failure.
  const isNone = last === null || last.how === QUARANTINED || last.how === LOST;
  if (!isNone) out.push(last.openedAt);
  return out;
}

/**
 * The end of the last implausible window, or `null`: a window that holds `k` arrivals, the fewest
 * that trip.
 */
function lastTrip(
  scope: Scope,
  settings: Config["safety"]["breaker"],
  perMs: number,
): number | null {
  let last: number | null = null;
  for (const windowMs of [settings.windowMs, settings.longWindowMs]) {
    const k = tripCount(perMs * scope.size * windowMs, settings.probability);
    for (let i = scope.arrivals.length - 1; i >= k - 1; i--) {
      const newest = scope.arrivals[i] ?? 0;
      const oldest = scope.arrivals[i - k + 1] ?? 0;
      if (newest - oldest > windowMs) continue;
      last = Math.max(last ?? 0, oldest + windowMs);
      break;
    }
  }
  return last;
}

type Around = {
  fleet: Fleet;
  config: Config;
  now: number;
  /** End of the last implausible window; it may lie ahead of `now`. */
  tripped: number | null;
  /** Keys of the rules of the active policy. */
  rules: ReadonlySet<string>;
};

function next(before: Breaker | null, scope: Scope, around: Around): Breaker | null {
  const { now } = around;
  const tripped = around.tripped !== null && around.tripped > now;
  if (before === null) return tripped ? trip(scope, around) : null;
  switch (before.state) {
    case "restrained":
      return tripped ? lookAgain(before, scope, around) : calm(before, around);
    case "open":
      if (isWithdrawn(before, scope, around)) {
        return tripped
          ? enter(before, "restrained", now, because(scope, null, around), null)
          : halfOpen(before, now);
      }
      // Sessions that the cause does not explain may have a cause of their own.
      return tripped ? lookAgain(before, scope, around) : before;
    case "half-open":
      // Only sessions opened after half-open make a bad batch.
      if (tripped && newestArrival(scope) > before.since) return trip(scope, around);
      return stepBatch(before, scope, around);
    default:
      return unreachable(before.state);
  }
}

/** Looks for a cause once for each new arrival, among sick nodes that no known cause explains. */
function lookAgain(before: Breaker, scope: Scope, around: Around): Breaker {
  const { length } = scope.arrivals;
  if (before.looked === length) return before;
  const cause = causeOf(scope, around, before.cause);
  if (cause === null) return { ...before, looked: length };
  const why = because(scope, cause, around);
  return { ...enter(before, "open", around.now, why, cause), looked: length };
}

/** Stays restrained until arrivals have been plausible for two windows. */
function calm(before: Breaker, { now, config, tripped }: Around): Breaker {
  const last = Math.max(before.trippedAt, tripped ?? 0);
  return now - last >= 2 * config.safety.breaker.windowMs ? halfOpen(before, now) : before;
}

function newestArrival(scope: Scope): number {
  return scope.arrivals[scope.arrivals.length - 1] ?? 0;
}

function trip(scope: Scope, around: Around): Breaker {
  const { now } = around;
  const cause = causeOf(scope, around, null);
  return {
    kind: "breaker",
    scope: scope.name,
    state: cause === null ? "restrained" : "open",
    since: now,
    trippedAt: now,
    why: because(scope, cause, around),
    cause,
    batch: 0,
    batchAt: 0,
    passed: 0,
    looked: scope.arrivals.length,
  };
}

/** Why it restrains, and until when: people read it wherever a repair waits. */
function because(scope: Scope, cause: Cause | null, { config }: Around): string {
  const burst = { sessions: scope.arrivals.length, nodes: scope.size };
  if (cause !== null) {
    return saySafety({ code: "common_cause", ...burst, cause, limitMs: CAUSE_WAIT_MS });
  }
  const restMs = 2 * config.safety.breaker.windowMs;
  return saySafety({ code: "too_many", ...burst, restMs });
}

function causeOf(scope: Scope, { fleet, now, config }: Around, known: Cause | null): Cause | null {
  const since = now - config.safety.breaker.longWindowMs;
  const sick = scope.nodes.flatMap((node): Sick[] => {
    const at = Math.max(...openedAt(node), 0);
    return at >= since && !explains(known, node) ? [{ node, openedAt: at }] : [];
  });
  const living = scope.nodes.filter((node) => node.phase.kind !== "gone");
  return attribute(sick, living, (name, value) => {
    if (name === "rule" && fleet.facts.has(`trusted:${value}`)) return null;
    const fact = fleet.facts.get(`seen:${name}:${value}`);
    return fact?.kind === "seen" && fact.at > 0 ? fact.at : null;
  });
}

function enter(
  before: Breaker,
  state: Breaker["state"],
  now: number,
  why: string,
  cause: Cause | null,
): Breaker {
  return { ...before, state, since: now, why, cause };
}

function halfOpen(before: Breaker, now: number): Breaker {
  const why = saySafety({ code: "plausible" });
  return {
    ...before,
    state: "half-open",
    since: now,
    why,
    cause: null,
    batch: 1,
    batchAt: now,
    passed: 0,
  };
}

/** Whether the cause is gone or handled. An unresolved one delays its nodes for at most an hour. */
function isWithdrawn({ cause, since }: Breaker, scope: Scope, around: Around): boolean {
  if (cause === null) return true;
  const living = scope.nodes.filter((node) => node.phase.kind !== "gone");
  const sharing = living.filter((node) => explains(cause, node));
  const sick = sharing.filter((node) => node.session !== null);
  if (cause.attribute === "rule") {
    const { facts } = around.fleet;
    if (!around.rules.has(cause.value) || facts.has(`trusted:${cause.value}`)) return true;
    // A suspended rule delays nothing, even if no later check exists.
    const long = around.now - since >= CAUSE_WAIT_MS;
    return facts.has(`quarantine:${cause.value}`) && (long || sick.length === 0);
  }
  if (sick.length <= sharing.length * PLACE_BACK_SHARE) return true;
  return around.now - since >= CAUSE_WAIT_MS;
}

/** A batch has passed when one of its slots is verified. */
function stepBatch(before: Breaker, scope: Scope, { now, config }: Around): Breaker | null {
  if (now - before.batchAt < SETTLE_MS) return before;
  const waiting = scope.nodes.some((node) => isDue(node, config));
  // No repair is left to try.
  if (!waiting && !scope.nodes.some(holdsPlace)) return null;
  const verified = scope.nodes.some((node) => {
    const since = node.phase.kind === "serving" ? node.phase.since : 0;
    return since >= before.batchAt && (node.replaces !== null || isRebooted(node));
  });
  if (!verified) return before;
  const passed = before.passed + 1;
  if (passed >= BATCHES) return null;
  const batch = Math.min(BATCH_MAX, before.batch * 2);
  return { ...before, batch, batchAt: now, passed };
}

/** Whether its last session ended with a reboot, without a new machine. */
function isRebooted({ rebootedAt, lastSession }: Node): boolean {
  const last = lastSession ?? null;
  return last?.how === "recovered" && (rebootedAt ?? 0) >= last.openedAt;
}

/** Whether the node waits only for the breaker. */
function isDue(node: Node, config: Config): boolean {
  const { phase, pool, cordon, health, order } = node;
  if (phase.kind !== "suspect" || health.verdict !== "unhealthy") return false;
  if ((cordon.human !== null || isHeldInSlurm(node)) && order === null) return false;
  return config.pools.find((one) => one.name === pool)?.health.autoReplace === true;
}

function tell(scope: string, after: Breaker | null, now: number): EventDraft {
  const message = saySafety(
    after === null
      ? { code: "breaker_closed", scope }
      : { code: "breaker", scope, state: after.state, why: after.why },
  );
  const pool = scope.startsWith("pool:") ? (scope.slice(5) as EventDraft["pool"]) : null;
  return poolEvent(pool, now, "safety.breaker", message);
}
