/**
 * Orders the places of a pool by its strategy (docs/buying.md#strategies). Pure, and made of stored
 * state and observations only: the same fleet gives the same order, also after a restart.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Buyer, Offer } from "./offer.ts";

/** `offers` by priority; every tie keeps that order. */
export function rankOffers(
  { strategy }: Pick<PoolConfig, "strategy">,
  offers: readonly Offer[],
  buyer: Pick<Buyer, "priceOf" | "providers" | "held">,
): readonly Offer[] {
  switch (strategy) {
    case "priority":
      return offers;
    case "cost":
      return sortedBy(offers, (offer) => buyer.priceOf(offer) ?? Infinity);
    case "availability":
      return sortedBy(offers, (offer) => emptiness(offer, buyer));
    case "round-robin":
    case "weighted":
      return sortedBy(offers, ({ key, weight }) => turn(buyer.held.get(key) ?? 0, weight));
    default:
      return unreachable(strategy);
  }
}

/** A stable sort by a number; places that are equally good keep their order. */
function sortedBy(offers: readonly Offer[], rank: (offer: Offer) => number): Offer[] {
  const ranked = offers.map((offer) => ({ offer, rank: rank(offer) }));
  return ranked.sort((a, b) => compare(a.rank, b.rank)).map(({ offer }) => offer);
}

/** A difference of two infinities is no number. */
const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0);

/** Places with capacity, then unknown ones, then empty ones: what a cloud says is a hint. */
function emptiness({ provider, key }: Offer, { providers }: Pick<Buyer, "providers">): number {
  const available = providers.get(provider)?.offers?.get(key)?.available ?? null;
  return available === true ? 0 : available === null ? 1 : 2;
}

/**
 * When the place is next: divisors ½, 1½, 2½ … over its weight (Webster, Sainte-Laguë) keep shares
 * and alternate, without a stored position.
 */
function turn(held: number, weight: number): number {
  return (held + 0.5) / weight;
}
