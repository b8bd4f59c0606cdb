/**
 * The three patches that carry no ownership: JSON patch as the server's library applies it
 * (evanphx/json-patch v4: `replace` of a missing member adds it, `test` of a missing one equals
 * null), JSON merge patch, and strategic merge patch with lists that are maps by a key.
 */
import { clone, isEqual, isObject, listOf, objectOf, textOf } from "./json.ts";
import type { KubeObject } from "./json.ts";

/** Lists whose items have a key (`patchMergeKey` and `listMapKey` of the API types). */
const LIST_KEY: Readonly<Record<string, string>> = {
  "status.conditions": "type",
  "status.addresses": "type",
  "spec.containers": "name",
  "spec.initContainers": "name",
  "spec.volumes": "name",
  "metadata.ownerReferences": "uid",
};
/** Lists that are sets. */
const LIST_SET = new Set(["metadata.finalizers"]);

export const listKeyOf = (path: readonly string[]): string | null =>
  LIST_KEY[path.join(".")] ?? null;
export const isListSet = (path: readonly string[]): boolean => LIST_SET.has(path.join("."));

/** `null` = the patch does not apply, which the server answers with 422. */
export function applyJsonPatch(object: KubeObject, operations: unknown[]): KubeObject | null {
  const root: KubeObject = { root: clone(object) };
  for (const raw of operations) {
    const { op, path, value } = objectOf(raw);
    const steps = textOf(path)
      .split("/")
      .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    steps[0] = "root";
    if (!applyOperation(root, textOf(op), steps, value)) return null;
  }
  return isObject(root["root"]) ? root["root"] : null;
}

function applyOperation(root: KubeObject, op: string, steps: string[], value: unknown): boolean {
  const key = steps.pop() ?? "";
  let parent: unknown = root;
  for (const step of steps) parent = memberOf(parent, step);
  if (Array.isArray(parent)) return applyToList(parent, op, key, value);
  if (!isObject(parent)) return false;
  switch (op) {
    case "add":
    case "replace":
      parent[key] = clone(value);
      return true;
    case "remove":
      if (!Object.hasOwn(parent, key)) return false;
      delete parent[key];
      return true;
    case "test":
      return isEqual(parent[key] ?? null, value ?? null);
    default:
      // `move` and `copy` exist, but no client here sends them.
      return false;
  }
}

function applyToList(list: unknown[], op: string, key: string, value: unknown): boolean {
  const index = op === "add" && key === "-" ? list.length : /^\d+$/.test(key) ? Number(key) : -1;
  if (index < 0 || index > list.length || (op !== "add" && index === list.length)) return false;
  switch (op) {
    case "add":
      list.splice(index, 0, clone(value));
      return true;
    case "replace":
      list[index] = clone(value);
      return true;
    case "remove":
      list.splice(index, 1);
      return true;
    case "test":
      return isEqual(list[index] ?? null, value ?? null);
    default:
      return false;
  }
}

function memberOf(parent: unknown, step: string): unknown {
  if (Array.isArray(parent)) return /^\d+$/.test(step) ? parent[Number(step)] : undefined;
  return isObject(parent) && Object.hasOwn(parent, step) ? parent[step] : undefined;
}

/** RFC 7396. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return clone(patch);
  const result: KubeObject = { ...objectOf(target) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (value !== undefined) result[key] = applyMergePatch(result[key], value);
  }
  return result;
}

/** Directives known: `$patch` of an item or a map, `$deleteFromPrimitiveList/<list>`. */
export function applyStrategicPatch(
  target: unknown,
  patch: unknown,
  path: readonly string[] = [],
): unknown {
  if (!isObject(patch)) return clone(patch);
  if (patch["$patch"] === "replace") return withoutDirectives(patch);
  const result: KubeObject = { ...objectOf(target) };
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith("$deleteFromPrimitiveList/")) {
      const list = key.slice(key.indexOf("/") + 1);
      result[list] = listOf(result[list]).filter((item) => !listOf(value).includes(item));
    } else if (key.startsWith("$")) {
      // `$setElementOrder` and `$retainKeys` change nothing that this product looks at.
    } else if (value === null) delete result[key];
    else if (Array.isArray(value)) result[key] = mergeList(result[key], value, [...path, key]);
    else result[key] = applyStrategicPatch(result[key], value, [...path, key]);
  }
  return result;
}

function withoutDirectives(patch: KubeObject): KubeObject {
  const kept = Object.entries(patch).filter(([key]) => !key.startsWith("$"));
  return clone(Object.fromEntries(kept));
}

/** What the patch names comes first, as the server does where no order is asked for. */
function mergeList(target: unknown, patch: unknown[], path: readonly string[]): unknown[] {
  if (isListSet(path)) return [...new Set([...listOf(target), ...patch])];
  const key = listKeyOf(path);
  if (key === null) return clone(patch);
  if (patch.some((item) => objectOf(item)["$patch"] === "replace")) {
    return clone(patch.filter((item) => objectOf(item)["$patch"] !== "replace"));
  }
  const old = listOf(target);
  const named = new Set(patch.map((item) => objectOf(item)[key]));
  const merged = patch
    .filter((item) => objectOf(item)["$patch"] !== "delete")
    .map((item) => {
      const before = old.find((candidate) => objectOf(candidate)[key] === objectOf(item)[key]);
      return applyStrategicPatch(before, item);
    });
  return [...merged, ...old.filter((item) => !named.has(objectOf(item)[key]))];
}
