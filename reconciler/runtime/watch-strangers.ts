/**
 * Looks for machines of other fleets that have the name of a pool for which this store has bought
 * nothing: one call of each provider at a time, again while a pool is held by what was found. The
 * next activation folds what it saw.
 */
import type { Config } from "../../schema/config.ts";
import type { Clock } from "../core/clock.ts";
import type { Fleet } from "../core/fleet.ts";
import type { Provider } from "../core/provider.ts";
import { type Look, looksAt } from "../core/stranger.ts";
import { callInTime } from "./act/in-time.ts";

/** Until a look that found something, or failed, is repeated. */
const AGAIN_MS = 60_000;

type StrangerWatchFrom = {
  providers: ReadonlyMap<string, Provider>;
  config: Pick<Config, "pools">;
};

export class StrangerWatch {
  #from: StrangerWatchFrom;
  readonly #clock: Clock;
  readonly #wakeUp: () => void;
  /** When each provider is due again; infinite while a call is open. */
  #nextMono = new Map<Provider, number>();
  #done: Look[] = [];

  constructor(from: StrangerWatchFrom, clock: Clock, wakeUp: () => void) {
    this.#from = from;
    this.#clock = clock;
    this.#wakeUp = wakeUp;
  }

  /** What was asked of a provider that was opened again does not count. */
  adopt(from: StrangerWatchFrom): void {
    this.#from = from;
    const kept = new Set(from.providers.values());
    for (const provider of this.#nextMono.keys()) {
      if (!kept.has(provider)) this.#nextMono.delete(provider);
    }
    this.#done = this.#done.filter(({ provider }) => from.providers.has(provider));
  }

  /** Whether a pool that buys there was not looked for yet. */
  isOpen(provider: string, fleet: Fleet): boolean {
    return looksAt(provider, this.#from.config, fleet).first;
  }

  /** Starts the looks that are due. */
  look(fleet: Fleet): void {
    const mono = this.#clock.monoMs();
    for (const [name, provider] of this.#from.providers) {
      const { due, first } = looksAt(name, this.#from.config, fleet);
      const next = this.#nextMono.get(provider) ?? 0;
      if (due.length === 0 || next === Infinity || (!first && mono < next)) continue;
      this.#nextMono.set(provider, Infinity);
      void this.#ask(provider, due);
    }
  }

  /** Looks that ended since the last call. */
  take(): Look[] {
    return this.#done.splice(0);
  }

  async #ask(provider: Provider, pools: string[]): Promise<void> {
    const answer = await callInTime(this.#clock, () => provider.strangers(pools));
    if (this.#from.providers.get(provider.name) !== provider) return;
    this.#nextMono.set(provider, this.#clock.monoMs() + AGAIN_MS);
    this.#done.push({ provider: provider.name, pools, answer });
    this.#wakeUp();
  }
}
