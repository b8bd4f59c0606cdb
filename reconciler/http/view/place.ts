/** The places where a pool may buy: price, capacity, nodes, and why one rests. Pure. */
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import type { Fact } from "../../../schema/safety.ts";
import { holds, offersOf } from "../../core/decide/offer.ts";
import type { Sight } from "../../core/fleet.ts";
import { placeOfNode, type Rest, restsOf } from "../../core/safety/rest.ts";
import { isoOrNull } from "./node.ts";

export type PlaceView = {
  place: string;
  /** US dollars an hour; `null` = unknown. */
  price_per_hour: number | null;
  /** Above this nothing is bought; `null` = no limit. */
  max_price: number | null;
  /** Whether the cloud shows capacity; `null` = it does not say. */
  available: boolean | null;
  /** When price and capacity were read; `null` = not since the start. */
  seen_at: string | null;
  /** Nodes of the pool that were bought there. */
  nodes: number;
  /** Refusals since a node of the place was last verified, or since a purchase was accepted. */
  failures: number;
  /** Nothing is bought there before; `null` = it does not rest. */
  rest_until: string | null;
  /** The last refusal, `<class>: <message>`. */
  why: string | null;
};

type From = { facts: ReadonlyMap<string, Fact>; providers: Sight["providers"] | null; now: number };

/** By priority, as configured. */
export function viewPlaces(pool: PoolConfig, nodes: readonly Node[], from: From): PlaceView[] {
  const bought = nodes.filter(({ phase }) => phase.kind !== "gone").map(placeOfNode);
  return offersOf(pool).map((offer) => {
    const seen = from.providers?.get(offer.provider)?.offers?.get(offer.key) ?? null;
    const rests = restsOf(from.facts, offer);
    const resting = rests.filter((rest) => holds(rest, seen?.availableSince ?? null, from.now));
    const last = latest(resting) ?? latest(rests);
    return {
      place: offer.key,
      price_per_hour: offer.ownPrice ?? seen?.pricePerHour ?? null,
      max_price: offer.maxPrice,
      available: seen?.available ?? null,
      seen_at: isoOrNull(seen?.seenAt ?? null),
      nodes: bought.filter((key) => key === offer.key).length,
      failures: last?.failures ?? 0,
      rest_until: isoOrNull(latest(resting)?.notBefore ?? null),
      why: last === null ? null : `${last.class}: ${last.message}`,
    };
  });
}

/** The one that lasts longest. */
function latest(rests: readonly Rest[]): Rest | null {
  return rests.toSorted((a, b) => b.notBefore - a.notBefore)[0] ?? null;
}
