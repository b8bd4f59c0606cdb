/**
 * One mapping being read: each getter says which key and type it wants, reports what is wrong with
 * the value found, and remembers the key, so that `finish` can refuse every key nobody asked for
 * with the nearest name or the place where it belongs.
 */
import { parseDuration, printDuration } from "../../schema/duration.ts";
import { homeOf, RETIRED } from "./home.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Place, Problems } from "./problem.ts";
import {
  describe,
  type Entry,
  findEntry,
  isAbsent,
  joinPath,
  type Tree,
  type TreeMap,
} from "./tree.ts";

/** Longest text of one setting, as in `schema/config.ts`. */
const TEXT_MAX = 65_536;

export type Bounds = { min?: number; max?: number };

/** Says why an unknown key is wrong, when a reader knows better than the tables. */
export type Explain = (key: string) => { message: string; hint: string } | null;

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
): Section {
  if (tree !== null && tree.kind !== "map" && !isAbsent(tree)) {
    wrongType(problems, tree, "a mapping");
    return sectionOf(problems, null, tree.path, at);
  }
  const map = tree?.kind === "map" ? tree : null;
  return sectionOf(problems, map, map?.path ?? path, at);
}

function wrongType(problems: Problems, tree: Tree, expected: string, hint: string | null = null) {
  problems.error(tree.at, tree.path, "type", `expected ${expected}, found ${describe(tree)}`, hint);
}

function sectionOf(problems: Problems, map: TreeMap | null, path: string, at: Place): Section {
  const known = new Set<string>();
  const look = (key: string): Entry | null => {
    known.add(key);
    const entry = map === null ? null : findEntry(map, key);
    return entry === null || isAbsent(entry.value) ? null : entry;
  };
  const read =
    <B, T>(reader: (problems: Problems, tree: Tree, bounds: B) => T | null) =>
    (key: string, bounds: B): T | null => {
      const entry = look(key);
      return entry === null ? null : reader(problems, entry.value, bounds);
    };
  const withBounds =
    (reader: (problems: Problems, tree: Tree, bounds: Bounds) => number | null) =>
    (key: string, bounds: Bounds = {}) =>
      read(reader)(key, bounds);
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
    has: (key) => look(key) !== null,
    text: (key) => read(readText)(key, true),
    prose: (key) => read(readText)(key, false),
    integer: withBounds(readInteger),
    number: withBounds(readNumber),
    flag: (key) => read(readFlag)(key, undefined),
    duration: withBounds(readDuration),
    choice: (key, allowed) => read(readChoice<(typeof allowed)[number]>)(key, allowed),
    items: (key) => read(readItems)(key, undefined),
    texts: (key) => read(readTexts)(key, undefined),
    map: (key) => {
      const entry = look(key);
      const where = whereOf(key);
      return readSection(problems, entry?.value ?? null, where.path, entry?.at ?? where.at);
    },
    fail,
    missing: (key, hint = null) => fail(key, "required", "required", hint),
    finish: (explain, also = []) => {
      for (const entry of map?.entries ?? []) {
        if (!known.has(entry.key)) refuseKey(problems, entry, [...known, ...also], explain);
      }
    },
  };
}

/** Reports a key that has no meaning where it stands. */
function refuseKey(
  problems: Problems,
  entry: Entry,
  known: readonly string[],
  explain: Explain | undefined,
): void {
  const say = (code: string, message: string, hint: string | null) =>
    problems.error(entry.at, entry.path, code, message, hint);
  const own = explain?.(entry.key) ?? null;
  if (own !== null) return say("misplaced", own.message, own.hint);
  const retired = RETIRED[entry.key];
  if (retired !== undefined) return say("unknown_field", "unknown field", `write ${retired}`);
  const close = nearest(entry.key, known);
  const home = homeOf(entry.key);
  if (home !== null) return say("misplaced", `belongs under ${home}`, null);
  if (close !== null) return say("unknown_field", "unknown field", `did you mean "${close}"?`);
  say("unknown_field", "unknown field", known.length > 0 ? `allowed: ${known.join(", ")}` : null);
}

