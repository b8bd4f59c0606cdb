/**
 * Reads prices and capacity of the places that pools name: one call of each provider at a time,
 * more often while a place there rests. What it learned is a hint with its age; a failure forgets
 * capacity at once and prices after some time.
 */
import type { Config } from "../../schema/config.ts";
import type { Clock } from "../core/clock.ts";
import { offersOf } from "../core/decide/offer.ts";
import type { OfferSight } from "../core/fleet.ts";
import type { Offered, Place, Provider } from "../core/provider.ts";
import { placeKey } from "../core/safety/rest.ts";
import { backoffMs } from "../core/turn/backoff.ts";
import { callInTime } from "./act/in-time.ts";

/** Milliseconds between two calls; a call is one request, or one for each region. */
const RESTING_MS = { own: 1_000, other: 15_000 };
const IDLE_MS = { own: 5_000, other: 60_000 };
const FAILED_MAX_MS = 10 * 60_000;
/** Providers on this computer, whose calls cost nothing. */
const OWN: readonly string[] = ["fake", "machine"];
/** A price that could not be read again for this time is unknown. */
const PRICE_KEPT_MS = 15 * 60_000;

type Watched = {
  provider: Provider;
  places: Map<string, Place>;
  /** `null` = not answered yet. */
  seen: ReadonlyMap<string, OfferSight> | null;
  inFlight: boolean;
  nextMono: number;
  failures: number;
};

type OfferWatchFrom = {
  providers: ReadonlyMap<string, Provider>;
  config: Pick<Config, "pools">;
};

export class OfferWatch {
  #watched = new Map<string, Watched>();
  readonly #clock: Clock;
  readonly #wakeUp: () => void;

  constructor(from: OfferWatchFrom, clock: Clock, wakeUp: () => void) {
    this.#clock = clock;
    this.#wakeUp = wakeUp;
    this.adopt(from);
  }

  /** Other settings: what is known of the places of a provider that stays is kept. */
  adopt({ providers, config }: OfferWatchFrom): void {
    const before = this.#watched;
    this.#watched = new Map();
    for (const [name, provider] of providers) {
      const same = before.get(name)?.provider === provider ? before.get(name) : undefined;
      const { seen = null, failures = 0 } = same ?? {};
      const next = { inFlight: false, nextMono: 0, places: new Map() };
      this.#watched.set(name, { provider, seen, failures, ...next });
    }
    for (const { key, provider, ...offer } of config.pools.flatMap(offersOf)) {
      const { region, zone, instanceType, market, reservation } = offer;
      const place = { region, zone, instanceType, market, reservation };
      this.#watched.get(provider)?.places.set(key, place);
    }
  }

  /** Starts the calls that are due. `resting` names providers with a place that rests. */
  look(resting: ReadonlySet<string>): void {
    const mono = this.#clock.monoMs();
    for (const [name, one] of this.#watched) {
      one.nextMono = Math.min(one.nextMono, mono + pauseMs(one, resting.has(name)));
      if (one.inFlight || one.nextMono > mono || one.places.size === 0) continue;
      one.inFlight = true;
      void this.#read(one);
    }
  }

  /** The places as last read; `null` = not read since this process started. */
  seen(provider: string): ReadonlyMap<string, OfferSight> | null {
    return this.#watched.get(provider)?.seen ?? null;
  }

  async #read(one: Watched): Promise<void> {
    const places = [...one.places.values()];
    const answer = await callInTime(this.#clock, () => one.provider.offers(places));
    const now = this.#clock.wallMs();
    one.inFlight = false;
    one.failures = answer.kind === "failed" ? one.failures + 1 : 0;
    one.nextMono = this.#clock.monoMs() + pauseMs(one, false);
    const before = one.seen;
    one.seen = answer.kind === "ok" ? learn(one, answer.offers, now) : kept(before, now);
    if (isNews(before, one.seen)) this.#wakeUp();
  }
}

function pauseMs({ provider, failures }: Watched, isResting: boolean): number {
  const table = isResting ? RESTING_MS : IDLE_MS;
  const base = OWN.includes(provider.type) ? table.own : table.other;
  return failures === 0 ? base : backoffMs(failures + 1, base, FAILED_MAX_MS);
}

/** An answer may leave out a place, and name one that was not asked about. */
function learn(one: Watched, offers: readonly Offered[], now: number): Map<string, OfferSight> {
  const seen = new Map<string, OfferSight>();
  for (const { pricePerHour, available, ...place } of offers) {
    const key = placeKey({ ...place, provider: one.provider.name });
    if (!one.places.has(key)) continue;
    const since = one.seen?.get(key)?.availableSince ?? now;
    const price = pricePerHour !== null && isPrice(pricePerHour) ? pricePerHour : null;
    const availableSince = available === true ? since : null;
    seen.set(key, { pricePerHour: price, available, availableSince, seenAt: now });
  }
  return seen;
}

const isPrice = (price: number): boolean => Number.isFinite(price) && price >= 0;

/** What is left to believe after a call without an answer. */
function kept(
  seen: ReadonlyMap<string, OfferSight> | null,
  now: number,
): ReadonlyMap<string, OfferSight> {
  const left = [...(seen ?? [])].filter(([, { seenAt }]) => now - seenAt < PRICE_KEPT_MS);
  return new Map(
    left.map(([key, one]) => [key, { ...one, available: null, availableSince: null }]),
  );
}

/** Whether a plan may come out differently. */
function isNews(before: Watched["seen"], after: ReadonlyMap<string, OfferSight>): boolean {
  if (before === null || before.size !== after.size) return true;
  return [...after].some(([key, { pricePerHour, available }]) => {
    const old = before.get(key);
    return old?.pricePerHour !== pricePerHour || old.available !== available;
  });
}
