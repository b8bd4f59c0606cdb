/**
 * Moves values from other spellings to the canonical key before files are merged; they keep their
 * written path and position. Two spellings of one setting are a warning if equal, else an error.
 */
import { type Key, metaOf, type Table } from "../../schema/config/field.ts";
import { POOL } from "../../schema/config/pool.ts";
import { parseDuration } from "../../schema/duration.ts";
import type { Problems } from "./problem.ts";
import { findEntry, isAbsent, joinPath, type Tree, type TreeMap } from "./tree.ts";

/** An alternative spelling, and the path of canonical keys to which its value moves. */
type Move = readonly [from: string, to: readonly string[]];

/** The moves of a mapping: of its own keys, and with `../` of keys of a mapping inside it. */
export function movesOf(table: Table): Move[] {
  return Object.entries(table).flatMap(([key, field]) => {
    const keys = innerOf(field);
    const inside: readonly Move[] = keys === null || isSeveral(field) ? [] : upwardOf(keys);
    const here = spellingsOf(field).filter((from) => !from.startsWith("../"));
    return [
      ...inside.map(([from, to]): Move => [from, [key, ...to]]),
      ...here.map((from): Move => [from, [key]]),
    ];
  });
}

const upwardOf = (table: Table): Move[] =>
  Object.entries(table).flatMap(([key, field]) =>
    spellingsOf(field)
      .filter((from) => from.startsWith("../"))
      .map((from): Move => [from.slice(3), [key]]),
  );

function spellingsOf(field: Key): string[] {
  const meta = metaOf(field);
  if (meta.kind === "mapping") return [];
  return [...(meta.map === undefined ? [] : [meta.map]), ...(meta.also ?? [])];
}

function innerOf(field: Key): Table | null {
  const meta = metaOf(field);
  if (meta.kind === "mapping") return meta.keys;
  return meta.kind === "own" ? (meta.inner?.() ?? null) : null;
}

/** Of a list, or of a mapping from names. */
function isSeveral(field: Key): boolean {
  const meta = metaOf(field);
  return meta.kind === "own" && /of mappings$/.test(meta.type);
}

export const POOL_SPELLINGS: readonly string[] = movesOf(POOL).map(([from]) => from);

/** Every key in each of its spellings. */
export function wordsOf(table: Table): string[] {
  return Object.entries(table).flatMap(([key, field]) => {
    return [key, ...spellingsOf(field).filter((from) => !from.startsWith("../"))];
  });
}

/** Rewrites a mapping and those inside it, in place. */
export function canonical(problems: Problems, map: TreeMap, table: Table): void {
  for (const [from, to] of movesOf(table)) moveOne(problems, map, from, to);
  for (const [key, field] of Object.entries(table)) {
    const keys = innerOf(field);
    const value = findEntry(map, key)?.value;
    if (keys === null || value === undefined) continue;
    for (const inner of isSeveral(field) ? partsOf(value) : [value]) {
      if (inner.kind === "map") canonical(problems, inner, keys);
    }
  }
}

function moveOne(problems: Problems, map: TreeMap, from: string, to: readonly string[]): void {
  const entry = findEntry(map, from);
  if (entry === null) return;
  map.entries.splice(map.entries.indexOf(entry), 1);
  if (isAbsent(entry.value)) return;
  const last = to.at(-1) ?? from;
  const target = to.slice(0, -1).reduce<TreeMap | null>(ensureMap, map);
  // A parent that is no mapping is reported when it is read.
  if (target === null) return;
  const before = findEntry(target, last);
  if (before === null || isAbsent(before.value)) {
    target.entries = target.entries.filter((one) => one !== before);
    target.entries.push({ ...entry, key: last });
    return;
  }
  const where = `${before.path} at line ${before.at.line}`;
  const hint = "keep one of them";
  if (sameValue(entry.value, before.value)) {
    problems.warning(entry.at, entry.path, "alias_repeat", `says the same as ${where}`, hint);
  } else {
    const message = `contradicts ${where}, which is the same setting`;
    problems.error(entry.at, entry.path, "alias_conflict", message, hint);
  }
}

function partsOf(value: Tree): readonly Tree[] {
  if (value.kind === "list") return value.items;
  return value.kind === "map" ? value.entries.map((entry) => entry.value) : [];
}

/** The mapping below `key`, made if it is absent; `null` if something else is there. */
export function ensureMap(map: TreeMap | null, key: string): TreeMap | null {
  if (map === null) return null;
  const entry = findEntry(map, key);
  if (entry !== null && !isAbsent(entry.value)) {
    return entry.value.kind === "map" ? entry.value : null;
  }
  const path = joinPath(map.path, key);
  const made: TreeMap = { kind: "map", path, at: map.at, entries: [] };
  if (entry === null) map.entries.push({ key, path, at: map.at, value: made });
  else entry.value = made;
  return made;
}

/** Compares durations by length: `90s` = `1m30s`. */
export function sameValue(a: Tree, b: Tree): boolean {
  if (a.kind === "scalar" && b.kind === "scalar") {
    return a.value === b.value || sameDuration(a.value, b.value);
  }
  if (a.kind === "list" && b.kind === "list") {
    if (a.items.length !== b.items.length) return false;
    return a.items.every((item, i) => {
      const other = b.items[i];
      return other !== undefined && sameValue(item, other);
    });
  }
  if (a.kind !== "map" || b.kind !== "map" || a.entries.length !== b.entries.length) return false;
  return a.entries.every((entry) => {
    const other = findEntry(b, entry.key);
    return other !== null && sameValue(entry.value, other.value);
  });
}

function sameDuration(a: unknown, b: unknown): boolean {
  if (typeof a !== "string" || typeof b !== "string") return false;
  const [one, other] = [parseDuration(a), parseDuration(b)];
  return one.ok && other.ok && one.ms === other.ms;
}
