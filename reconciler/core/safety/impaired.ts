/**
 * Providers that cannot be used: what keeps machines from being bought there, or from coming up
 * once bought. Each is remembered as a fact and reported once to each pool that would buy there, at
 * its beginning and at its end, so that a restart does not repeat it. Pure.
 */
import type { Config } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import { type Fact, factKey, factsOf } from "../../../schema/safety.ts";
import type { Fleet, ProviderSight } from "../fleet.ts";
import type { Step } from "./breaker.ts";

/** Why the provider is of no use now, as a sentence; `null` while it is. */
export function impairmentOf(provider: ProviderSight | undefined): string | null {
  return provider?.unavailable ?? provider?.trouble ?? null;
}

/** A fact of at most this many characters is stored; what exceeds it is cut. */
const WHY_MAX = 500;

export function stepImpaired(
  fleet: Fleet,
  config: Config,
  providers: ReadonlyMap<string, ProviderSight>,
  now: number,
): Step {
  const put: Fact[] = [];
  const drop: string[] = [];
  const events: EventDraft[] = [];
  const tell = (provider: string, message: string): void => {
    for (const { name: pool, providers: refs } of config.pools) {
      if (!refs.some((ref) => ref.name === provider)) continue;
      const about = { at: now, node: null, pool, session: null, actor: "navarch" };
      const text = `provider ${provider}: ${message}`;
      events.push({ ...about, kind: "pool.condition", message: text });
    }
  };
  const known = new Map(factsOf(fleet.facts, "impaired").map((fact) => [fact.provider, fact]));
  for (const [name, sight] of providers) {
    const why = impairmentOf(sight)?.slice(0, WHY_MAX) ?? null;
    const before = known.get(name);
    known.delete(name);
    if (why === null) {
      if (before === undefined) continue;
      drop.push(factKey(before));
      tell(name, "can be used again");
      continue;
    }
    // Which of many machines fails first changes often, and says nothing new.
    if (before !== undefined && (sight.unavailable === null || before.why === why)) continue;
    put.push({ kind: "impaired", provider: name, why, at: before?.at ?? now });
    tell(name, sight.unavailable === null ? why : `nothing can be bought there: ${why}`);
  }
  // Removed from the configuration: no pool is left that would want to know.
  drop.push(...[...known.values()].map(factKey));
  return { put, drop, pools: [], events };
}
