/**
 * Examines a provider without changing anything there: whether it lists, what its cloud finds wrong
 * with the credentials and places, its limits, and what it offers at each place now.
 *
 * Adapter: the provider.
 */
import type { Config } from "../../schema/config.ts";
import { offersOf } from "../core/decide/offer.ts";
import { ownPrice } from "../core/machine-setting.ts";
import type { Failed, Inspection, Offered, PoolPlace, Provider, Quota } from "../core/provider.ts";

/** Every place where the pools may buy from this provider, once. */
export function placesOf(config: Pick<Config, "pools">, provider: string): PoolPlace[] {
  const places = new Map<string, PoolPlace>();
  for (const pool of config.pools) {
    for (const offer of offersOf(pool)) {
      if (offer.provider !== provider) continue;
      const { region, zone, instanceType, market, reservation, settings } = offer;
      const { sshKeys } = pool;
      const place = { region, zone, instanceType, market, reservation, settings, sshKeys };
      places.set(`${offer.key} ${JSON.stringify([settings ?? {}, sshKeys])}`, place);
    }
  }
  return [...places.values()];
}

/** Yields each finding when it is there. Never rejects where the provider does not. */
export async function* examineProvider(
  provider: Provider,
  places: readonly PoolPlace[],
): AsyncGenerator<Inspection> {
  const listed = await provider.list();
  if (listed.kind === "ok") yield row("ok", "list", "instances can be listed");
  else yield failed("list", listed);
  yield* await provider.inspect(places);
  const quota = await provider.quota(places);
  if (quota.kind === "failed") yield failed("quota", quota);
  if (quota.kind === "ok") yield* quota.quotas.map(judgeQuota);
  if (places.length === 0) {
    return yield row("warn", "places", "no pool buys here, so no place was checked");
  }
  const offered = await provider.offers(places);
  if (offered.kind === "failed") yield failed("offer", offered);
  if (offered.kind === "ok") yield* offered.offers.map(judgeOffer);
}

function judgeQuota({ name, region, limit, used }: Quota): Inspection {
  const where = region === null ? "" : ` in ${region}`;
  const what = `${name}${where}: ${used === null ? "" : `${used} used of `}${limit}`;
  if (limit === 0) return row("fail", "quota", `${what}: ask the cloud for more`);
  if (used !== null && used >= limit) return row("warn", "quota", `${what}: nothing is left`);
  return row("ok", "quota", what);
}

function judgeOffer({ region, zone, instanceType, market, ...rest }: Offered): Inspection {
  const { settings, available } = rest;
  const pricePerHour = ownPrice(settings, instanceType) ?? rest.pricePerHour;
  const where = [region, zone, instanceType].filter((part) => part !== null).join(" ");
  const price = pricePerHour === null ? "price unknown" : `$${pricePerHour} an hour`;
  const stock = available === null ? "" : available ? ", available now" : ", not available now";
  const paid = market === "on-demand" ? "" : ` (${market})`;
  return row(available === false ? "warn" : "ok", "offer", `${where}${paid}: ${price}${stock}`);
}

const failed = (check: string, { class: cls, message }: Failed): Inspection =>
  row("fail", check, `${cls}: ${message}`);

const row = (outcome: Inspection["outcome"], check: string, message: string): Inspection => ({
  check,
  outcome,
  message,
});
