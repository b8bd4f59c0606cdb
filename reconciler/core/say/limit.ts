/** Which limit, offer or condition of buying stands in the way. */
import type { StrangeFleet } from "../../../schema/safety.ts";
import { type CodeOf, sayFrom } from "./code.ts";

const dollars = (amount: number): string => `$${amount.toFixed(2)}`;

/** A scope without room, or one that a breaker slows down. */
const ROOM = {
  pool_out: (p: { pool: string; out: number; max: number }): string =>
    `${p.out} of at most ${p.max} nodes of pool ${p.pool} are out of service`,
  cordons_spent: (p: { scope: string; used: number; max: number }): string =>
    `${p.scope}: ${p.used} of at most ${p.max} were cordoned lately`,
  repairs_spent: (p: { scope: string; used: number; max: number }): string =>
    `${p.scope}: ${p.used} of at most ${p.max} are being repaired or replaced`,
  sweep_spent: (p: { used: number; max: number }): string =>
    `${p.used} of at most ${p.max} surplus machines are being terminated`,
  breaker: (p: { scope: string; state: string; why: string }): string =>
    `${p.scope} is ${p.state}: ${p.why}`,
};
export type NoRoom = CodeOf<typeof ROOM>;

/** A ceiling in instances or dollars that a purchase would exceed. */
const CEILING = {
  instances: (p: { scope: string; instances: number; max: number }): string =>
    `${p.scope} has ${p.instances} of at most ${p.max} instances`,
  unpriced: (p: { scope: string; count: number }): string =>
    `${p.scope} has a ceiling in dollars and ${p.count} of unknown price`,
  price_unknown: (p: { scope: string }): string =>
    `${p.scope} has a ceiling in dollars, and the price is not known`,
  per_hour: (p: { scope: string; perHour: number; price: number; max: number }): string => {
    const sum = `${dollars(p.perHour)}/h + ${dollars(p.price)}/h`;
    return `${p.scope} would cost ${sum}, above ${dollars(p.max)}/h`;
  },
  per_month: (p: { scope: string; month: number; nextHour: number; max: number }): string => {
    const cost = `has cost ${dollars(p.month)} this month (UTC)`;
    const hour = `with it the next hour costs ${dollars(p.nextHour)}`;
    return `${p.scope} ${cost} and ${hour}, above ${dollars(p.max)} a month`;
  },
};

type Priced = { place: string; price: number | null; max: number };

/** Why nothing is bought at a place now. `said`: what the cloud or the adapter answered. */
const BAR = {
  unavailable: (p: { provider: string; said: string }): string => `${p.provider}: ${p.said}`,
  no_provider: (p: { provider: string }): string => `${p.provider}: no such provider`,
  unlisted: (p: { provider: string }): string =>
    `${p.provider}: not listed yet, so what exists there is not known`,
  too_dear: (p: Priced): string => {
    const why = p.price === null ? "its price is unknown" : `it costs ${dollars(p.price)}/h`;
    return `${p.place}: ${why}, and max_price is ${dollars(p.max)}/h`;
  },
  rests: (p: { place: string; class: string; said: string }): string =>
    `${p.place} rests after ${p.class}: ${p.said}`,
  tried_first: (p: { place: string; class: string; said: string }): string =>
    `${p.place}: one purchase is tried first after ${p.class}: ${p.said}`,
  no_capacity: (p: { place: string }): string =>
    `${p.place}: shows no capacity, so one purchase is tried first`,
  /** `isResting`: also the one that is tried waits. */
  guarded: (p: { place: string; failures: number; isResting: boolean }): string => {
    const next = p.isResting ? "the next is tried later" : "one is tried first";
    return `${p.place}: ${p.failures} nodes in a row did not come up; ${next}`;
  },
};
export type Bar = CodeOf<typeof BAR>;

/** What refuses a purchase: a ceiling, or the price of the place. */
const SPENDING = { ...CEILING, too_dear: BAR.too_dear };
export type Spending = CodeOf<typeof SPENDING>;

/** Why no machine of a pool can be set up now. */
const HINDRANCE = {
  key_unread: (p: { path: string }): string => `${p.path} is being read`,
  /** `said`: names the file. */
  key_unusable: (p: { said: string }): string => p.said,
};
export type Hindrance = CodeOf<typeof HINDRANCE>;
export const sayHindrance = (why: Hindrance): string => sayFrom(HINDRANCE, why);

