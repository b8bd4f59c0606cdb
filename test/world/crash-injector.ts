/**
 * The crash injector: sits under the store, on the SQL client, and around the cloud, and kills the
 * process before or after the n-th of their calls. An injector above the store would miss an
 * outcome and its node written in two transactions.
 */
import type { Client } from "@libsql/client";
import type { Provider } from "../../reconciler/core/provider.ts";
import type { SlurmClient } from "../../reconciler/core/slurm/client.ts";
import type { KubeApi, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { aroundProvider } from "../../reconciler/provider/around.ts";
import type { Scheduler } from "../../reconciler/core/kubernetes/scheduler.ts";
import { aroundScheduler } from "./around.ts";
import { turn } from "../../simulator/engine/clock.ts";

/** The process is dead from here on: every later call of the same life fails the same way. */
export class Crash extends Error {}

/** One side of one call: `b` before it has any effect, `a` after it and before its answer. */
export type Point = { n: number; side: "b" | "a"; what: string };

export class CrashInjector {
  /** Calls passed so far, over all lives. */
  count = 0;
  dead = false;
  /** Sees every point that a living process passes, before it may die there. */
  watch: ((point: Point) => void) | null = null;
  /** Holds the process at a point until the promise resolves: SIGSTOP and SIGCONT. */
  hold: ((point: Point) => Promise<void> | null) | null = null;
  private readonly crashes: Set<string>;

  /**
   * Each crash is `<n>b` (before the n-th call has any effect) or `<n>a` (after it, before its
   * answer).
   */
  constructor(crashes: string[] = []) {
    this.crashes = new Set(crashes);
  }

  /** It dies at the n-th call from now, before it has any effect or before its answer. */
  arm(calls: number, side: "before" | "after"): void {
    this.crashes.add(`${this.count + calls}${side === "before" ? "b" : "a"}`);
  }

  /** The next life begins. */
  revive(): void {
    this.dead = false;
  }

  client(client: Client): Client {
    return new Proxy(client, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as (...args: unknown[]) => unknown;
        if (name !== "execute" && name !== "batch" && name !== "migrate") return call;
        return (...args: unknown[]) =>
          this.pass(`sql.${String(name)}`, async () => {
            // A disk takes time: a caller that does not await it must be caught.
            if (name === "batch") await turn();
            return call(...args);
          });
      },
    });
  }

  provider(provider: Provider): Provider {
    return aroundProvider(provider, ({ op }, call) => this.pass(`cloud.${op}`, call));
  }

  scheduler(scheduler: Scheduler): Scheduler {
    return aroundScheduler(scheduler, ({ op }, call) => this.pass(`scheduler.${op}`, call));
  }

  /** This port never rejects: a call that dies stays pending. */
  kube(api: KubeApi): KubeApi {
    return {
      call: (request) =>
        this.pass(`kube.${whatOf(request)}`, () => api.call(request)).catch((error: unknown) => {
          if (error instanceof Crash) return new Promise<never>(() => undefined);
          throw error;
        }),
      watch: (path, query, take, options) =>
        api.watch(path, query, (event) => (this.dead ? undefined : take(event)), options),
      close: () => api.close(),
    };
  }

  /** This port never rejects either. */
  slurm(client: SlurmClient): SlurmClient {
    const pass = <T>(op: string, call: () => Promise<T>): Promise<T> =>
      this.pass(`slurm.${op}`, call).catch((error: unknown) => {
        if (error instanceof Crash) return new Promise<never>(() => undefined);
        throw error;
      });
    return {
      describe: () => client.describe(),
      nodes: (names) => {
        return pass(names === undefined ? "nodes" : "node", () => client.nodes(names));
      },
      jobs: () => pass("jobs", () => client.jobs()),
      reservations: () => pass("reservations", () => client.reservations()),
      update: (names, change) => pass(`${change.state}`, () => client.update(names, change)),
      remove: (names) => pass("remove", () => client.remove(names)),
      requeue: (job, hold) => pass("requeue", () => client.requeue(job, hold)),
      signal: (jobs, signal) => pass("signal", () => client.signal(jobs, signal)),
    };
  }

  private async pass<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.dead) throw new Crash("dead");
    const n = ++this.count;
    await this.at({ n, side: "b", what });
    const result = await work();
    await this.at({ n, side: "a", what });
    return result;
  }

  private async at(point: Point): Promise<void> {
    if (this.dead) throw new Crash("dead");
    this.watch?.(point);
    if (this.crashes.has(`${point.n}${point.side}`)) this.die();
    const held = this.hold?.(point) ?? null;
    if (held === null) return;
    await held;
    if (this.dead) throw new Crash("dead");
  }

  private die(): never {
    this.dead = true;
    throw new Crash(`crash at call ${this.count}`);
  }
}

/** `patch nodes`, `create eviction`, `list pods`. */
function whatOf({ verb, path }: KubeRequest): string {
  const steps = path.split("/");
  const named = steps.findLast((step) => /^(nodes|pods|leases|events|[a-z]+sets)$/.test(step));
  const isEviction = steps.at(-1) === "eviction";
  const isStatus = steps.at(-1) === "status";
  return `${verb} ${isEviction ? "eviction" : (named ?? path)}${isStatus ? "/status" : ""}`;
}
