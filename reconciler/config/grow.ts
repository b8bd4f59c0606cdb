/**
 * Converts the nodes of the YAML library to the located tree. Aliases and merge keys are expanded
 * up to a limit; duplicate keys and tags beyond YAML's core schema are refused.
 */
import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Pair,
  type Scalar as YamlScalar,
  type YAMLMap,
} from "yaml";
import { LIMIT } from "../../schema/limit.ts";
import { type Place, type Problems, quoteShort } from "./problem.ts";
import { type Entry, joinPath, type Scalar, type Tree } from "./tree.ts";

type At = (offset: number) => Place;
type Node = { range?: [number, number, number] | null | undefined; tag?: string | undefined };

/** Levels after expansion. */
const DEPTH_MAX = 60;
const CORE_TAG = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/;

class TooMuch extends Error {}

type Grow = {
  text: string;
  at: At;
  problems: Problems;
  anchors: Map<string, unknown>;
  /** Anchors being expanded: an alias to one of them contains itself. */
  open: Set<unknown>;
  left: number;
  depth: number;
};

/** The tree of one document, or `null` when it is too large after expansion. */
export function growTree(document: Document.Parsed, text: string, at: At, problems: Problems) {
  const grow: Grow = {
    text,
    at,
    problems,
    anchors: new Map(),
    open: new Set(),
    left: LIMIT.configNodesMax,
    depth: 0,
  };
  try {
    return growNode(grow, document.contents, "", at(0));
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error;
    const hint = `at most ${LIMIT.configNodesMax} values`;
    return problems.error(at(0), "", "limit", error.message, hint);
  }
}

function startOf(grow: Grow, node: unknown, fallback: Place): Place {
  const range = (node as Node | null)?.range;
  return range ? grow.at(range[0]) : fallback;
}

function growNode(grow: Grow, node: unknown, path: string, near: Place): Tree {
  grow.left -= 1;
  if (grow.left < 0) throw new TooMuch("too many values");
  if (grow.depth > DEPTH_MAX) throw new TooMuch("nested too deeply");
  const at = startOf(grow, node, near);
  if (isAlias(node)) return growAlias(grow, node.source, path, at);
  const anchor = (node as { anchor?: string } | null)?.anchor;
  if (anchor !== undefined) grow.anchors.set(anchor, node);
  checkTag(grow, node, path, at);
  grow.depth += 1;
  if (anchor !== undefined) grow.open.add(node);
  const tree = growBody(grow, node, path, at);
  if (anchor !== undefined) grow.open.delete(node);
  grow.depth -= 1;
  return tree;
}

function growBody(grow: Grow, node: unknown, path: string, at: Place): Tree {
  if (isMap(node)) return { kind: "map", path, at, entries: growEntries(grow, node, path) };
  if (isSeq(node)) {
    const items = node.items.map((item, i) => growNode(grow, item, `${path}[${i}]`, at));
    return { kind: "list", path, at, items };
  }
  if (isScalar(node)) return growScalar(grow, node, path, at);
  return emptyScalar(path, at);
}

function emptyScalar(path: string, at: Place): Scalar {
  return { kind: "scalar", path, at, value: null, plain: true, source: "", inside: () => at };
}

function checkTag(grow: Grow, node: unknown, path: string, at: Place): void {
  const tag = (node as Node | null)?.tag;
  if (tag === undefined || CORE_TAG.test(tag)) return;
  grow.problems.error(at, path, "tag", `the tag ${quoteShort(tag)} is not allowed`, "remove it");
}

function growAlias(grow: Grow, name: string, path: string, at: Place): Tree {
  const target = grow.anchors.get(name);
  if (target === undefined || grow.open.has(target)) {
    const problem = target === undefined ? "has no anchor before it" : "contains itself";
    grow.problems.error(at, path, "alias", `*${name.slice(0, 40)} ${problem}`);
    return emptyScalar(path, at);
  }
  grow.open.add(target);
  grow.depth += 1;
  const tree = growBody(grow, target, path, startOf(grow, target, at));
  grow.depth -= 1;
  grow.open.delete(target);
  return tree;
}