/** `3 machines of fleet vngpaq (i-1, i-2, i-3; $96.00/h)`. */
export function sayFleet({ fleet, count, perHour, unpriced, machines }: StrangeFleet): string {
  if (count === 0) return `machines of fleet ${fleet}, which are not seen any more`;
  const shown = machines.slice(0, 3).map(({ id }) => id);
  const more = count > shown.length ? `${shown.join(", ")} and ${count - shown.length} more` : null;
  const price = unpriced === count ? "price unknown" : `${dollars(perHour)}/h`;
  const open = unpriced > 0 && unpriced < count ? `, ${unpriced} of unknown price` : "";
  const noun = count === 1 ? "machine" : "machines";
  return `${count} ${noun} of fleet ${fleet} (${more ?? shown.join(", ")}; ${price}${open})`;
}

/** Whose machines the pool's name has is not settled. */
const STRANGER = {
  other_owner: (p: { fleet: string }): string =>
    `this store is fleet ${p.fleet}'s now: restart the control plane`,
  strangers: ({ fleets }: { fleets: readonly StrangeFleet[] }): string => {
    const [first] = fleets;
    const id = fleets.length === 1 && first !== undefined ? first.fleet : "ID";
    const have = fleets.length === 1 && first?.count === 1 ? "has" : "have";
    return (
      `${fleets.map(sayFleet).join(" and ")} ${have} the name of this pool, so nothing is ` +
      `bought: \`navarch fleet adopt ${id}\` takes them over if this is the same fleet and its ` +
      `state was lost, \`navarch fleet ignore ${id}\` leaves them alone`
    );
  },
  asked_first: (p: { provider: string }): string =>
    `provider ${p.provider} is asked first for machines of another fleet`,
  look_failed: (p: { provider: string; said: string | null; minutes: number }): string =>
    `provider ${p.provider} does not say whether machines of another fleet have the name of this ` +
    `pool (${p.said}): nothing is bought before it does, or for ${p.minutes} minutes`,
};
export type Stranger = CodeOf<typeof STRANGER>;
export const sayStranger = (why: Stranger): string => sayFrom(STRANGER, why);

const missing = (count: number): string =>
  count === 1 ? "1 node is missing" : `${count} nodes are missing`;

/** Why a pool gets no nodes. */
const POOL = {
  ...STRANGER,
  cannot_set_up: (p: { why: Hindrance }): string =>
    `no machine can be set up: ${sayHindrance(p.why)}`,
  nothing_bought: (p: { why: Hindrance }): string => `nothing is bought: ${sayHindrance(p.why)}`,
  no_replacement: (p: { why: Hindrance }): string =>
    `nothing could replace it: ${sayHindrance(p.why)}`,
  /** `isUnavailable`: it sells nothing; else its machines do not come up. */
  impaired: (p: { provider: string; isUnavailable: boolean; said: string }): string =>
    `provider ${p.provider}: ${p.isUnavailable ? "nothing can be bought there: " : ""}${p.said}`,
  no_provider_named: (p: { missing: number }): string =>
    `${missing(p.missing)}, and the pool names no provider to buy them at`,
  nothing_listed: (p: { missing: number; said: readonly (string | null)[] }): string => {
    const why = p.said.map((one) => one ?? "not listed yet").join("; ");
    return `${missing(p.missing)}, but what exists at the providers is not known: ${why}`;
  },
  missing_unset: (p: { missing: number; why: Hindrance }): string =>
    `${missing(p.missing)}, and nothing is bought: ${sayHindrance(p.why)}`,
  machine_unlisted: (p: { node: string }): string =>
    `the agent of ${p.node} reports, but no list shows its machine`,
  nodes_fail: (p: { pool: string }): string =>
    `new nodes of pool ${p.pool} do not come up: nothing could replace it`,
  offers_unread: (p: { provider: string }): string =>
    `${p.provider}: its prices and capacity are being read`,
  no_place: "the pool names no place to buy",
  /** Equal ones of several places are said once. */
  barred: (p: { bars: readonly Bar[] }): string =>
    [...new Set(p.bars.map((bar) => sayFrom(BAR, bar)))].join("; "),
};

/** Tables of families that the waits of a plan contain. */
export const LIMITS = { ...ROOM, ...CEILING, too_dear: BAR.too_dear, ...POOL };
