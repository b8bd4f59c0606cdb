/**
 * What one plan may still do in each scope (docs/reference/safety.md): the budgets, what is in
 * flight, and the breakers. Pure: made for one plan and spent in it, so that two actions of a plan
 * never spend the same room.
 */
import type { Config, Share } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { type FactOf, factsOf } from "../../../schema/safety.ts";
import { type Fleet, isUnbought } from "../fleet.ts";
import { explains } from "./cause.ts";
import { isDefinitive, isEvident } from "./evident.ts";
import { columnOf, domainsOf, FLEET, scopesOf, type Size, sizesOf, slotKeyOf } from "./scope.ts";
import { addIsolated, addTo, countIsolated, countOut, type Tally } from "./tally.ts";
import type { NoRoom } from "../say/limit.ts";

export type Rung = "isolate" | "reboot" | "replace";

export type Refusal = { kind: "budget" | "breaker"; why: NoRoom };

/** A scope's budget for one step, for people and metrics. */
export type Room = { scope: string; rung: Rung; used: number; max: number };

export type Budgets = {
  /** Why there is no room in some scope of the node, or `null`. */
  refusal(node: Node, rung: Rung): Refusal | null;
  /** Takes the room in every scope of the node. */
  spend(node: Node, rung: Rung): void;
  rooms(): Room[];
};

type Breaker = FactOf<"breaker">;

/** While restrained: one in each pool and domain, and at most this many in the fleet. */
const TRICKLE_FLEET_MAX = 5;

/** `max(1, floor(p·n))`. A fixed 0 means none. */
export function shareOf(share: Share, desired: number): number {
  return share.kind === "nodes"
    ? share.nodes
    : Math.max(1, Math.floor((share.percent / 100) * desired));
}

/** Counted on demand: most plans of a large fleet spend nothing. */
export function openBudgets(fleet: Fleet, config: Config, now: number): Budgets {
  let counted: Budgets | null = null;
  const open = (): Budgets => (counted ??= new CountedBudgets(fleet, config, now));
  return {
    refusal: (node, rung) => open().refusal(node, rung),
    spend: (node, rung) => open().spend(node, rung),
    rooms: () => open().rooms(),
  };
}

/** Sizes of scopes, and the slots out of service and cordoned in each. */
type Count = { sizes: Map<string, Size>; out: Tally; isolated: Tally };

/**
 * An unmanaged machine counts against all machines that are out, a bought one only against bought
 * ones: an unmanaged machine is never replaced, so one that stays unhealthy would block all
 * repairs.
 */
class CountedBudgets implements Budgets {
  private readonly config: Config;
  private readonly all: Count;
  private readonly own: Count;
  private readonly breakers: Map<string, Breaker>;
  private readonly domains: number;

  constructor(fleet: Fleet, config: Config, now: number) {
    this.config = config;
    const { windowMs } = config.safety.budgets.isolate;
    const count = (ownOnly: boolean): Count => ({
      sizes: sizesOf(fleet, config, ownOnly),
      out: countOut(fleet, config, ownOnly),
      isolated: countIsolated(fleet, now, windowMs, ownOnly),
    });
    this.all = count(false);
    this.own = count(true);
    this.breakers = new Map(factsOf(fleet.facts, "breaker").map((one) => [one.scope, one]));
    const scopes = [...this.all.sizes.keys()];
    this.domains = scopes.filter((scope) => scope.startsWith("domain:")).length;
  }

