/**
 * Providers at which machines cannot be bought, do not come up or are not reached any more, and
 * those that share an account. Each is a stored fact, reported at its beginning and its end to each
 * pool that buys or has nodes there; a restart repeats nothing. Pure.
 */
import type { Config } from "../../../schema/config.ts";
import type { EventDraft } from "../../../schema/event.ts";
import { type Fact, factKey, factsOf } from "../../../schema/safety.ts";
import { poolEvent } from "../event-draft.ts";
import type { Fleet, ProviderSight } from "../fleet.ts";
import { sharedIn, strandedIn } from "../reach.ts";
import type { Step } from "./breaker.ts";
import { sayStranded } from "../say/loss.ts";
import { saySafety } from "../say/safety.ts";

/** Why the provider cannot be used now, as a sentence; `null` if it can. */
export function impairmentOf(provider: ProviderSight | undefined): string | null {
  return provider?.unavailable ?? provider?.trouble ?? null;
}

/** Characters of a stored reason. */
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
    const holding = new Set(lost.get(provider)?.flatMap(({ nodes }) => nodes.map((n) => n.pool)));
    for (const { name: pool, providers: refs } of config.pools) {
      if (!refs.some((ref) => ref.name === provider) && !holding.has(pool)) continue;
      const said = saySafety({ code: "provider", provider, said: message });
      events.push(poolEvent(pool, now, "pool.condition", said));
    }
  };
  const lost = Map.groupBy(strandedIn(fleet, providers), ({ provider }) => provider);
  const shared = sharedIn(providers);
  const known = new Map(factsOf(fleet.facts, "impaired").map((fact) => [fact.provider, fact]));
  for (const name of new Set([...providers.keys(), ...lost.keys()])) {
    const sight = providers.get(name);
    const held =
      lost
        .get(name)
        ?.map(({ why, nodes }) => sayStranded(why, nodes.length))
        .join("; ") ?? null;
    const found = impairmentOf(sight) ?? held ?? shared.get(name);
    const why = found?.slice(0, WHY_MAX) ?? null;
    const before = known.get(name);
    known.delete(name);
    if (why === null) {
      if (before === undefined) continue;
      drop.push(factKey(before));
      tell(name, saySafety({ code: "provider_well" }));
      continue;
    }
    // The machine that fails first changes often: not a change of the condition.
    const unavailable = sight?.unavailable ?? null;
    if (before !== undefined && (unavailable === null || before.why === why)) continue;
    put.push({ kind: "impaired", provider: name, why, at: before?.at ?? now });
    const sold = unavailable === null;
    tell(name, sold ? why : saySafety({ code: "provider_sells_nothing", said: why }));
  }
  // Providers that were removed from the configuration.
  drop.push(...[...known.values()].map(factKey));
  return { put, drop, pools: [], events };
}
