/**
 * The configuration that a role runs with, and how another one takes its place: judged and opened
 * first, made durable, then swapped between two activations. Whatever fails leaves the running one.
 */
import type { NotifierConfig, PoolConfig } from "../../schema/config.ts";
import type { PoolName } from "../../schema/id.ts";
import { factsOf } from "../../schema/safety.ts";
import { hashConfig } from "../config/hash.ts";
import { readConfig } from "../config/read.ts";
import { unadapted } from "../core/adapter.ts";
import { poolEvent } from "../core/event-draft.ts";
import { foldConfig, isEmptied, refuseConfig } from "../core/fold/config.ts";
import { formatHolding, losesReach, orphanedPools, withRemoved } from "../core/removal.ts";
import { type Loaded, policyId } from "../core/reload.ts";
import type { Store } from "../core/store.ts";
import { serial } from "../store/serial.ts";
import type { UnitOfWork } from "../core/unit-of-work.ts";
import type { Settings } from "../runtime/settings.ts";
import type { ControlPlane } from "./compose.ts";
import type { Clouds, Prepared } from "./lease/clouds.ts";
import type { Parts } from "./role.ts";

export type How = {
  /** Whether pools with nodes may be removed. */
  removesPools: boolean;
  by: string;
};

/** What a reload needs of a role. */
export type Adopter = {
  /** The files' content that is in force. */
  loaded(): Loaded;
  /** Reasons for a refusal; empty = it is in force. Rejects where an effect failed. */
  adopt(next: Loaded, how: How): Promise<string[]>;
  /** Whether a removed pool has lost its last node, so that `adopt` would forget it. */
  isUnsettled(): boolean;
};

class Refused extends Error {
  readonly why: string[];
  constructor(why: string[]) {
    super(why.join("; "));
    this.why = why;
  }
}

type From = {
  parts: Parts;
  store: Store;
  plane: ControlPlane;
  loaded: Loaded;
};

export class LeaderConfig implements Adopter {
  readonly #from: From;
  readonly #clouds: Clouds;
  #loaded: Loaded;
  readonly #alone = serial();
  #notifier: ReturnType<Parts["openNotifier"]> = null;
  #stopped = false;

  constructor(from: From, clouds: Clouds) {
    this.#from = from;
    this.#loaded = from.loaded;
    this.#clouds = clouds;
    this.#notifier = this.#openNotifier(from.loaded.config.server.notifier);
  }

  loaded(): Loaded {
    return this.#loaded;
  }

  isUnsettled(): boolean {
    const { reconciler } = this.#from.plane;
    const fleet = reconciler.fleet();
    return factsOf(fleet.facts, "removed_pool").some((fact) => isEmptied(fleet, fact));
  }

