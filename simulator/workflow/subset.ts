/**
 * Whether a live object has a wanted state: the one rule of `CheckObj` and `CheckNode`. `null`
 * wants a key to be absent, maps are looked at key by key, numbers compare by value, and a list
 * only has to be a list unless `lists` says more. A difference of type is a mismatch. Pure.
 */

export const LIST_MATCHES = ["exact", "subset"] as const;
export type ListMatch = (typeof LIST_MATCHES)[number];

/** What differs, each with its path: `spec.unschedulable: expected true, found nothing`. */
export function mismatches(
  live: unknown,
  wanted: unknown,
  lists: ListMatch | null = null,
  path = "",
): string[] {
  if (wanted === null) {
    return isAbsent(live) ? [] : [say(path, "nothing", live)];
  }
  if (Array.isArray(wanted)) return ofLists(live, wanted, lists, path);
  if (isMap(wanted)) {
    // The API server drops a map whose last key is removed.
    const held = isAbsent(live) && wantsNothing(wanted) ? {} : live;
    if (!isMap(held)) return [say(path, "a map", live)];
    return Object.entries(wanted).flatMap(([key, value]) => {
      const own = Object.hasOwn(held, key) ? held[key] : undefined;
      return mismatches(own, value, lists, join(path, key));
    });
  }
  return isEqual(live, wanted) ? [] : [say(path, show(wanted), live)];
}

function ofLists(
  live: unknown,
  wanted: readonly unknown[],
  lists: ListMatch | null,
  path: string,
): string[] {
  if (!Array.isArray(live)) return [say(path, "a list", live)];
  const found: readonly unknown[] = live;
  if (lists === null) return [];
  if (lists === "exact") {
    if (found.length !== wanted.length) {
      return [`${path || "the list"}: expected ${wanted.length} items, found ${found.length}`];
    }
    return wanted.flatMap((one, i) => mismatches(found[i], one, lists, `${path}[${i}]`));
  }
  return wanted.flatMap((one, i) => {
    const isThere = found.some((other) => mismatches(other, one, lists).length === 0);
    return isThere ? [] : [`${path}: no item like ${show(one)} (item ${i} of the wanted list)`];
  });
}

/** A YAML integer above 2^53 is a bigint; of the live object it was rounded when it was read. */
function isEqual(live: unknown, wanted: unknown): boolean {
  if (typeof live === typeof wanted) return live === wanted;
  const isNumber = (one: unknown) => typeof one === "number" || typeof one === "bigint";
  return isNumber(live) && isNumber(wanted) && Number(live) === Number(wanted);
}

/** Every value in it, and there is one, is `null`. */
function wantsNothing(wanted: Readonly<Record<string, unknown>>): boolean {
  const values = Object.values(wanted);
  const isNothing = (one: unknown) => isAbsent(one) || (isMap(one) && wantsNothing(one));
  return values.length > 0 && values.every(isNothing);
}

const isAbsent = (value: unknown): boolean => value === null || value === undefined;

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const join = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);

const SHOWN_CHARS = 80;

function show(value: unknown): string {
  if (isAbsent(value)) return "nothing";
  const text = JSON.stringify(value, (_, one: unknown) =>
    typeof one === "bigint" ? String(one) : one,
  );
  return text.length <= SHOWN_CHARS ? text : `${text.slice(0, SHOWN_CHARS)}…`;
}

function say(path: string, expected: string, live: unknown): string {
  return `${path || "the object"}: expected ${expected}, found ${show(live)}`;
}