/** The key as written: `1: x` has the key "1"; `null` for a list or a mapping. */
function keyText(key: unknown): string | null {
  if (!isScalar(key)) return null;
  if (typeof key.value === "string") return key.value;
  return key.source !== undefined && key.source !== "" ? key.source : null;
}

function growEntries(grow: Grow, map: YAMLMap, path: string): Entry[] {
  const own = new Map<string, Entry>();
  const merged: Entry[] = [];
  for (const pair of map.items) {
    if (!isPair(pair)) continue;
    const at = startOf(grow, pair.key, startOf(grow, map, grow.at(0)));
    const key = keyText(pair.key);
    if (key === null) {
      const hint = "write key: value";
      grow.problems.error(at, path, "syntax", "a key must be one word of text", hint);
    } else if (key === "<<" && (pair.key as YamlScalar).type === "PLAIN") {
      merged.push(...growMerge(grow, pair, path, at));
    } else {
      addEntry(grow, own, path, { key, at, node: pair.value });
    }
  }
  for (const entry of merged) if (!own.has(entry.key)) own.set(entry.key, entry);
  return [...own.values()];
}

type Found = { key: string; at: Place; node: unknown };

function addEntry(grow: Grow, own: Map<string, Entry>, path: string, found: Found): void {
  const { key, at } = found;
  const entryPath = joinPath(path, key);
  const value = growNode(grow, found.node, entryPath, at);
  const before = own.get(key);
  if (before === undefined) {
    own.set(key, { key, path: entryPath, at, value });
    return;
  }
  const message = `written twice, first at line ${before.at.line}, column ${before.at.col}`;
  grow.problems.error(at, entryPath, "duplicate_key", message, "keep one of them");
}

/** `<<: *base` or `<<: [*a, *b]`: the mapping's own keys win, then the first of a list. */
function growMerge(grow: Grow, pair: Pair, path: string, at: Place): Entry[] {
  const parts = isSeq(pair.value) ? pair.value.items : [pair.value];
  const entries = new Map<string, Entry>();
  for (const part of parts) {
    const map = growNode(grow, part, path, at);
    if (map.kind !== "map") {
      const hint = "write <<: *name of a mapping";
      grow.problems.error(at, path, "syntax", "a merge key needs a mapping", hint);
      continue;
    }
    for (const entry of map.entries) {
      if (!entries.has(entry.key)) entries.set(entry.key, entry);
    }
  }
  return [...entries.values()];
}

function growScalar(grow: Grow, node: YamlScalar, path: string, at: Place): Scalar {
  const plain = node.type === "PLAIN" || node.type === undefined;
  const source = node.source ?? String(node.value ?? "");
  const value = scalarValue(node.value, source);
  return { kind: "scalar", path, at, value, plain, source, inside: insideOf(grow, node, at) };
}

function scalarValue(value: unknown, source: string): Scalar["value"] {
  const isPlain = value === null || ["string", "number", "boolean"].includes(typeof value);
  return isPlain ? (value as Scalar["value"]) : source;
}

/** Maps a place in the text to the file. Forms other than `|` fold lines: only line 1 is known. */
function insideOf(grow: Grow, node: YamlScalar, at: Place): Scalar["inside"] {
  if (node.type === "BLOCK_LITERAL") {
    const range = node.range;
    const body = range ? grow.text.slice(range[0], range[1]).split("\n").slice(1) : [];
    const written = body.find((line) => line.trim() !== "") ?? "";
    const indent = written.length - written.trimStart().length;
    return (line, col) => ({ file: at.file, line: at.line + line, col: indent + col });
  }
  const skip = node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE" ? 1 : 0;
  if (node.type === "BLOCK_FOLDED") return () => at;
  return (line, col) => (line === 1 ? { ...at, col: at.col + skip + col - 1 } : at);
}
