/**
 * One copy of a collection over several namespaces: a reflector for each, merged. A missing custom
 * resource definition is no failure of the cluster, so the copy is then unknown and not dark.
 */
import type { Copy } from "../core/agentpool/model.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import type { Item } from "../kubernetes/collection.ts";
import { darkCopy, Reflector } from "../kubernetes/reflector.ts";

export type CopyOptions<T extends Item> = {
  api: KubeApi;
  clock: Clock;
  random: () => number;
  log: Log;
  /** In messages: `AgentPools`. */
  what: string;
  /** Empty: all. */
  namespaces: readonly string[];
  /** Of the collection; `null`: in all namespaces. */
  path: (namespace: string | null) => string;
  read: (json: unknown) => T | null;
  changed: () => void;
};

export class Copies<T extends Item> {
  readonly #what: string;
  readonly #reflectors: readonly Reflector<T>[];
  /** By namespace; empty with one for all. */
  readonly #inside = new Map<string, Reflector<T>>();
  #list: { version: number; list: readonly T[] } | null = null;

  constructor({ what, namespaces, path, ...common }: CopyOptions<T>) {
    this.#what = what;
    const log: Log = (level, msg, fields) => {
      // Without the resource the server answers 404 (docs/reference/agentpool.md). The owner says
      // so, once.
      common.log(fields?.["status"] === 404 ? "debug" : level, msg, fields);
    };
    const open = (namespace: string | null) =>
      new Reflector<T>({ ...common, log, path: path(namespace), query: {} });
    for (const one of namespaces) this.#inside.set(one, open(one));
    this.#reflectors = namespaces.length === 0 ? [open(null)] : [...this.#inside.values()];
  }

  start(): void {
    for (const one of this.#reflectors) one.start();
  }

  stop(): void {
    for (const one of this.#reflectors) one.stop();
  }

  /** Never listed, because the server has no such resource. */
  get isUninstalled(): boolean {
    return this.#reflectors.some((one) => !one.synced() && one.unknown);
  }

  get(key: string): T | undefined {
    for (const one of this.#reflectors) {
      const found = one.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Takes the answer to our own write. */
  ingest(item: T & { namespace: string }): void {
    const all = this.#inside.size === 0 ? this.#reflectors[0] : undefined;
    (this.#inside.get(item.namespace) ?? all)?.ingest(item);
  }

  view(): Copy<T> {
    const version = this.#reflectors.reduce((sum, one) => sum + one.version, 0);
    if (this.#list?.version !== version) {
      this.#list = { version, list: this.#reflectors.flatMap((one) => [...one.values()]) };
    }
    const isKnown = this.#reflectors.some((one) => one.synced());
    const missing = this.isUninstalled;
    const darks = this.#reflectors.map((one) => darkCopy(this.#what, one));
    const [first = null] = darks;
    const dark = missing || darks.includes(null) ? null : first;
    return { version, isKnown, dark, darkIn: this.#darkIn(), list: this.#list.list };
  }

  /** An account may lack the rights in one namespace: the pools of the others go on. */
  #darkIn(): ReadonlyMap<string, string> {
    const dark = new Map<string, string>();
    if (this.isUninstalled) return dark;
    for (const [namespace, one] of this.#inside) {
      const why = darkCopy(this.#what, one);
      if (why !== null) dark.set(namespace, `namespace ${namespace}: ${why}`);
    }
    return dark;
  }

  /** Namespaces that were refused or lost, and why; those that are being listed first are not. */
  troubles(): ReadonlyMap<string, string> {
    const dark = [...this.#darkIn()];
    return new Map(dark.filter(([one]) => this.#inside.get(one)?.problem != null));
  }
}
