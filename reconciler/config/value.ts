/**
 * Reads single values of the tree. Each reader returns the value, or `null` after it reported what
 * was expected, what was found and what to write.
 */
import { TEXT_MAX } from "../../schema/config/field.ts";
import { cutText } from "../../schema/cut-text.ts";
import { parseDuration, formatDuration } from "../../schema/duration.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Bounds, Problems } from "./problem.ts";
import { describe, isAbsent, type Tree } from "./tree.ts";

export function wrongType(
  problems: Problems,
  tree: Tree,
  expected: string,
  hint: string | null = null,
): null {
  const message = `expected ${expected}, found ${describe(tree)}`;
  return problems.error(tree.at, tree.path, "type", message, hint);
}

/** Text of one line unless `line` is false; never empty. */
export function readText(problems: Problems, tree: Tree, line = true): string | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "string") {
    const quoted = tree.kind === "scalar" ? `write "${tree.source.slice(0, 40)}"` : null;
    return wrongType(problems, tree, "text", quoted);
  }
  const text = tree.value;
  const bad = (message: string) => problems.error(tree.at, tree.path, "text", message);
  if (text.trim() === "") return bad("must not be empty");
  if (text.length > TEXT_MAX) return bad(`longer than ${TEXT_MAX} characters`);
  if (text.includes("\0")) return bad("must not contain a NUL character");
  if (line && /[\u0000-\u001f\u007f]/.test(text)) return bad("must be one line of printable text");
  return text;
}

/** Scalars that are no text count as what was written; empty text counts as absent. */
export function readWord(problems: Problems, tree: Tree, prose = false): string | null {
  if (tree.kind !== "scalar") return wrongType(problems, tree, "text");
  if (tree.value === null || tree.value === "") return null;
  return typeof tree.value === "string" ? readText(problems, tree, !prose) : tree.source;
}

/** A mapping from names to words, in the order of the file. */
export function readWords(problems: Problems, tree: Tree): Record<string, string> | null {
  if (tree.kind !== "map") return wrongType(problems, tree, "a mapping");
  const words: Record<string, string> = {};
  for (const one of tree.entries) {
    const word = isAbsent(one.value) ? "" : readWord(problems, one.value);
    if (word !== null) Object.defineProperty(words, one.key, { value: word, ...ORDINARY });
  }
  return words;
}

/** Also for a key such as `__proto__`, which an assignment would not make a key. */
const ORDINARY = { enumerable: true, writable: true, configurable: true };

export function readNumber(
  problems: Problems,
  tree: Tree,
  bounds: Bounds = {},
  expected = "a number",
): number | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "number") {
    return wrongType(problems, tree, expected, dropQuotes(tree));
  }
  if (!Number.isFinite(tree.value)) return wrongType(problems, tree, "a finite number");
  return within(problems, tree, tree.value, bounds, String);
}

export function readInteger(problems: Problems, tree: Tree, bounds?: Bounds): number | null {
  const isFraction = tree.kind === "scalar" && typeof tree.value === "number";
  if (isFraction && !Number.isSafeInteger(tree.value)) {
    return wrongType(problems, tree, "a whole number");
  }
  return readNumber(problems, tree, bounds, "a whole number");
}

function dropQuotes(tree: Tree): string | null {
  if (tree.kind !== "scalar" || typeof tree.value !== "string") return null;
  const given = tree.value;
  return /^[+-]?\d+(\.\d+)?$/.test(given) ? `write ${cutText(given)} without quotes` : null;
}

export function readDuration(problems: Problems, tree: Tree, bounds: Bounds = {}): number | null {
  const text = tree.kind === "scalar" && typeof tree.value !== "boolean" ? tree.value : null;
  if (text === null) return wrongType(problems, tree, "a duration", "write for example 30s");
  const answer = parseDuration(text);
  if (answer.ok) return within(problems, tree, answer.ms, bounds, formatDuration);
  return problems.error(tree.at, tree.path, "duration", answer.message, answer.hint);
}

function within(
  problems: Problems,
  tree: Tree,
  value: number,
  { min, max, above }: Bounds,
  print: (value: number) => string,
): number | null {
  const bad = (message: string) => problems.error(tree.at, tree.path, "range", message);
  if (min === 0 && value < 0) return bad("must not be negative");
  if (min !== undefined && value < min) return bad(`must be at least ${print(min)}`);
  if (above !== undefined && value <= above) return bad(`must be above ${print(above)}`);
  if (max !== undefined && value > max) return bad(`must be at most ${print(max)}`);
  return value;
}

export function readFlag(problems: Problems, tree: Tree): boolean | null {
  if (tree.kind !== "scalar" || typeof tree.value === "number") {
    return wrongType(problems, tree, "true or false");
  }
  if (typeof tree.value === "boolean") return tree.value;
  const word = tree.value?.toLowerCase() ?? "";
  if (tree.plain && (word === "true" || word === "false")) return word === "true";
  const meant = FLAG_WORDS.get(word);
  return wrongType(problems, tree, "true or false", meant ? `write ${meant}` : null);
}

/** A map, because a file may hold any word, `constructor` too. */
const FLAG_WORDS: ReadonlyMap<string, string> = new Map([
  ["yes", "true"],
  ["on", "true"],
  ["y", "true"],
  ["true", "true without quotes"],
  ["no", "false"],
  ["off", "false"],
  ["n", "false"],
  ["false", "false without quotes"],
]);

export function readChoice<T extends string>(
  problems: Problems,
  tree: Tree,
  allowed: readonly T[],
): T | null {
  const text = readText(problems, tree);
  if (text === null) return null;
  const found = allowed.find((one) => one === text);
  if (found !== undefined) return found;
  const close = nearest(text, allowed);
  const hint = close === null ? "" : `; did you mean "${close}"?`;
  const message = `${JSON.stringify(text.slice(0, 60))} is not one of the allowed values`;
  const all = `allowed: ${allowed.join(", ")}${hint}`;
  return problems.error(tree.at, tree.path, "choice", message, all);
}

export function readItems(problems: Problems, tree: Tree): Tree[] | null {
  if (tree.kind === "list") return tree.items;
  const hint = tree.kind === "scalar" ? `write [${tree.source.slice(0, 40)}]` : null;
  return wrongType(problems, tree, "a list", hint);
}

export function readTexts(problems: Problems, tree: Tree): string[] | null {
  const texts = readItems(problems, tree)?.map((item) => readText(problems, item));
  return texts?.filter((text) => text !== null) ?? null;
}
