/** Finds where a setting is written, for checks after reading, such as of a missing file. Pure. */
import type { Layer } from "./layer.ts";
import type { Place } from "./problem.ts";
import { findEntry, joinPath, type TreeMap } from "./tree.ts";

export type Found = { at: Place; path: string };

/**
 * The place of a setting by its canonical keys, in a pool or, with `null`, at the top level; the
 * nearest mapping if it is not written.
 */
export type Finder = (pool: string | null, keys: readonly string[]) => Found;

export function finderOf(layer: Layer): Finder {
  return (pool, keys) => {
    const tree = layer.pools.find((one) => one.name === pool);
    let map: TreeMap | null = tree === undefined ? layer.root : tree.map;
    let { at, path } = { at: tree?.at ?? layer.root.at, path: map.path };
    for (const key of keys) {
      const entry: ReturnType<typeof findEntry> = map === null ? null : findEntry(map, key);
      map = entry?.value.kind === "map" ? entry.value : null;
      at = entry?.value.at ?? at;
      path = entry?.path ?? joinPath(path, key);
    }
    return { at, path };
  };
}
