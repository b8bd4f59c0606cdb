/**
 * Objects of the API server in memory, as plain JSON. A stored object is never changed in place:
 * every write puts a new one in its stead, so what was answered or streamed may be shared.
 */

export type KubeObject = Record<string, unknown>;

export function isObject(value: unknown): value is KubeObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object itself, or an empty one that is not attached to anything. */
export const objectOf = (value: unknown): KubeObject => (isObject(value) ? value : {});
export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
export const countOf = (value: unknown): number => (typeof value === "number" ? value : 0);

export const metaOf = (object: KubeObject): KubeObject => objectOf(object["metadata"]);
export const nameOf = (object: KubeObject): string => textOf(metaOf(object)["name"]);
export const uidOf = (object: KubeObject): string => textOf(metaOf(object)["uid"]);
export const namespaceOf = (object: KubeObject): string => textOf(metaOf(object)["namespace"]);

/** A deep copy without the members that are `undefined`, which JSON does not know. */
export function clone<T>(value: T): T {
  if (Array.isArray(value)) return value.map(clone) as T;
  if (!isObject(value)) return value;
  const copy: KubeObject = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) copy[key] = clone(member);
  }
  return copy as T;
}

export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((value, i) => isEqual(value, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && isEqual(a[key], b[key]));
}

/** The object with some members of its metadata replaced; `undefined` removes one. */
export function withMeta(object: KubeObject, change: KubeObject): KubeObject {
  const metadata: KubeObject = { ...metaOf(object), ...change };
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) delete metadata[key];
  }
  return { ...object, metadata };
}

/** `2026-11-21T12:00:00Z`: `metav1.Time` has whole seconds. */
export function formatInstant(ms: number): string {
  return new Date(Math.floor(ms / 1_000) * 1_000).toISOString().replace(".000Z", "Z");
}
