/**
 * What one plan may still do in each scope (safety.md §4, §5.1): how much is in flight there, how
 * much is allowed, and what a breaker makes of it. Pure: made for one decision and spent in it, so
 * that two answers of one plan never spend the same room; the plan and its intents are then written
 * in one transaction.
 */
import type { Config, Share } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import { type FactOf, factsOf } from "../../schema/safety.ts";
import type { Fleet } from "../fleet.ts";
import { explains } from "./cause.ts";
import { isEvident } from "./evident.ts";
import { holdsPlace, isSick, vacantSlots } from "./in-flight.ts";
import {
  columnOf,
  domainsOf,
  FLEET,
  predecessorOf,
  scopesOf,
  sizesOf,
  slotKeyOf,
} from "./scope.ts";

export type Rung = "isolate" | "replace";

/** Why a rung may not be taken now. */
export type Refusal = { kind: "budget" | "breaker"; message: string; until: number | null };

/** One scope's room for one rung, for people and metrics. */
export type Room = { scope: string; rung: Rung; used: number; max: number };

export type Budgets = {
  /** Why there is no room in some scope of the node, or `null`. */
  refusal(node: Node, rung: Rung): Refusal | null;
  /** Takes the room in every scope of the node. */
  spend(node: Node, rung: Rung): void;
  rooms(): Room[];
};

type Breaker = FactOf<"breaker">;

/** safety.md §4.2: while restrained one a pool and a domain, and at most this many in the fleet. */
const TRICKLE_FLEET_MAX = 5;

/** `max(1, floor(p·n))`: never `ceil`, and never nothing (safety.md §4.1). A fixed 0 means none. */
export function shareOf(share: Share, desired: number): number {
  return share.kind === "nodes"
    ? share.nodes
    : Math.max(1, Math.floor((share.percent / 100) * desired));
}

/** Counts only when somebody asks: most plans of a large fleet spend nothing. */
export function openBudgets(fleet: Fleet, config: Config, now: number): Budgets {
  let counted: Budgets | null = null;
  const open = (): Budgets => (counted ??= countBudgets(fleet, config, now));
  return {
    refusal: (node, rung) => open().refusal(node, rung),
    spend: (node, rung) => open().spend(node, rung),
    rooms: () => open().rooms(),
  };
}

function countBudgets(fleet: Fleet, config: Config, now: number): Budgets {
  const { budgets } = config.safety;
  const sizes = sizesOf(fleet, config);
  const out = countOut(fleet);
  const isolated = countIsolated(fleet, now, budgets.isolate.windowMs);
  const breakers = new Map(factsOf(fleet.facts, "breaker").map((one) => [one.scope, one]));
  const domains = [...sizes.keys()].filter((scope) => scope.startsWith("domain:")).length;

  const maxOf = (scope: string, rung: Rung): number => {
    const { slots, pools } = sizes.get(scope) ?? { slots: 1, pools: 1 };
    const column = columnOf(scope);
    const room = (share: Share): number => {
      // Each pool may always lose one: a small fleet of several pools must not queue them all.
      return share.kind === "percent"
        ? Math.max(pools, shareOf(share, slots))
        : shareOf(share, slots);
    };
    if (rung === "isolate") return room(budgets.isolate[column]);
    // A replacement drains too, and holds both rooms until its slot is verified.
    return Math.min(room(budgets.replace[column]), room(budgets.drain[column]));
  };
  const trickleOf = (scope: string, breaker: Breaker): number => {
    if (breaker.state === "half-open") return Math.max(1, breaker.batch);
    return scope === FLEET ? Math.min(TRICKLE_FLEET_MAX, Math.max(1, domains)) : 1;
  };

  const refuseIsolation = (node: Node): Refusal | null => {
    for (const scope of scopesOf(node)) {
      const breaker = breakers.get(scope);
      if (breaker?.state === "open" && explains(breaker.cause, node) && !isEvident(node)) {
        return stopped(breaker);
      }
      const used = isolated.get(scope)?.size ?? 0;
      const max = maxOf(scope, "isolate");
      if (used >= max) return full(scope, `${used} of at most ${max} were cordoned lately`);
    }
    return null;
  };

  const refuseReplacement = (node: Node): Refusal | null => {
    const key = slotKeyOf(node);
    const evident = isEvident(node);
    for (const scope of scopesOf(node)) {
      const flying = out.get(scope) ?? new Map<string, boolean>();
      if (flying.has(key)) continue;
      const max = maxOf(scope, "replace");
      if (flying.size >= max) {
        return full(scope, `${flying.size} of at most ${max} are being replaced`);
      }
      const breaker = breakers.get(scope);
      if (breaker === undefined) continue;
      const explained = breaker.state === "open" && explains(breaker.cause, node);
      const ofPlace = breaker.cause?.attribute === "zone" || breaker.cause?.attribute === "rack";
      if (explained && (ofPlace || !evident)) return stopped(breaker);
      if (flying.size < trickleOf(scope, breaker)) continue;
      if (evident && hasEvidentRoom(node, out)) continue;
      return stopped(breaker);
    }
    return null;
  };

  return {
    refusal: (node, rung) => (rung === "isolate" ? refuseIsolation(node) : refuseReplacement(node)),
    spend(node, rung) {
      if (node.pool === null) return;
      for (const scope of scopesOf(node)) {
        if (rung === "isolate") add(isolated, scope).add(slotKeyOf(node));
        else addOut(out, scope, node);
      }
    },
    rooms: () =>
      [...sizes.keys()].flatMap((scope): Room[] => [
        {
          scope,
          rung: "isolate",
          used: isolated.get(scope)?.size ?? 0,
          max: maxOf(scope, "isolate"),
        },
        { scope, rung: "replace", used: out.get(scope)?.size ?? 0, max: maxOf(scope, "replace") },
      ]),
  };
}

