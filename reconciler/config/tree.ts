/**
 * The located tree: maps, lists and scalars with place and path. Aliases and merge keys are
 * expanded, so that each value has one place and may be moved.
 */
import type { Place } from "./problem.ts";

export type Entry = { key: string; path: string; at: Place; value: Tree };
export type Scalar = {
  kind: "scalar";
  path: string;
  at: Place;
  value: string | number | boolean | null;
  /** Written without quotes, so `yes` may be meant as a boolean. */
  plain: boolean;
  /** As written, without quotes. */
  source: string;
  /** The file position of line `line`, column `col` (from 1) of this text. */
  inside(line: number, col: number): Place;
};
export type TreeMap = { kind: "map"; path: string; at: Place; entries: Entry[] };
export type TreeList = { kind: "list"; path: string; at: Place; items: Tree[] };
export type Tree = TreeMap | TreeList | Scalar;

/** A key without a value (`labels:`) counts as absent. */
export function isAbsent(tree: Tree): boolean {
  return tree.kind === "scalar" && tree.value === null;
}

export function findEntry(map: TreeMap, key: string): Entry | null {
  return map.entries.find((entry) => entry.key === key) ?? null;
}

const PATH_KEY_MAX = 64;

/** `pools` + `blue` → `pools.blue`; a key that would not read well is quoted: `labels["a/b"]`. */
export function joinPath(path: string, key: string): string {
  const cut = key.length > PATH_KEY_MAX ? `${key.slice(0, PATH_KEY_MAX)}…` : key;
  if (!/^[A-Za-z0-9_-]+$/.test(key)) return `${path}[${JSON.stringify(cut)}]`;
  return path === "" ? cut : `${path}.${cut}`;
}

/** The value in the words of an error message. */
export function describe(tree: Tree): string {
  if (tree.kind === "map") return "a mapping";
  if (tree.kind === "list") return "a list";
  if (tree.value === null) return "nothing";
  if (typeof tree.value === "string") {
    const cut = tree.value.length > 40 ? `${tree.value.slice(0, 40)}…` : tree.value;
    return `text ${JSON.stringify(cut)}`;
  }
  return typeof tree.value === "number" ? `the number ${tree.source}` : tree.source;
}
