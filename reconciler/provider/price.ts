/**
 * Fills in the prices that a cloud does not tell, from the provider's setting `prices`: what the
 * operator pays, which may also differ from the list price. Pure.
 */
import type { Provider } from "../core/provider.ts";
import { aroundProvider } from "./around.ts";

/** A price that the cloud tells stays. Spot machines cost no more than these. */
export function withPrices(provider: Provider, prices: ReadonlyMap<string, number>): Provider {
  const priced = <T extends { instanceType: string; pricePerHour: number | null }>(one: T): T => ({
    ...one,
    pricePerHour: one.pricePerHour ?? prices.get(one.instanceType) ?? null,
  });
  return {
    ...aroundProvider(provider, (_call, next) => next()),
    async list() {
      const answer = await provider.list();
      return answer.kind === "ok" ? { ...answer, instances: answer.instances.map(priced) } : answer;
    },
    async strangers(pools) {
      const answer = await provider.strangers(pools);
      return answer.kind === "ok" ? { ...answer, instances: answer.instances.map(priced) } : answer;
    },
    async offers(places) {
      const answer = await provider.offers(places);
      if (answer.kind === "failed") return answer;
      if (answer.kind === "ok") return { ...answer, offers: answer.offers.map(priced) };
      const unknown = { pricePerHour: null, available: null };
      return { kind: "ok", offers: places.map((one) => priced({ ...one, ...unknown })) };
    },
  };
}
