/**
 * Merges one collection's objects from lists, watch events and the answers to our own writes, in
 * any order. The newest version of an object stays; a deletion that the watch has passed is not
 * undone. Pure except for its memory.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { WatchEvent } from "./api.ts";
import { isNewer } from "../core/kubernetes/object.ts";
import { type Identity, readIdentity, readObject } from "./read-field.ts";

export type Item = Identity & { namespace?: string };

export type CollectionOptions<T extends Item> = {
  /** The fields of an object that are used; `null`: the object is ignored. */
  read: (json: unknown) => T | null;
  /** Called after each change. `null`: the object did not, or does no longer, exist. */
  changed: (before: T | null, after: T | null) => void;
};

/** By `name`, or by `namespace/name`. */
const keyOf = ({ namespace, name }: Item): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

export class Collection<T extends Item> {
  readonly #options: CollectionOptions<T>;
  #items = new Map<string, T>();
  #version = 0;
  #seen = "";
  /** Keys that `ingest` wrote while a list is in flight, which may be older. */
  #touched: Set<string> | null = null;

  constructor(options: CollectionOptions<T>) {
    this.#options = options;
  }

  /** Grows with every change, and only then. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#items.size;
  }

  /** All changes up to this version are included; empty: a list is needed. */
  get seen(): string {
    return this.#seen;
  }

  values(): IterableIterator<T> {
    return this.#items.values();
  }

  get(key: string): T | undefined {
    return this.#items.get(key);
  }

  /** The next read must be a list. */
  forgetSeen(): void {
    this.#seen = "";
  }

  /** A list is requested now; `replace` takes it. */
  beginList(): void {
    this.#touched = new Set();
  }

  /** Replaces everything by a complete list, except for newer own writes since `beginList`. */
  replace(items: readonly T[], seen: string): void {
    const touched = this.#touched ?? new Set<string>();
    this.#touched = null;
    this.#seen = seen;
    const before = this.#items;
    const after = new Map(items.map((item) => [keyOf(item), item]));
    for (const key of touched) {
      const held = before.get(key);
      // The newer one of the list's state and our own write stays.
      const than = after.get(key)?.resourceVersion ?? seen;
      if (held !== undefined && isNewer(held.resourceVersion, than)) after.set(key, held);
    }
    this.#items = after;
    for (const [key, held] of before) {
      if (!after.has(key)) this.#tell(held, null);
    }
    for (const [key, item] of after) {
      const held = before.get(key);
      if (held === undefined || !isSame(held, item)) this.#tell(held ?? null, item);
    }
  }

  hear({ type, object }: WatchEvent): void {
    switch (type) {
      case "ADDED":
      case "MODIFIED":
        this.#upsert(object);
        break;
      case "DELETED":
        this.#deleted(object);
        break;
      case "BOOKMARK":
        break;
      default:
        unreachable(type);
    }
    const { resourceVersion } = readObject(readObject(object)["metadata"]);
    if (typeof resourceVersion === "string" && resourceVersion !== "") {
      this.#seen = resourceVersion;
    }
  }

  /** Takes the answer to our own write, if it is newer than the copy. */
  ingest(item: T): void {
    const key = keyOf(item);
    const held = this.#items.get(key);
    if (held === undefined) {
      // The watch has passed this version, so the object was deleted since.
      if (this.#seen === "" || !isNewer(item.resourceVersion, this.#seen)) return;
    } else if (!isNewerItem(item, held)) return;
    this.#touched?.add(key);
    this.#put(key, item);
  }

  #upsert(object: unknown): void {
    const item = this.#options.read(object);
    if (item === null) {
      this.#leave(object);
      return;
    }
    const key = keyOf(item);
    const held = this.#items.get(key);
    if (held === undefined || isNewerItem(item, held)) this.#put(key, item);
  }

  #deleted(object: unknown): void {
    const item = this.#options.read(object);
    if (item === null) {
      this.#deletedUnread(object);
      return;
    }
    const key = keyOf(item);
    const held = this.#items.get(key);
    if (held === undefined) return;
    // A successor of the same name that we created stays.
    if (held.uid !== item.uid && isNewerItem(held, item)) return;
    this.#drop(key, held);
  }

  /** A held object changed into one that `read` ignores. */
  #leave(object: unknown): void {
    const metadata = readObject<Item>(readObject(object)["metadata"]);
    const identity = readIdentity(metadata);
    if (identity === null) return;
    const { namespace } = metadata;
    const place = typeof namespace === "string" ? { namespace } : {};
    const key = keyOf({ ...identity, ...place });
    const held = this.#items.get(key);
    if (held?.uid === identity.uid && isNewerItem(identity, held)) this.#drop(key, held);
  }

  /** `read` may refuse the last state of an object; the UID is enough to find it. */
  #deletedUnread(object: unknown): void {
    const identity = readIdentity(readObject(readObject(object)["metadata"]));
    if (identity === null) return;
    for (const [key, held] of this.#items) {
      if (held.uid === identity.uid) {
        this.#drop(key, held);
        return;
      }
    }
  }

  #put(key: string, item: T): void {
    const before = this.#items.get(key) ?? null;
    this.#items.set(key, item);
    this.#tell(before, item);
  }

  #drop(key: string, held: T): void {
    this.#items.delete(key);
    this.#tell(held, null);
  }

  #tell(before: T | null, after: T | null): void {
    this.#version += 1;
    this.#options.changed(before, after);
  }
}

const isNewerItem = (item: Item, than: Item): boolean =>
  isNewer(item.resourceVersion, than.resourceVersion);

const isSame = (a: Item, b: Item): boolean =>
  a.resourceVersion === b.resourceVersion && a.uid === b.uid;
