/**
 * Observations of the clouds by this process: complete listings, unclaimed instances and
 * implausible listings. Memory only, because a new process observes for itself.
 */
import type { Config } from "../../schema/config.ts";
import type { InstanceId } from "../../schema/id.ts";
import type { Fleet, ProviderSight } from "../core/fleet.ts";
import type { Sighting } from "../core/fold/listing.ts";
import type { Provider, Reach } from "../core/provider.ts";
import { REACHES_ANY } from "../core/reach.ts";
import { type Collapse, sayCollapse } from "../core/safety/collapse.ts";
import { restingProviders } from "../core/safety/rest.ts";
import type { Look } from "../core/stranger.ts";
import type { Clock } from "../core/clock.ts";
import { OfferWatch } from "./watch-offers.ts";
import { StrangerWatch } from "./watch-strangers.ts";

/** After this time without a listing of any cloud, the control plane's network is at fault. */
const CUT_MS = 60_000;
/** Failed listings in a row that count as trouble. */
const FAILURES_MIN = 3;

const UNAVAILABLE: Omit<ProviderSight, "unavailable"> = {
  class: "tag-only",
  settleMs: 0,
  listed: false,
  unlooked: false,
  trouble: null,
  bringsAgent: false,
  canReboot: false,
  reach: REACHES_ANY,
  offers: null,
};

type CloudSightFrom = {
  providers: ReadonlyMap<string, Provider>;
  /** Providers that could not be opened, with the reason. */
  unavailable: ReadonlyMap<string, string>;
  config: Pick<Config, "pools">;
};

export class CloudSight {
  sightings = new Map<string, Map<InstanceId, Sighting>>();
  collapsed = new Map<string, Collapse>();
  private readonly listed = new Set<string>();
  /** Failures since the last listing, by provider; `sinceMono` is the first one's instant. */
  private readonly failing = new Map<string, { sinceMono: number; count: number; why: string }>();
  private from: CloudSightFrom;
  private readonly offers: OfferWatch;
  private readonly strangers: StrangerWatch;

  constructor(from: CloudSightFrom, clock: Clock, wakeUp: () => void) {
    this.from = from;
    this.offers = new OfferWatch(from, clock, wakeUp);
    this.strangers = new StrangerWatch(from, clock, wakeUp);
  }

  private get providers(): ReadonlyMap<string, Provider> {
    return this.from.providers;
  }

  /** What exists at a provider that was opened again is unknown until it is listed. */
  adopt(next: CloudSightFrom): void {
    const names = new Set([...this.providers.keys(), ...this.listed, ...this.failing.keys()]);
    for (const name of names) {
      if (next.providers.get(name) === this.providers.get(name)) continue;
      this.listed.delete(name);
      this.failing.delete(name);
      if (next.providers.has(name)) continue;
      this.sightings.delete(name);
      this.collapsed.delete(name);
    }
    this.from = next;
    this.offers.adopt(next);
    this.strangers.adopt(next);
  }

  /** A complete listing was folded. */
  note(provider: string): void {
    this.listed.add(provider);
    this.failing.delete(provider);
  }

  /** A provider could not be listed. */
  noteFailure(provider: string, why: string, mono: number): void {
    const { sinceMono, count } = this.failing.get(provider) ?? { sinceMono: mono, count: 0 };
    this.failing.set(provider, { sinceMono, count: count + 1, why });
  }

  /** Why listings are unreliable now (docs/reference/safety.md#blindness). */
  doubts(mono: number): string[] {
    const out = [...this.collapsed].map(([name, one]) => sayCollapse(name, one));
    const names = [...this.providers.keys()];
    const isCut = (name: string): boolean =>
      mono - (this.failing.get(name)?.sinceMono ?? mono) >= CUT_MS;
    if (names.length > 0 && names.every(isCut)) {
      out.push(`no cloud can be reached: ${names.join(", ")}`);
    }
    return out;
  }

  /** Every provider was listed, and no instance there waits for a second listing. */
  isComplete(): boolean {
    return [...this.providers.keys()].every((name) => this.isKnown(name));
  }

  /** Whether it is known what exists at the provider; nothing is bought there before. */
  private isKnown(name: string): boolean {
    if (!this.listed.has(name)) return false;
    for (const { ignored } of this.sightings.get(name)?.values() ?? []) if (!ignored) return false;
    return true;
  }

  private listTrouble(name: string): string | null {
    const collapse = this.collapsed.get(name);
    return collapse === undefined ? this.unlistedWhy(name) : sayCollapse(name, collapse);
  }

  /** One failure of a cloud that was listed before says little. */
  private unlistedWhy(name: string): string | null {
    const failure = this.failing.get(name);
    if (failure === undefined) return null;
    if (this.listed.has(name) && failure.count < FAILURES_MIN) return null;
    return `its instances cannot be listed: ${failure.why}`;
  }

  reaches(): Map<string, Reach> {
    return new Map([...this.providers].map(([name, provider]) => [name, provider.reach()]));
  }

  settleMs(): Map<string, number> {
    return new Map([...this.providers].map(([name, { settleMs }]) => [name, settleMs]));
  }

  /** Reads prices, capacity and machines of other fleets where it is due. */
  read(fleet: Fleet, now: number): void {
    this.offers.look(restingProviders(fleet.facts, now));
    this.strangers.look(fleet);
  }

  /** Looks for machines of other fleets that ended since the last call. */
  looks(): Look[] {
    return this.strangers.take();
  }

  /** The providers as `decide` sees them. */
  sight(fleet: Fleet): Map<string, ProviderSight> {
    const out = new Map<string, ProviderSight>();
    for (const [name, provider] of this.providers) {
      out.set(name, {
        class: provider.class,
        settleMs: provider.settleMs,
        listed: this.isKnown(name),
        unlooked: this.strangers.isOpen(name, fleet),
        unavailable: null,
        trouble: this.listTrouble(name) ?? provider.trouble(),
        bringsAgent: provider.bringsAgent,
        canReboot: provider.canReboot,
        reach: provider.reach(),
        offers: this.offers.seen(name),
      });
    }
    for (const [name, why] of this.from.unavailable) {
      out.set(name, { ...UNAVAILABLE, unavailable: why });
    }
    return out;
  }

  /** Providers with a change in flight, which are listed more often. */
  busy(fleet: Fleet): Set<string> {
    const busy = new Set<string>();
    for (const { phase, instance } of fleet.nodes.values()) {
      if (instance === null || phase.kind === "gone") continue;
      const moving = phase.kind === "booting" || phase.kind === "terminating";
      if (moving || instance.absentSince !== null) busy.add(instance.provider);
    }
    for (const { payload } of fleet.operations.values()) {
      const asks = payload.kind === "create" || payload.kind === "terminate";
      if (asks) busy.add(payload.provider);
    }
    for (const name of this.providers.keys()) if (!this.isKnown(name)) busy.add(name);
    return busy;
  }
}
