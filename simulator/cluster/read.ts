/**
 * Get and list as the API server does them. A list that is read in pages shows the state of its
 * first page to the end; a continuation that was forgotten meanwhile answers 410.
 */
import type { KubeAnswer } from "../../reconciler/kubernetes/api.ts";
import type { KubeObject } from "./json.ts";
import { apiVersionOf } from "./resource.ts";
import type { Target } from "./resource.ts";
import { parseSelector } from "./selector.ts";
import * as say from "./status.ts";
import type { World } from "./world.ts";

/** Unfinished lists that are kept; more than a few come from clients that never continue. */
const SNAPSHOTS_MAX = 64;

type Snapshot = { version: number; rest: readonly KubeObject[]; everything: boolean };

export class Lists {
  readonly #world: World;
  readonly #snapshots = new Map<string, Snapshot>();
  #count = 0;

  constructor(world: World) {
    this.#world = world;
  }

  list(target: Target, query: Readonly<Record<string, string>>): KubeAnswer {
    const selector = parseSelector(target.resource, query);
    if (selector.kind === "bad") return say.badRequest(selector.message);
    const limit = Number(query["limit"] ?? 0);
    const token = query["continue"] ?? "";
    if (token !== "") {
      const snapshot = this.#snapshots.get(token);
      if (snapshot !== undefined) return this.#page(target, snapshot, limit);
      const isToken = /^[A-Za-z0-9+/_-]{8,}=*$/.test(token);
      return isToken ? say.expired() : say.badRequest("invalid continue token");
    }
    const { store } = this.#world;
    const asked = Number(query["resourceVersion"] ?? 0);
    if (asked > store.version) return say.versionTooLarge(asked, store.version);
    const { matches, everything } = selector;
    const rest = store.list(target.resource, target.namespace).filter(matches);
    return this.#page(target, { version: store.version, rest, everything }, limit);
  }

  /** Forgets every unfinished list. */
  compact(): void {
    this.#snapshots.clear();
  }

  #page(target: Target, snapshot: Snapshot, limit: number): KubeAnswer {
    const { resource } = target;
    const { rest, version, everything } = snapshot;
    const items = limit > 0 ? rest.slice(0, limit) : rest;
    const left = rest.slice(items.length);
    const metadata: KubeObject = { resourceVersion: String(version) };
    if (left.length > 0) {
      this.#count += 1;
      const token = btoa(`{"v":"meta.k8s.io/v1","rv":${version},"start":"${this.#count}"}`);
      this.#snapshots.set(token, { version, rest: left, everything });
      const [oldest] = this.#snapshots.keys();
      if (this.#snapshots.size > SNAPSHOTS_MAX && oldest !== undefined) {
        this.#snapshots.delete(oldest);
      }
      metadata["continue"] = token;
      // With a selector the server does not know how many are left.
      if (everything) metadata["remainingItemCount"] = left.length;
    }
    // The items of a list carry no kind of their own.
    const bare = items.map(({ kind: _kind, apiVersion: _apiVersion, ...item }) => item);
    const kind = `${resource.kind}List`;
    return say.ok({ kind, apiVersion: apiVersionOf(resource), metadata, items: bare });
  }
}