/** Text of one line unless `line` is false; never empty. */
export function readText(problems: Problems, tree: Tree, line: boolean): string | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "string") {
    const quoted = tree.kind === "scalar" ? `write "${tree.source.slice(0, 40)}"` : null;
    wrongType(problems, tree, "text", quoted);
    return null;
  }
  const text = tree.value;
  const bad = (message: string) => {
    problems.error(tree.at, tree.path, "text", message);
    return null;
  };
  if (text.trim() === "") return bad("must not be empty");
  if (text.length > TEXT_MAX) return bad(`longer than ${TEXT_MAX} characters`);
  if (text.includes("\0")) return bad("must not contain a NUL character");
  if (line && /[\u0000-\u001f\u007f]/.test(text)) return bad("must be one line of printable text");
  return text;
}

function readNumber(problems: Problems, tree: Tree, bounds: Bounds): number | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "number") {
    wrongType(problems, tree, "a number", dropQuotes(tree));
    return null;
  }
  if (!Number.isFinite(tree.value)) {
    wrongType(problems, tree, "a finite number");
    return null;
  }
  return within(problems, tree, tree.value, bounds, String);
}

function readInteger(problems: Problems, tree: Tree, bounds: Bounds): number | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "number") {
    wrongType(problems, tree, "a whole number", dropQuotes(tree));
    return null;
  }
  if (!Number.isSafeInteger(tree.value)) {
    wrongType(problems, tree, "a whole number");
    return null;
  }
  return within(problems, tree, tree.value, bounds, String);
}

function dropQuotes(tree: Tree): string | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "string") return null;
  return /^[+-]?\d+(\.\d+)?$/.test(tree.value) ? `write ${tree.value} without quotes` : null;
}

function readDuration(problems: Problems, tree: Tree, bounds: Bounds): number | null {
  const text = tree.kind === "scalar" && typeof tree.value !== "boolean" ? tree.value : null;
  if (text === null) {
    wrongType(problems, tree, "a duration", "write for example 30s");
    return null;
  }
  const answer = parseDuration(text);
  // Nothing here is finer than a millisecond, and whole numbers print back exactly.
  if (answer.ok) return within(problems, tree, Math.round(answer.ms), bounds, printDuration);
  problems.error(tree.at, tree.path, "duration", answer.message, answer.hint);
  return null;
}

function within(
  problems: Problems,
  tree: Tree,
  value: number,
  { min, max }: Bounds,
  print: (value: number) => string,
): number | null {
  const bad = (message: string) => {
    problems.error(tree.at, tree.path, "range", message);
    return null;
  };
  if (min === 0 && value < 0) return bad("must not be negative");
  if (min !== undefined && value < min) return bad(`must be at least ${print(min)}`);
  if (max !== undefined && value > max) return bad(`must be at most ${print(max)}`);
  return value;
}

export function readFlag(problems: Problems, tree: Tree): boolean | null {
  if (tree.kind === "scalar") {
    if (typeof tree.value === "boolean") return tree.value;
    if (typeof tree.value === "string") {
      const word = tree.value.toLowerCase();
      if (tree.plain && (word === "true" || word === "false")) return word === "true";
      const meant = FLAG_WORDS[word];
      wrongType(problems, tree, "true or false", meant === undefined ? null : `write ${meant}`);
      return null;
    }
  }
  wrongType(problems, tree, "true or false");
  return null;
}

const FLAG_WORDS: Record<string, string> = {
  yes: "true",
  on: "true",
  y: "true",
  true: "true without quotes",
  no: "false",
  off: "false",
  n: "false",
  false: "false without quotes",
};

function readChoice<T extends string>(
  problems: Problems,
  tree: Tree,
  allowed: readonly T[],
): T | null {
  const text = readText(problems, tree, true);
  if (text === null) return null;
  const found = allowed.find((one) => one === text);
  if (found !== undefined) return found;
  const close = nearest(text, allowed);
  const hint = close === null ? "" : `; did you mean "${close}"?`;
  const message = `${JSON.stringify(text.slice(0, 60))} is not one of the allowed values`;
  problems.error(tree.at, tree.path, "choice", message, `allowed: ${allowed.join(", ")}${hint}`);
  return null;
}

function readItems(problems: Problems, tree: Tree): Tree[] | null {
  if (tree.kind === "list") return tree.items;
  const hint = tree.kind === "scalar" ? `write [${tree.source.slice(0, 40)}]` : null;
  wrongType(problems, tree, "a list", hint);
  return null;
}

function readTexts(problems: Problems, tree: Tree): string[] | null {
  const items = readItems(problems, tree);
  if (items === null) return null;
  return items.map((item) => readText(problems, item, true)).filter((text) => text !== null);
}
