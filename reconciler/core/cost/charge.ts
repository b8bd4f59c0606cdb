/**
 * What one instance costs, from durable facts alone: when it was bound, its price, when its end was
 * confirmed (docs/money.md). A stretch of constant price goes into the roll-up of its pool and
 * provider when the price changes or the instance ends; the open stretch is computed from the
 * clock. So a restart, a new leader or an hour without one changes no sum. Pure.
 */
import type { CostDay, CostFact, InstanceCost } from "../../../schema/cost.ts";
import type { InstanceFact, Node } from "../../../schema/node.ts";
import { type FactOf, factKey, factsOf } from "../../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { ABSENT_LISTINGS_MIN } from "../provider.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { daysOf, HOUR_MS, monthOf, type Span } from "./calendar.ts";

/** Time at one price; `null` = unknown. */
export type Stretch = Span & { pricePerHour: number | null };

/** Months of roll-ups that are kept, the current one included. */
export const MONTHS_KEPT = 13;

/**
 * The cloud reports its end, or two complete listings lack it: the rule by which a node goes.
 * Anything less may be billed, whatever the node's phase.
 */
export function isBilled({ instance, phase }: Pick<Node, "instance" | "phase">): boolean {
  if (instance === null || phase.kind === "gone" || instance.state === "terminated") return false;
  if (isOwned(instance)) return false;
  // A list may lag behind a purchase.
  if (phase.kind === "booting" || phase.kind === "bootstrapping") return true;
  return (instance.absentListings ?? 0) < ABSENT_LISTINGS_MIN;
}

/** The operator's own machine: Navarch neither buys nor pays it. */
const isOwned = ({ host }: InstanceFact): boolean => host !== undefined;

function costOf({ cost, boundAt, pricePerHour }: InstanceFact): InstanceCost {
  const known = cost ?? { to: boundAt, pricePerHour, endedAt: null };
  // The first price that is seen counts from the purchase; only a later change is a new price.
  return { ...known, pricePerHour: known.pricePerHour ?? pricePerHour };
}

/** The time that is in no roll-up yet; never negative, whatever the clock does. */
export function openStretch(node: Node, now: number): Stretch | null {
  const { instance, phase } = node;
  if (instance === null || isOwned(instance)) return null;
  const { to: from, pricePerHour, endedAt } = costOf(instance);
  if (endedAt !== null && !isBilled(node)) return null;
  const end = phase.kind === "gone" ? phase.since : now;
  return { from, to: Math.max(from, end), pricePerHour };
}

/** US dollars of a stretch; 0 for an unknown price, which `unknownMs` counts instead. */
export function dollarsOf({ from, to, pricePerHour }: Stretch): number {
  return ((to - from) / HOUR_MS) * Math.max(0, pricePerHour ?? 0);
}

/** Asked for every node in every activation. */
function isSettled(node: Node): boolean {
  const { instance } = node;
  if (instance === null || isOwned(instance)) return true;
  const { cost, pricePerHour } = instance;
  if (!isBilled(node)) return cost !== undefined && cost.endedAt !== null;
  if (cost === undefined) return true;
  return cost.endedAt === null && (pricePerHour === null || pricePerHour === cost.pricePerHour);
}

/** The new record of an instance's cost and what it moves to the roll-up; `null` = no change. */
function settle(node: Node, now: number): { cost: InstanceCost; closed: Stretch | null } | null {
  const { instance } = node;
  if (instance === null || isSettled(node)) return null;
  const cost = costOf(instance);
  const open = openStretch(node, now);
  if (open === null) return null;
  if (!isBilled(node)) {
    return { cost: { ...cost, to: open.to, endedAt: open.to }, closed: open };
  }
  // A listing shows it again: the time since its supposed end is billed as well.
  const alive = { ...cost, endedAt: null };
  const { pricePerHour } = instance;
  if (pricePerHour !== null && pricePerHour !== cost.pricePerHour) {
    return { cost: { ...alive, to: open.to, pricePerHour }, closed: open };
  }
  return { cost: alive, closed: null };
}

/**
 * Moves finished stretches to the roll-ups, in the transaction that writes the nodes. Called once
 * in each activation, after the listings and before a record is removed.
 */
export function foldCost(fleet: Fleet, now: number, work: UnitOfWork): void {
  for (const id of work.nodeIds()) {
    const node = work.node(id);
    const settled = node === null ? null : settle(node, now);
    if (node === null || node.instance === null || settled === null) continue;
    work.putNode({ ...node, instance: { ...node.instance, cost: settled.cost } });
    if (settled.closed !== null) rollUp(fleet, node, settled.closed, now, work);
  }
}

function rollUp(fleet: Fleet, node: Node, closed: Stretch, now: number, work: UnitOfWork): void {
  const key = { provider: node.instance?.provider ?? "", pool: node.pool ?? "" };
  const { pricePerHour } = closed;
  for (const part of daysOf(closed)) {
    const month = monthOf(part.from);
    if (month < oldestKept(now)) continue;
    const empty: CostFact = { kind: "cost", ...key, month, days: [] };
    const stored = work.fact(factKey(empty));
    if (stored === null) dropOld(fleet, now, work);
    const fact = stored?.kind === "cost" ? stored : empty;
    work.putFact({ ...fact, days: addTo(fact.days, { ...part, pricePerHour }) });
  }
}

const NOTHING: CostDay = { dollars: 0, knownMs: 0, unknownMs: 0 };

function addTo(days: readonly CostDay[], part: Stretch): CostDay[] {
  const index = new Date(part.from).getUTCDate() - 1;
  const length = Math.max(days.length, index + 1);
  const out = Array.from({ length }, (_, i) => days[i] ?? NOTHING);
  const before = out[index] ?? NOTHING;
  const ms = part.to - part.from;
  const isKnown = part.pricePerHour !== null;
  out[index] = {
    dollars: before.dollars + dollarsOf(part),
    knownMs: before.knownMs + (isKnown ? ms : 0),
    unknownMs: before.unknownMs + (isKnown ? 0 : ms),
  };
  return out;
}

/** The first month whose roll-ups are kept. */
function oldestKept(now: number): string {
  const date = new Date(now);
  return monthOf(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - (MONTHS_KEPT - 1), 1));
}

/** Old months go when a new one begins. */
function dropOld({ facts }: Fleet, now: number, work: UnitOfWork): void {
  const oldest = oldestKept(now);
  const isOld = ({ month }: FactOf<"cost">): boolean => month < oldest;
  for (const fact of factsOf(facts, "cost").filter(isOld)) work.dropFact(factKey(fact));
}
