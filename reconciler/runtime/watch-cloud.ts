/**
 * Lists the clouds: one listing of each provider at a time, more often while a change is in flight
 * there. A listing is a fact with the instant of its begin; the next activation folds it. It
 * neither decides nor retries.
 */
import type { Clock } from "../core/clock.ts";
import type { Listing, Provider } from "../core/provider.ts";
import { backoffMs } from "../core/turn/backoff.ts";
import { callInTime } from "./act/in-time.ts";

type Watched = {
  provider: Provider;
  inFlight: boolean;
  nextMono: number;
  failures: number;
  /** What the last listing took. */
  tookMs: number;
};

/** Milliseconds between listings; a real cloud permits about one request a second. */
const BUSY_MS = { own: 250, cluster: 1_000, other: 10_000 };
const IDLE_MS = { own: 5_000, cluster: 5_000, other: 30_000 };
/** Providers whose listings cost nothing. */
const OWN: readonly string[] = ["fake", "machine", "ssh", "static"];
/** An API server has no limit a second, and thousands of Nodes take it a while: a tenth of it. */
const CLUSTER: readonly string[] = ["kwok"];
const CLUSTER_REST = 9;

function watch(provider: Provider): Watched {
  return { provider, inFlight: false, nextMono: 0, failures: 0, tookMs: 0 };
}

export class CloudWatch {
  private watched: Watched[];
  private readonly clock: Clock;
  private readonly wakeUp: () => void;
  private done: Listing[] = [];

  constructor(providers: Iterable<Provider>, clock: Clock, wakeUp: () => void) {
    this.watched = [...providers].map(watch);
    this.clock = clock;
    this.wakeUp = wakeUp;
  }

  /** Listings of providers that were closed or opened again do not count. */
  adopt(providers: Iterable<Provider>): void {
    const known = new Map(this.watched.map((one) => [one.provider, one]));
    this.watched = [...providers].map((provider) => known.get(provider) ?? watch(provider));
    const kept = this.watched.filter(({ provider }) => known.has(provider));
    const names = new Set(kept.map(({ provider }) => provider.name));
    this.done = this.done.filter(({ provider }) => names.has(provider));
  }

  /** Starts the listings that are due. `busy` names providers with a change in flight. */
  look(busy: ReadonlySet<string>): void {
    const mono = this.clock.monoMs();
    for (const one of this.watched) {
      const cap = mono + this.pauseMs(one, busy.has(one.provider.name));
      if (one.nextMono > cap) one.nextMono = cap;
      if (one.inFlight || one.nextMono > mono) continue;
      one.inFlight = true;
      const startedAt = this.clock.wallMs();
      void this.list(one, startedAt, busy);
    }
  }

  /** Milliseconds until the next listing is due. */
  nextMs(busy: ReadonlySet<string>): number {
    const mono = this.clock.monoMs();
    let least = Number.POSITIVE_INFINITY;
    for (const one of this.watched) {
      if (one.inFlight) continue;
      least = Math.min(least, one.nextMono - mono, this.pauseMs(one, busy.has(one.provider.name)));
    }
    return Math.max(0, least);
  }

  /** Listings that ended since the last call, oldest first. */
  take(): Listing[] {
    const done = this.done;
    this.done = [];
    return done;
  }

  private pauseMs(one: Watched, busy: boolean): number {
    const table = busy ? BUSY_MS : IDLE_MS;
    const { type } = one.provider;
    const base = OWN.includes(type)
      ? table.own
      : CLUSTER.includes(type)
        ? Math.max(table.cluster, CLUSTER_REST * one.tookMs)
        : table.other;
    return one.failures === 0 ? base : backoffMs(one.failures + 1, Math.max(base, 1_000), 60_000);
  }

  private async list(one: Watched, startedAt: number, busy: ReadonlySet<string>): Promise<void> {
    const startedMono = this.clock.monoMs();
    const answer = await callInTime(this.clock, () => one.provider.list());
    if (!this.watched.includes(one)) return;
    one.inFlight = false;
    one.tookMs = this.clock.monoMs() - startedMono;
    one.failures = answer.kind === "ok" ? 0 : one.failures + 1;
    one.nextMono = this.clock.monoMs() + this.pauseMs(one, busy.has(one.provider.name));
    this.done.push({ provider: one.provider.name, startedAt, answer });
    this.wakeUp();
  }
}
