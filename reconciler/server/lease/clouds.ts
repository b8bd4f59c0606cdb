/**
 * The open providers of a leader. A provider whose settings or credentials changed is opened again;
 * the former one takes no new call and is closed after its last.
 */
import type { ProviderConfig } from "../../../schema/config.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Provider, Reach } from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import type { Store } from "../../core/store.ts";
import { inTime } from "../../core/turn/time-limit.ts";
import type { OpenProviders } from "../../provider/open.ts";
import { type Tracked, trackCalls } from "../../provider/tracked.ts";

/** Twice the limit of a call of the loop. */
const LAST_CALL_MS = 120_000;

type Open = Tracked & { print: string };

export type CloudPorts = {
  clock: Pick<Clock, "after">;
  log: Log;
  openProviders(configs: ProviderConfig[], store: Store): Promise<OpenProviders>;
  /** Equal texts: the provider need not be opened again. */
  fingerprint(config: ProviderConfig): string;
};

/** Providers that are open and not in use yet. */
export type Prepared = {
  providers: Map<string, Provider>;
  /** Their reach, and that of the providers in use. */
  reaches: { next: Reaches; running: Reaches };
  unavailable: Map<string, string>;
  /** Names of those that were opened now. */
  opened: string[];
  /** Uses the named ones; the others are closed. */
  take(names: ReadonlySet<string>): void;
  /** Closes what was opened now. */
  cancel(): Promise<void>;
};

type Reaches = ReadonlyMap<string, { reach: Reach }>;

/** What could not be opened says nothing about its reach. */
function reachesOf(open: ReadonlyMap<string, Open>, configs: readonly ProviderConfig[]): Reaches {
  return new Map(
    configs.map(({ name }) => {
      return [name, { reach: open.get(name)?.provider.reach() ?? REACHES_ANY }];
    }),
  );
}

export class Clouds {
  readonly #ports: CloudPorts;
  readonly #store: Store;
  #open = new Map<string, Open>();
  readonly #retired = new Set<Open>();

  constructor(ports: CloudPorts, store: Store) {
    this.#ports = ports;
    this.#store = store;
  }

  /** Rejects if a provider cannot be opened for a reason that the start would not survive. */
  async prepare(configs: readonly ProviderConfig[]): Promise<Prepared> {
    const { fingerprint, openProviders } = this.#ports;
    const prints = new Map(configs.map((config) => [config.name, fingerprint(config)]));
    const isSame = ({ name }: ProviderConfig): boolean =>
      this.#open.get(name)?.print === prints.get(name);
    const fresh = await openProviders(
      configs.filter((config) => !isSame(config)),
      this.#store,
    );
    const next = new Map<string, Open>();
    for (const config of configs) {
      const { name } = config;
      const given = fresh.providers.get(name);
      const kept = isSame(config) ? this.#open.get(name) : undefined;
      if (kept !== undefined) next.set(name, kept);
      else if (given !== undefined) {
        next.set(name, { ...trackCalls(given), print: prints.get(name) ?? "" });
      }
    }
    const opened = [...next].filter(([name, one]) => this.#open.get(name) !== one);
    return {
      providers: new Map([...next].map(([name, { provider }]) => [name, provider])),
      reaches: { next: reachesOf(next, configs), running: reachesOf(this.#open, configs) },
      unavailable: new Map([...fresh.unavailable].filter(([name]) => !next.has(name))),
      opened: opened.map(([name]) => name),
      take: (names) => this.#take(new Map([...next].filter(([name]) => names.has(name)))),
      cancel: async () => {
        for (const [, { provider }] of opened) await provider.close();
      },
    };
  }

  #take(next: Map<string, Open>): void {
    const kept = new Set(next.values());
    const former = [...this.#open.values()].filter((one) => !kept.has(one));
    this.#open = next;
    for (const one of former) void this.#retire(one);
  }

  async #retire(one: Open): Promise<void> {
    const { clock, log } = this.#ports;
    this.#retired.add(one);
    await inTime(
      clock,
      LAST_CALL_MS,
      () => one.idle(),
      () => undefined,
    );
    if (!this.#retired.delete(one)) return;
    await one.provider.close().catch((error: unknown) => {
      const { name } = one.provider;
      log("warn", "a replaced provider did not close", { provider: name, error: String(error) });
    });
  }

  /** Closes all, whatever is in flight. */
  async close(): Promise<void> {
    const all = [...this.#open.values(), ...this.#retired];
    this.#retired.clear();
    for (const { provider } of all) await provider.close();
  }
}