  refusal(node: Node, rung: Rung): Refusal | null {
    for (const scope of scopesOf(node)) {
      const refusal =
        rung === "isolate"
          ? this.refuseIsolation(node, scope)
          : this.refuseRepair(node, scope, rung);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  spend(node: Node, rung: Rung): void {
    for (const { isolated, out } of isUnbought(node) ? [this.all] : [this.all, this.own]) {
      if (rung === "isolate") addIsolated(isolated, node);
      else addTo(out, node);
    }
  }

  rooms(): Room[] {
    return [...this.all.sizes.keys()].flatMap((scope) => {
      const count = (this.own.sizes.get(scope)?.slots ?? 0) > 0 ? this.own : this.all;
      const room = (rung: Rung, tally: Tally): Room => {
        const max = this.max(count, scope, rung);
        return { scope, rung, used: tally.get(scope)?.size ?? 0, max };
      };
      const { isolated, out } = count;
      return [room("isolate", isolated), room("reboot", out), room("replace", out)];
    });
  }

  private countFor(node: Node): Count {
    return isUnbought(node) ? this.all : this.own;
  }

  private max({ sizes }: Count, scope: string, rung: Rung): number {
    const { budgets } = this.config.safety;
    const { slots, pools } = sizes.get(scope) ?? { slots: 1, pools: 1 };
    const column = columnOf(scope);
    const room = (share: Share): number => {
      const part = shareOf(share, slots);
      // Each pool may always lose one, so that a small fleet of several pools does not queue.
      return share.kind === "percent" ? Math.max(pools, part) : part;
    };
    if (rung === "isolate") return room(budgets.isolate[column]);
    // Both drain first, and hold both budgets until the slot serves again.
    const own = rung === "reboot" ? budgets.reboot : budgets.replace;
    return Math.min(room(own[column]), room(budgets.drain[column]));
  }

  private refuseIsolation(node: Node, scope: string): Refusal | null {
    // A cordon of an evidently dead node costs nothing, and a job placed there is lost.
    if (isEvident(node)) return null;
    const breaker = this.breakers.get(scope);
    // Definitive evidence keeps work off the node in any case.
    if (breaker?.state === "open" && explains(breaker.cause, node) && !isDefinitive(node)) {
      return stopped(breaker);
    }
    const count = this.countFor(node);
    const isolated = count.isolated.get(scope);
    // A slot that fails again is already counted.
    if (isolated?.has(slotKeyOf(node)) === true) return null;
    const used = isolated?.size ?? 0;
    const max = this.max(count, scope, "isolate");
    if (used < max) return null;
    return { kind: "budget", why: { code: "cordons_spent", scope, used, max } };
  }

  private refuseRepair(node: Node, scope: string, rung: Rung): Refusal | null {
    const count = this.countFor(node);
    const flying = count.out.get(scope) ?? new Map<string, boolean>();
    if (flying.has(slotKeyOf(node))) return null;
    const max = this.max(count, scope, rung);
    if (flying.size >= max) {
      return { kind: "budget", why: { code: "repairs_spent", scope, used: flying.size, max } };
    }
    const breaker = this.breakers.get(scope);
    if (breaker === undefined) return null;
    const evident = isEvident(node);
    const explained = breaker.state === "open" && explains(breaker.cause, node);
    const ofPlace = breaker.cause?.attribute === "zone" || breaker.cause?.attribute === "rack";
    if (explained && (ofPlace || !evident)) return stopped(breaker);
    if (flying.size < this.trickle(scope, breaker)) return null;
    return evident && hasEvidentRoom(node, count.out) ? null : stopped(breaker);
  }

  /** How many may be out while the breaker of the scope is not closed. */
  private trickle(scope: string, breaker: Breaker): number {
    const least = scope === FLEET ? Math.min(TRICKLE_FLEET_MAX, Math.max(1, this.domains)) : 1;
    return breaker.state === "half-open" ? Math.max(least, breaker.batch) : least;
  }
}

/** Evident faults have one extra place in the finest known domain. */
function hasEvidentRoom(node: Node, tally: Tally): boolean {
  const finest = domainsOf(node).findLast((domain) => !domain.startsWith("rack:"));
  const scope = finest === undefined ? FLEET : `domain:${finest}`;
  return ![...(tally.get(scope)?.values() ?? [])].some(Boolean);
}

function stopped({ scope, state, why }: Breaker): Refusal {
  return { kind: "breaker", why: { code: "breaker", scope, state, why } };
}