/** Evident faults have one place a domain of their own, the finest domain that is known. */
function hasEvidentRoom(
  node: Node,
  out: ReadonlyMap<string, ReadonlyMap<string, boolean>>,
): boolean {
  const finest = domainsOf(node).findLast((domain) => !domain.startsWith("rack:"));
  const scope = finest === undefined ? FLEET : `domain:${finest}`;
  const flying = [...(out.get(scope)?.values() ?? [])].filter(Boolean);
  return flying.length === 0;
}

function full(scope: string, message: string): Refusal {
  return { kind: "budget", message: `${scope}: ${message}`, until: null };
}

function stopped(breaker: Breaker): Refusal {
  return {
    kind: "breaker",
    message: `${breaker.scope} is ${breaker.state}: ${breaker.why}`,
    until: null,
  };
}

function add(map: Map<string, Set<string>>, scope: string): Set<string> {
  const known = map.get(scope) ?? new Set<string>();
  map.set(scope, known);
  return known;
}

function addOut(out: Map<string, Map<string, boolean>>, scope: string, node: Node): void {
  const known = out.get(scope) ?? new Map<string, boolean>();
  known.set(slotKeyOf(node), isEvident(node));
  out.set(scope, known);
}

/** Slots being replaced in each scope, each with whether its fault was evident. */
function countOut(fleet: Fleet): Map<string, Map<string, boolean>> {
  const out = new Map<string, Map<string, boolean>>();
  const filled = filledSlots(fleet);
  const put = (node: Node): void => {
    if (node.pool === null || filled.has(slotKeyOf(node))) return;
    const before = predecessorOf(fleet, node);
    const evident = isEvident(node) || (before !== null && isEvident(before));
    for (const scope of scopesOf(node, before)) {
      const known = out.get(scope) ?? new Map<string, boolean>();
      known.set(slotKeyOf(node), evident || known.get(slotKeyOf(node)) === true);
      out.set(scope, known);
    }
  };
  for (const node of fleet.nodes.values()) if (holdsPlace(node)) put(node);
  for (const node of vacantSlots(fleet.nodes.values())) put(node);
  return out;
}

/** Slots whose replacement is verified: whatever is left of the old node, nothing is missing. */
function filledSlots(fleet: Fleet): Set<string> {
  const filled = new Set<string>();
  for (const node of fleet.nodes.values()) {
    if (node.phase.kind === "serving" && node.replaces !== null) filled.add(slotKeyOf(node));
  }
  return filled;
}

/**
 * Slots cordoned for their health within the window, also those given back since. One whose
 * replacement is verified has been proven right, and counts no more.
 */
function countIsolated(fleet: Fleet, now: number, windowMs: number): Map<string, Set<string>> {
  const out = new Map<string, Set<string>>();
  const filled = filledSlots(fleet);
  for (const node of fleet.nodes.values()) {
    if (node.pool === null || filled.has(slotKeyOf(node))) continue;
    const marked = isSick(node) && node.operation !== null && node.operation.endsWith(".cordon");
    const at = node.isolatedAt;
    if (!marked && (at === null || at > now || now - at >= windowMs)) continue;
    for (const scope of scopesOf(node)) add(out, scope).add(slotKeyOf(node));
  }
  return out;
}
