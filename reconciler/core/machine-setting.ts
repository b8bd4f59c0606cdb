/**
 * What a pool sets over its provider's settings, for its own purchases (docs/buying.md). Where a
 * machine is connected is one choice: a pool that names a network or subnet has none of the
 * provider's. Pure.
 */
import { createHash } from "node:crypto";
import type { PoolConfig, ProviderConfig } from "../../schema/config.ts";
import type { MachineSettings } from "../../schema/purchase.ts";
import type { Listing } from "./provider.ts";

type Settings = ProviderConfig["settings"];

const CONNECTION: readonly string[] = ["network", "subnet", "subnets"];

/** The pool's own prices come first; those of other types stay the provider's. */
export function mergeSettings(provider: Settings, own: MachineSettings | undefined): Settings {
  if (own === undefined) return provider;
  const connects = CONNECTION.some((name) => own[name] !== undefined);
  const kept = Object.entries(provider).filter(
    ([name]) => !(connects && CONNECTION.includes(name)),
  );
  const prices = [provider["prices"], own["prices"]].filter((one) => typeof one === "string");
  const joined = prices.length === 0 ? {} : { prices: prices.join(",") };
  return { ...Object.fromEntries(kept), ...own, ...joined };
}

/** As the configuration has checked it: `TYPE=DOLLARS`, joined by commas; the last one counts. */
export function pricesOf(text: string): Map<string, number> {
  return new Map(
    text.split(",").flatMap((pair) => {
      const [type = "", dollars = ""] = pair.split("=");
      return type === "" ? [] : [[type, Number(dollars)] as const];
    }),
  );
}

/** What the pool says it pays for the type, whatever cloud and provider tell. */
export function ownPrice(own: MachineSettings | undefined, instanceType: string): number | null {
  const prices = own?.["prices"];
  return typeof prices === "string" ? (pricesOf(prices).get(instanceType) ?? null) : null;
}

/** What a machine is made with; `undefined` = as the provider has it. */
export function machinePart(own: MachineSettings | undefined): MachineSettings | undefined {
  const { prices: _, ...machine } = own ?? {};
  return Object.keys(machine).length === 0 ? undefined : machine;
}

/** Equal for equal settings, in whatever order they were written. */
export function digestOf(own: MachineSettings): string {
  const entries = Object.entries(own).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(entries)).digest("hex").slice(0, 8);
}

/** A list with the prices that the pools of its machines set. */
export function pricedListing(pools: readonly PoolConfig[], listing: Listing): Listing {
  const { provider, answer } = listing;
  if (answer.kind === "failed") return listing;
  const own = new Map(
    pools.map((pool): [string, MachineSettings | undefined] => {
      return [pool.name, pool.providers.find(({ name }) => name === provider)?.settings];
    }),
  );
  const instances = answer.instances.map((one) => {
    const price = ownPrice(own.get(one.tags["navarch-pool"] ?? ""), one.instanceType);
    return price === null ? one : { ...one, pricePerHour: price };
  });
  return { ...listing, answer: { ...answer, instances } };
}