  #openNotifier(config: NotifierConfig) {
    return this.#from.parts.openNotifier(config, this.#from.store);
  }

  /** Notes in the store what is in force, and says which pools with nodes it lacks. */
  begin(): void {
    const { parts, plane } = this.#from;
    this.#notifier?.start();
    const { host, log } = parts;
    // A start removes no pool: a replica may take over with files that are not up to date.
    this.adopt(this.#loaded, { by: `start of ${host}`, removesPools: false })
      .then(() => this.#tellOrphans(plane))
      .catch((error: unknown) => {
        if (this.#stopped) return;
        log("warn", "cannot note the configuration in the store", { error: String(error) });
      });
  }

  async #tellOrphans({ reconciler }: ControlPlane): Promise<void> {
    const { log, clock } = this.#from.parts;
    const orphans = orphanedPools(reconciler.fleet(), reconciler.activeConfig());
    if (orphans.length === 0) return;
    const messages = orphans.map((one) => {
      const what = `${formatHolding(one)}, is not in the configuration: watched, not repaired`;
      const end = "navarch config reload --allow-pool-removal";
      return [one.pool, `${what}, and billed; add the pool again, or end its nodes with ${end}`];
    }) as [PoolName, string][];
    for (const [pool, message] of messages) log("error", message, { pool });
    const now = clock.wallMs();
    await reconciler.change((work) => {
      work.tell(messages.map(([pool, text]) => poolEvent(pool, now, "pool.condition", text)));
    });
  }

  /** A dry run stores no permission, because the next process would end the nodes. */
  adopt(next: Loaded, how: How): Promise<string[]> {
    const removesPools = how.removesPools && !this.#from.parts.dryRun;
    return this.#alone(() => this.#adopt(next, { ...how, removesPools }));
  }

  async #adopt(next: Loaded, how: How): Promise<string[]> {
    const { parts, plane } = this.#from;
    const { reconciler } = plane;
    const running = reconciler.activeConfig();
    const refusals = (): string[] =>
      refuseConfig(reconciler.fleet(), { running, next: next.config, ...how });
    const early = refusals();
    if (early.length > 0) return early;
    const named = new Set(next.config.providers.map(({ name }) => name));
    const former = running.providers.filter(({ name }) => !named.has(name));
    const prepared = await this.#clouds.prepare([...next.config.providers, ...former]);
    let hook: { next: ReturnType<Parts["openNotifier"]> } | null = null;
    try {
      const { notifier } = next.config.server;
      const isSame =
        JSON.stringify(notifier) === JSON.stringify(this.#loaded.config.server.notifier);
      if (!isSame) hook = { next: this.#openNotifier(notifier) };
      await plane.adopt((work) => {
        // Nodes may have been created since.
        const { reaches } = prepared;
        const lost = losesReach(reconciler.fleet(), reaches.running, reaches.next);
        const late = [...refusals(), ...lost];
        if (late.length > 0) throw new Refused(late);
        return this.#fold(next, how, prepared, work);
      });
    } catch (error) {
      await prepared.cancel();
      if (error instanceof Refused) return error.why;
      throw error;
    }
    const active = reconciler.activeConfig();
    prepared.take(new Set(active.providers.map(({ name }) => name)));
    this.#loaded = next;
    if (hook !== null) this.#replaceNotifier(hook.next);
    parts.metrics.attach(reconciler, parts.xids);
    for (const name of prepared.opened) parts.log("info", "provider opened", { provider: name });
    return [];
  }

  #fold(next: Loaded, { by, removesPools }: How, prepared: Prepared, work: UnitOfWork): Settings {
    const { parts, plane } = this.#from;
    const { reconciler } = plane;
    const from = {
      running: reconciler.activeConfig(),
      next: next.config,
      hash: hashConfig(next.config),
      policy: policyId(next.policy.policy),
      removesPools,
      defaultPool,
      by,
      now: parts.clock.wallMs(),
    };
    foldConfig(reconciler.fleet(), from, work);
    const config = withRemoved(next.config, work.allFacts());
    const known = new Set<string>(config.providers.map(({ name }) => name));
    const only = <T>(all: Map<string, T>) => new Map([...all].filter(([name]) => known.has(name)));
    const { providers, unavailable } = prepared;
    return {
      config,
      policy: next.policy,
      providers: only(providers),
      unavailable: only(unavailable),
    };
  }

  #replaceNotifier(next: ReturnType<Parts["openNotifier"]>): void {
    this.#notifier?.stop();
    this.#notifier = next;
    if (!this.#stopped) next?.start();
  }

  /** Called before the loop is stopped. */
  end(): void {
    this.#stopped = true;
    this.#notifier?.stop();
  }

  close(): Promise<void> {
    return this.#clouds.close();
  }
}

/** Settings of a role that opens no provider. */
export function closedSettings({ config, policy }: Loaded): Settings {
  // Known without opening the providers.
  const unavailable = unadapted(config.providers);
  return { config, policy, providers: new Map(), unavailable };
}

/** A standby writes nothing: it only shows the fleet by another configuration. */
export function openStandbyConfig(
  plane: ControlPlane,
  loaded: Loaded,
  refresh: () => Promise<void>,
): Adopter {
  let own = loaded;
  return {
    loaded: () => own,
    isUnsettled: () => false,
    async adopt(next, { removesPools }) {
      const asked = { running: own.config, next: next.config, removesPools };
      const refusals = refuseConfig(plane.reconciler.fleet(), asked);
      if (refusals.length > 0) return refusals;
      await plane.adopt(() => closedSettings(next));
      own = next;
      await refresh();
      return [];
    },
  };
}

/** A pool that the store knows by its nodes only leaves with the default drain settings. */
function defaultPool(name: PoolName): PoolConfig | null {
  const text = JSON.stringify({
    pools: [{ name, adopt: true, scaling: { min_nodes: 0, max_nodes: 1 } }],
  });
  const { config } = readConfig([{ name: "removed", text }]);
  const [pool] = config?.pools ?? [];
  return pool === undefined ? null : { ...pool, adopt: false };
}
