/**
 * Reads one mapping: each getter names a key and its type, reports a wrong value, and marks the key
 * as known, so that `finish` can refuse the other keys with the nearest name or their right place.
 */
import { nearest } from "../../schema/nearest.ts";
import { homeOf, RETIRED, WITHDRAWN } from "./home.ts";
import type { Bounds, Place, Problems } from "./problem.ts";
import { type Entry, findEntry, isAbsent, joinPath, type Tree } from "./tree.ts";
import {
  readChoice,
  readDuration,
  readFlag,
  readInteger,
  readItems,
  readNumber,
  readText,
  readTexts,
  wrongType,
} from "./value.ts";

/** Why an unknown key is wrong, where a reader knows better than the tables. */
export type Explain = (key: string) => { message: string; hint: string } | null;

/** The section that a misplaced key belongs to; only the configuration has such a table. */
export type Homes = (key: string) => string | null;

export type Section = {
  readonly path: string;
  /** The key that opened the mapping, or where a missing one would have to stand. */
  readonly at: Place;
  /** False if the mapping is absent or is not a mapping. */
  readonly given: boolean;
  readonly problems: Problems;
  /** True if the key has a value, valid or not. */
  has(key: string): boolean;
  /** The entry itself; the key counts as known. */
  look(key: string): Entry | null;
  read<T>(key: string, reader: (problems: Problems, tree: Tree) => T | null): T | null;
  text(key: string): string | null;
  /** Text that may have several lines. */
  prose(key: string): string | null;
  integer(key: string, bounds?: Bounds): number | null;
  number(key: string, bounds?: Bounds): number | null;
  flag(key: string): boolean | null;
  /** Value and bounds in milliseconds. */
  duration(key: string, bounds?: Bounds): number | null;
  choice<T extends string>(key: string, allowed: readonly T[]): T | null;
  items(key: string): Tree[] | null;
  texts(key: string): string[] | null;
  map(key: string): Section;
  /** The mappings of a list that has 1 to `max` entries, each called a `what`. */
  list(key: string, what: string, max?: number): Section[];
  /** All entries; all of them count as known. */
  entries(): readonly Entry[];
  /** An error at a key's value, or at the mapping if the key is absent. */
  fail(key: string, code: string, message: string, hint?: string | null): null;
  /** A warning at the same place. */
  warn(key: string, code: string, message: string, hint?: string | null): null;
  /** The error of a required key that is absent. */
  missing(key: string, hint?: string | null): null;
  /** Refuses unknown keys; `also` are further spellings to suggest. */
  finish(explain?: Explain, also?: readonly string[]): void;
};

/** Reads `tree` as a mapping; a value of another kind is an error and reads as an empty mapping. */
export function readSection(
  problems: Problems,
  tree: Tree | null,
  wherePath: string,
  at: Place,
  homes: Homes = homeOf,
): Section {
  const map = tree?.kind === "map" ? tree : null;
  const isGiven = tree !== null && !isAbsent(tree);
  const path = isGiven ? tree.path : wherePath;
  if (isGiven && map === null) wrongType(problems, tree, "a mapping");
  const known = new Set<string>();
  const find = (key: string): Entry | null => (map === null ? null : findEntry(map, key));
  const whereOf = (key: string) => {
    const entry = find(key);
    if (entry === null) return { at, path: joinPath(path, key) };
    return { at: isAbsent(entry.value) ? entry.at : entry.value.at, path: entry.path };
  };
  const say =
    (kind: "error" | "warning"): Section["fail"] =>
    (key, code, message, hint = null) => {
      const where = whereOf(key);
      return problems[kind](where.at, where.path, code, message, hint);
    };
  const look = (key: string): Entry | null => {
    known.add(key);
    const entry = find(key);
    return entry === null || isAbsent(entry.value) ? null : entry;
  };
  const fail = say("error");
  const section: Section = {
    path,
    at,
    given: map !== null,
    problems,
    look,
    ...gettersOf(problems, look),
    has: (key) => look(key) !== null,
    map: (key) => {
      const entry = look(key);
      const where = whereOf(key);
      return readSection(problems, entry?.value ?? null, where.path, entry?.at ?? where.at, homes);
    },
    list: (key, what, max = Infinity) => {
      const items = section.items(key);
      if (!section.has(key)) section.missing(key, `at least one ${what}`);
      if (items?.length === 0) fail(key, "required", `needs at least one ${what}`);
      const kept = items?.slice(0, max) ?? [];
      if (items !== null && items.length > max) fail(key, "limit", `has more than ${max} ${what}s`);
      return kept.map((item) => {
        if (isAbsent(item)) wrongType(problems, item, "a mapping");
        return readSection(problems, item, item.path, item.at, homes);
      });
    },
    entries: () => {
      for (const { key } of map?.entries ?? []) known.add(key);
      return map?.entries ?? [];
    },
    fail,
    warn: say("warning"),
    missing: (key, hint = null) => fail(key, "required", "required", hint),
    finish: (explain, also = []) => {
      const names = [...known, ...also];
      for (const entry of map?.entries ?? []) {
        if (!known.has(entry.key)) refuseKey(problems, entry, names, explain, homes);
      }
    },
  };
  return section;
}

type Getter = "text" | "prose" | "integer" | "number" | "flag" | "duration" | "choice";

function gettersOf(
  problems: Problems,
  look: Section["look"],
): Pick<Section, Getter | "items" | "texts" | "read"> {
  const read: Section["read"] = (key, reader) => {
    const entry = look(key);
    return entry === null ? null : reader(problems, entry.value);
  };
  return {
    read,
    text: (key) => read(key, readText),
    prose: (key) => read(key, (all, tree) => readText(all, tree, false)),
    integer: (key, bounds) => read(key, (all, tree) => readInteger(all, tree, bounds)),
    number: (key, bounds) => read(key, (all, tree) => readNumber(all, tree, bounds)),
    flag: (key) => read(key, readFlag),
    duration: (key, bounds) => read(key, (all, tree) => readDuration(all, tree, bounds)),
    choice: (key, allowed) => read(key, (all, tree) => readChoice(all, tree, allowed)),
    items: (key) => read(key, readItems),
    texts: (key) => read(key, readTexts),
  };
}

function refuseKey(
  problems: Problems,
  { at, path, key }: Entry,
  known: readonly string[],
  explain: Explain | undefined,
  homes: Homes,
): null {
  const say = (code: string, message: string, hint: string | null) =>
    problems.error(at, path, code, message, hint);
  const withdrawn = WITHDRAWN.get(path);
  if (withdrawn !== undefined) {
    return problems.warning(at, path, "no_effect", "has no effect any more", withdrawn);
  }
  const own = explain?.(key) ?? null;
  if (own !== null) return say("misplaced", own.message, own.hint);
  const retired = RETIRED[key];
  if (retired !== undefined) return say("unknown_field", "unknown field", `write ${retired}`);
  const home = homes(key);
  if (home !== null) return say("misplaced", `belongs under ${home}`, null);
  const close = nearest(key, known);
  if (close !== null) return say("unknown_field", "unknown field", `did you mean "${close}"?`);
  const allowed = known.length > 0 ? `allowed: ${known.join(", ")}` : null;
  return say("unknown_field", "unknown field", allowed);
}
