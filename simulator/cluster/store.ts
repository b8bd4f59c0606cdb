/**
 * What the server in memory holds: objects by key, one growing version for all of them, and the
 * recent changes, so that a watch can begin in the past until that past is compacted away.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import { clone, metaOf, nameOf, namespaceOf, formatInstant, withMeta } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { apiVersionOf, keyOf } from "./resource.ts";
import type { Resource } from "./resource.ts";

/** `before` is `null` for a new object, `after` for one that is gone. */
export type Change = {
  version: number;
  plural: string;
  before: KubeObject | null;
  after: KubeObject | null;
  /** What a watcher of a deletion sees: the last state at the version of its end. */
  object: KubeObject;
};

/** Changes kept for watches that begin in the past; the older ones are compacted. */
const CHANGES_MAX = 20_000;

/** `keys` are sorted; `null` after one came or went. */
type Table = { objects: Map<string, KubeObject>; keys: readonly string[] | null };

export class Store {
  /** Of the last change. */
  version = 1;
  readonly #clock: Clock;
  readonly #tables = new Map<string, Table>();
  readonly #takers = new Set<(change: Change) => void>();
  #changes: Change[] = [];
  #compacted = 0;
  #born = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(resource: Resource, namespace: string, name: string): KubeObject | undefined {
    return this.#tableOf(resource).objects.get(keyOf(namespace, name));
  }

  /** In the order of the keys; `""` = all namespaces. */
  list(resource: Resource, namespace: string): KubeObject[] {
    const prefix = `${namespace}/`;
    const table = this.#tableOf(resource);
    table.keys ??= [...table.objects.keys()].sort();
    const found: KubeObject[] = [];
    for (const key of table.keys) {
      const object =
        namespace === "" || key.startsWith(prefix) ? table.objects.get(key) : undefined;
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  /** Stores an object that is new, with an identity. */
  add(resource: Resource, object: KubeObject): KubeObject {
    const metadata = metaOf(object);
    const identity = {
      uid: metadata["uid"] ?? this.#nextUid(),
      creationTimestamp: metadata["creationTimestamp"] ?? formatInstant(this.#clock.wallMs()),
      ...(resource.counted ? { generation: 1 } : {}),
    };
    const { kind } = resource;
    const typed = { ...clone(object), apiVersion: apiVersionOf(resource), kind };
    return this.put(resource, withMeta(typed, identity));
  }

  put(resource: Resource, object: KubeObject): KubeObject {
    const table = this.#tableOf(resource);
    const key = keyOf(namespaceOf(object), nameOf(object));
    this.version += 1;
    const { version } = this;
    const after = withMeta(object, { resourceVersion: String(version) });
    const before = table.objects.get(key) ?? null;
    table.objects.set(key, after);
    if (before === null) table.keys = null;
    this.#keep({ version, plural: resource.plural, before, after, object: after });
    return after;
  }

  remove(resource: Resource, object: KubeObject): void {
    const table = this.#tableOf(resource);
    const key = keyOf(namespaceOf(object), nameOf(object));
    const before = table.objects.get(key);
    if (before === undefined) return;
    table.objects.delete(key);
    table.keys = null;
    this.version += 1;
    const { version } = this;
    const last = withMeta(before, { resourceVersion: String(version) });
    this.#keep({ version, plural: resource.plural, before, after: null, object: last });
  }

  /** Changes after `version`; `null` if some of them are compacted away. */
  since(plural: string, version: number): Change[] | null {
    if (version < this.#compacted) return null;
    return this.#changes.filter((change) => change.version > version && change.plural === plural);
  }

  compact(): void {
    this.#changes = [];
    this.#compacted = this.version;
  }

  /** `take` is called with every change, at once and in order. */
  listen(take: (change: Change) => void): () => void {
    this.#takers.add(take);
    return () => this.#takers.delete(take);
  }

  #tableOf({ plural }: Resource): Table {
    const table = this.#tables.get(plural) ?? { objects: new Map(), keys: null };
    this.#tables.set(plural, table);
    return table;
  }

  #keep(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length > CHANGES_MAX) {
      // Half at a time, so that the copy is rare.
      this.#changes = this.#changes.slice(CHANGES_MAX / 2);
      this.#compacted = (this.#changes[0]?.version ?? this.version) - 1;
    }
    for (const take of this.#takers) take(change);
  }

  /** UUID-shaped counter, so that runs are reproducible. */
  #nextUid(): string {
    this.#born += 1;
    return `00000000-0000-4000-8000-${this.#born.toString(16).padStart(12, "0")}`;
  }
}
