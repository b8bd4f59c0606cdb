/**
 * One mapping being read: each getter says which key and type it wants, reports what is wrong with
 * the value found, and remembers the key, so that `finish` can refuse every key nobody asked for
 * with the nearest name or the place where it belongs.
 */
import { nearest } from "../../schema/nearest.ts";
import { homeOf, RETIRED } from "./home.ts";
import type { Bounds, Place, Problems } from "./problem.ts";
import { type Entry, findEntry, isAbsent, joinPath, type Tree, type TreeMap } from "./tree.ts";
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

/** Says why an unknown key is wrong, when a reader knows better than the tables. */
export type Explain = (key: string) => { message: string; hint: string } | null;

/** Where else a key would be at home; other documents than the configuration have no such table. */
export type Homes = (key: string) => string | null;

export type Section = {
  readonly path: string;
  /** The key that opened the mapping, or where a missing one would have to stand. */
  readonly at: Place;
  /** False if the mapping is absent or is not a mapping. */
  readonly given: boolean;
  readonly problems: Problems;
  /** True if the key is written with a value, sound or not. */
  has(key: string): boolean;
  /** The entry itself; the key counts as known. */
  look(key: string): Entry | null;
  text(key: string): string | null;
  /** Text that may have several lines. */
  prose(key: string): string | null;
  integer(key: string, bounds?: Bounds): number | null;
  number(key: string, bounds?: Bounds): number | null;
  flag(key: string): boolean | null;
  /** Milliseconds. Bounds are milliseconds. */
  duration(key: string, bounds?: Bounds): number | null;
  choice<T extends string>(key: string, allowed: readonly T[]): T | null;
  items(key: string): Tree[] | null;
  texts(key: string): string[] | null;
  map(key: string): Section;
  /** What the mapping holds, whatever its keys: all of them count as known. */
  entries(): readonly Entry[];
  /** An error at a key's value, or at the mapping if the key is absent. */
  fail(key: string, code: string, message: string, hint?: string | null): void;
  /** An error that a key is not there. */
  missing(key: string, hint?: string | null): void;
  /** Refuses the keys nobody asked for; `also` are further spellings worth suggesting. */
  finish(explain?: Explain, also?: readonly string[]): void;
};

/**
 * Reads `tree` as a mapping. A value of another kind is reported here, and reads as an empty
 * mapping.
 */
export function readSection(
  problems: Problems,
  tree: Tree | null,
  path: string,
  at: Place,
  homes: Homes = homeOf,
): Section {
  if (tree !== null && tree.kind !== "map" && !isAbsent(tree)) {
    wrongType(problems, tree, "a mapping");
    return sectionOf(problems, null, tree.path, at, homes);
  }
  const map = tree?.kind === "map" ? tree : null;
  return sectionOf(problems, map, map?.path ?? path, at, homes);
}

function sectionOf(
  problems: Problems,
  map: TreeMap | null,
  path: string,
  at: Place,
  homes: Homes,
): Section {
  const known = new Set<string>();
  const look = (key: string): Entry | null => {
    known.add(key);
    const entry = map === null ? null : findEntry(map, key);
    return entry === null || isAbsent(entry.value) ? null : entry;
  };
  const whereOf = (key: string) => {
    const entry = map === null ? null : findEntry(map, key);
    if (entry === null) return { at, path: joinPath(path, key) };
    return { at: isAbsent(entry.value) ? entry.at : entry.value.at, path: entry.path };
  };
  const fail: Section["fail"] = (key, code, message, hint = null) => {
    const where = whereOf(key);
    problems.error(where.at, where.path, code, message, hint);
  };
  return {
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
    entries: () => {
      for (const { key } of map?.entries ?? []) known.add(key);
      return map?.entries ?? [];
    },
    fail,
    missing: (key, hint = null) => fail(key, "required", "required", hint),
    finish: (explain, also = []) => {
      for (const entry of map?.entries ?? []) {
        if (known.has(entry.key)) continue;
        refuseKey(problems, entry, [...known, ...also], explain ?? (() => null), homes);
      }
    },
  };
}

type Look = (key: string) => Entry | null;
type Getter = "text" | "prose" | "integer" | "number" | "flag" | "duration" | "choice";

/** The typed getters of a mapping. */
function gettersOf(problems: Problems, look: Look): Pick<Section, Getter | "items" | "texts"> {
  const read =
    <B, T>(reader: (problems: Problems, tree: Tree, more: B) => T | null, more: B) =>
    (key: string): T | null => {
      const entry = look(key);
      return entry === null ? null : reader(problems, entry.value, more);
    };
  const within =
    (reader: (problems: Problems, tree: Tree, bounds: Bounds) => number | null) =>
    (key: string, bounds: Bounds = {}): number | null =>
      read(reader, bounds)(key);
  return {
    text: read(readText, true),
    prose: read(readText, false),
    integer: within(readInteger),
    number: within(readNumber),
    flag: read(readFlag, undefined),
    duration: within(readDuration),
    choice: (key, allowed) => {
      const entry = look(key);
      return entry === null ? null : readChoice(problems, entry.value, allowed);
    },
    items: read(readItems, undefined),
    texts: read(readTexts, undefined),
  };
}

/** Reports a key that has no meaning where it stands. */
function refuseKey(
  problems: Problems,
  entry: Entry,
  known: readonly string[],
  explain: Explain,
  homes: Homes,
): void {
  const say = (code: string, message: string, hint: string | null) =>
    problems.error(entry.at, entry.path, code, message, hint);
  const own = explain(entry.key);
  if (own !== null) return say("misplaced", own.message, own.hint);
  const retired = RETIRED[entry.key];
  if (retired !== undefined) return say("unknown_field", "unknown field", `write ${retired}`);
  const close = nearest(entry.key, known);
  const home = homes(entry.key);
  if (home !== null) return say("misplaced", `belongs under ${home}`, null);
  if (close !== null) return say("unknown_field", "unknown field", `did you mean "${close}"?`);
  say("unknown_field", "unknown field", known.length > 0 ? `allowed: ${known.join(", ")}` : null);
}
