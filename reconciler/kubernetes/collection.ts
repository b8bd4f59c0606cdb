/**
 * The objects of one collection as a list, a watch and the answers to our own writes tell them
 * together, in whatever order those arrive. Of one object the newest version stays; what the watch
 * has overtaken is not brought back. Pure but for its memory.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { WatchEvent } from "./api.ts";
import { isNewer } from "../core/kubernetes/object.ts";
import { type Identity, readIdentity, readObject } from "./read-field.ts";

export type Item = Identity & { namespace?: string };

export type CollectionOptions<T extends Item> = {
  /** What is kept of an object; `null` = nobody. */
  read: (json: unknown) => T | null;
  /** After each change, when it can be read already. `null` = was not, or is no longer, there. */
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
  /** Keys that `ingest` touched while a list is on its way: it may be older. */
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

  /** Every change up to this version is in here; empty = only a list can tell. */
  get seen(): string {
    return this.#seen;
  }

  values(): IterableIterator<T> {
    return this.#items.values();
  }

  get(key: string): T | undefined {
    return this.#items.get(key);
  }

  /** The next thing to come is a list. */
  forgetSeen(): void {
    this.#seen = "";
  }

  /** A list is asked for now; `replace` will bring it. */
  beginList(): void {
    this.#touched = new Set();
  }

  /** A whole list takes the place of everything but what was learnt since it began. */
  replace(items: readonly T[], seen: string): void {
    const touched = this.#touched ?? new Set<string>();
    this.#touched = null;
    this.#seen = seen;
    const before = this.#items;
    const after = new Map(items.map((item) => [keyOf(item), item]));
    for (const key of touched) {
      const held = before.get(key);
      // Of the list's state and ours, written while the list was read, the newer one stays.
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

  /** The answer to our own write, if it is newer than what is held. */
  ingest(item: T): void {
    const key = keyOf(item);
    const held = this.#items.get(key);
    if (held === undefined) {
      // The watch is past it and holds nothing: it was deleted since.
      if (this.#seen === "" || !isNewer(item.resourceVersion, this.#seen)) return;
    } else if (!isNewerItem(item, held)) return;
    this.#touched?.add(key);
    this.#put(key, item);
  }

  #upsert(object: unknown): void {
    const item = this.#options.read(object);
    if (item === null) return;
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
    // A successor of the same name that we made ourselves stays.
    if (held.uid !== item.uid && isNewerItem(held, item)) return;
    this.#drop(key, held);
  }

  /** The last state of an object may be one that `read` refuses; its UID is enough to find it. */
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
