/**
 * Brings every accepted spelling to its canonical one, in the tree, before anything is read or
 * merged. Two spellings of one setting in one place: equal values are a warning, different values
 * an error. What is moved keeps the path and position at which it was written.
 */
import { parseDuration } from "../../schema/duration.ts";
import type { Problems } from "./problem.ts";
import { findEntry, isAbsent, joinPath, type Tree, type TreeMap } from "./tree.ts";

/** A spelling, and the path of keys under which its value belongs. */
type Move = readonly [from: string, to: readonly string[]];

const POOL: readonly Move[] = [
  ["min_nodes", ["scaling", "min_nodes"]],
  ["max_nodes", ["scaling", "max_nodes"]],
  ["cooldown", ["scaling", "cooldown_period"]],
  ["cooldown_period", ["scaling", "cooldown_period"]],
  ["autoscaling", ["scaling", "autoscaler"]],
  ["autoscaler", ["scaling", "autoscaler"]],
  ["ssh_key_names", ["ssh_keys"]],
];
const SCALING: readonly Move[] = [
  ["cooldown", ["cooldown_period"]],
  ["autoscaling", ["autoscaler"]],
];
const HEALTH: readonly Move[] = [["unhealthy_after", ["unhealthy_threshold"]]];
const AUTOSCALER: readonly Move[] = [
  ["scale_up_at", ["scale_up_threshold"]],
  ["scale_down_at", ["scale_down_threshold"]],
  ["strategies", ["autoscalers"]],
];
const WINDOW: readonly Move[] = [
  ["start", ["start_hour"]],
  ["end", ["end_hour"]],
];
const DEFAULTS: readonly Move[] = [
  ["ssh_key_names", ["ssh_keys"]],
  ["cooldown", ["cooldown_period"]],
  ["unhealthy_threshold", ["health", "unhealthy_threshold"]],
  ["auto_replace", ["health", "auto_replace"]],
];
const SERVER: readonly Move[] = [
  ["health_policy", ["health_policy_path"]],
  ["metrics_auth", ["auth", "metrics_auth"]],
  ["allow_anonymous", ["auth", "allow_anonymous"]],
];

/** Spellings worth suggesting beside the canonical keys of a pool. */
export const POOL_SPELLINGS: readonly string[] = POOL.map(([from]) => from);

/** Rewrites one pool in place. */
export function canonicalPool(problems: Problems, pool: TreeMap): void {
  moveAll(problems, pool, POOL);
  onMap(pool, "scaling", (scaling) => {
    moveAll(problems, scaling, SCALING);
    onMap(scaling, "autoscaler", (autoscaler) => canonicalAutoscaler(problems, autoscaler));
  });
  onMap(pool, "health", (health) => moveAll(problems, health, HEALTH));
}

function canonicalAutoscaler(problems: Problems, autoscaler: TreeMap): void {
  moveAll(problems, autoscaler, AUTOSCALER);
  onMap(autoscaler, "fallback", (inner) => canonicalAutoscaler(problems, inner));
  onItems(autoscaler, "autoscalers", (inner) => canonicalAutoscaler(problems, inner));
  onItems(autoscaler, "schedule", (window) => moveAll(problems, window, WINDOW));
}

/** Rewrites everything but the pools in place. */
export function canonicalRoot(problems: Problems, root: TreeMap): void {
  onMap(root, "server", (server) => moveAll(problems, server, SERVER));
  for (const key of ["defaults", "global"]) {
    onMap(root, key, (defaults) => {
      moveAll(problems, defaults, DEFAULTS);
      onMap(defaults, "health", (health) => moveAll(problems, health, HEALTH));
    });
  }
}

function onMap(map: TreeMap, key: string, then: (inner: TreeMap) => void): void {
  const value = findEntry(map, key)?.value;
  if (value?.kind === "map") then(value);
}

function onItems(map: TreeMap, key: string, then: (inner: TreeMap) => void): void {
  const value = findEntry(map, key)?.value;
  if (value?.kind !== "list") return;
  for (const item of value.items) if (item.kind === "map") then(item);
}

function moveAll(problems: Problems, map: TreeMap, moves: readonly Move[]): void {
  for (const [from, to] of moves) moveOne(problems, map, from, to);
}

function moveOne(problems: Problems, map: TreeMap, from: string, to: readonly string[]): void {
  const entry = findEntry(map, from);
  if (entry === null) return;
  map.entries.splice(map.entries.indexOf(entry), 1);
  if (isAbsent(entry.value)) return;
  const last = to.at(-1) ?? from;
  const target = to.slice(0, -1).reduce<TreeMap | null>(ensureMap, map);
  // The parent is written, but is no mapping: that is reported when it is read.
  if (target === null) return;
  const before = findEntry(target, last);
  if (before === null || isAbsent(before.value)) {
    target.entries = target.entries.filter((one) => one !== before);
    target.entries.push({ ...entry, key: last });
    return;
  }
  const same = sameValue(entry.value, before.value);
  const where = `${before.path} at line ${before.at.line}`;
  if (same) {
    const message = `says the same as ${where}`;
    problems.warning(entry.at, entry.path, "alias_repeat", message, "keep one of them");
  } else {
    const message = `contradicts ${where}, which is the same setting`;
    problems.error(entry.at, entry.path, "alias_conflict", message, "keep one of them");
  }
}

function ensureMap(map: TreeMap | null, key: string): TreeMap | null {
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

/** Whether two values mean the same; durations are compared by length, `90s` = `1m30s`. */
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
