/**
 * Field ownership: `metadata.managedFields` as the server keeps it (structured-merge-diff,
 * `merge/update.go`). An update owns what it changes and takes it from all others; what it removes
 * has no owner. An apply owns what it names, shares equal values, and releases what it no longer
 * names, which is deleted unless another manager owns it.
 */
import {
  clone,
  isEqual,
  isObject,
  listOf,
  metaOf,
  objectOf,
  textOf,
  uidOf,
  withMeta,
} from "./json.ts";
import type { KubeObject } from "./json.ts";
import { isListSet, listKeyOf } from "./merge.ts";

export type Owner = { manager: string; operation: "Apply" | "Update"; subresource: string };
type Share = Owner & { apiVersion: string; time: string; fields: Set<string> };

export type Writer = {
  manager: string;
  subresource: string;
  apiVersion: string;
  /** Of the entry, `metav1.Time`. */
  time: string;
};

/** Never owned: identity, and what only the server writes. */
const UNOWNED = new Set(
  (
    "apiVersion kind metadata.name metadata.namespace metadata.uid metadata.resourceVersion " +
    "metadata.generation metadata.creationTimestamp metadata.deletionTimestamp " +
    "metadata.deletionGracePeriodSeconds metadata.managedFields metadata.selfLink"
  ).split(" "),
);
/** Maps that are owned as one value (`+structType=atomic`). */
const ATOMIC = new Set(["spec.selector", "regarding", "spec.nodeSelector"]);
/**
 * More updaters than this are merged, the oldest first, into one that is called `ancient-changes`
 * (apimachinery, managedfields/internal: `DefaultMaxUpdateManagers`).
 */
const UPDATERS_MAX = 10;
const ANCIENT = "ancient-changes";
/**
 * Who is booked, at the first apply, with all that is on an object that nobody owns anything of:
 * ownership was wiped. Until then updates of such an object are not tracked (apimachinery,
 * managedfields/internal: `skipNonAppliedManager`).
 */
const BEFORE = "before-first-apply";
/** Between the steps of a path; no field name holds it. */
const JOIN = "\u0000";

/**
 * Every owned leaf of an object: its path in the form of `fieldsV1`, and its value; without
 * what `other` has in the same place: a patch makes new trees of what it changes only.
 */
function leavesOf(object: KubeObject, other?: KubeObject): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  const walk = (value: unknown, plain: string[], path: string[], twin: unknown): void => {
    if (value === undefined || value === null || value === twin) return;
    const name = plain.join(".");
    if (UNOWNED.has(name)) return;
    const key = Array.isArray(value) ? listKeyOf(plain) : null;
    if (Array.isArray(value) && isListSet(plain)) {
      for (const item of value) leaves.set([...path, `v:${JSON.stringify(item)}`].join(JOIN), item);
    } else if (Array.isArray(value) && key !== null) {
      for (const item of value) {
        const step = `k:${JSON.stringify({ [key]: objectOf(item)[key] })}`;
        leaves.set([...path, step, "."].join(JOIN), true);
        for (const [field, member] of Object.entries(objectOf(item))) {
          leaves.set([...path, step, `f:${field}`].join(JOIN), member);
        }
      }
    } else if (isObject(value) && !ATOMIC.has(name)) {
      for (const [field, member] of Object.entries(value)) {
        walk(member, [...plain, field], [...path, `f:${field}`], objectOf(twin)[field]);
      }
    } else {
      leaves.set(path.join(JOIN), value);
    }
  };
  walk(object, [], [], other);
  return leaves;
}

/** Of each list of managed fields, which is written once. */
const READ = new WeakMap<object, readonly Share[]>();

function readShares(object: KubeObject): readonly Share[] {
  const list = listOf(metaOf(object)["managedFields"]);
  const read = READ.get(list) ?? readEntries(list);
  READ.set(list, read);
  return read;
}

function readEntries(list: readonly unknown[]): Share[] {
  return list.flatMap((raw) => {
    const entry = objectOf(raw);
    const fields = new Set<string>();
    const walk = (value: unknown, path: string[]): void => {
      const members = Object.entries(objectOf(value));
      if (members.length === 0 && path.length > 0) fields.add(path.join(JOIN));
      for (const [step, member] of members) walk(member, [...path, step]);
    };
    walk(entry["fieldsV1"], []);
    const operation = entry["operation"] === "Apply" ? "Apply" : "Update";
    const [manager, subresource] = [textOf(entry["manager"]), textOf(entry["subresource"])];
    const [apiVersion, time] = [textOf(entry["apiVersion"]), textOf(entry["time"])];
    if (fields.size === 0) return [];
    return [{ manager, operation, subresource, apiVersion, time, fields } satisfies Share];
  });
}

function formatShares(shares: readonly Share[]): KubeObject[] | undefined {
  const order = (share: Share): string => `${share.operation} ${share.time} ${share.manager}`;
  const kept = capUpdaters(shares.filter(({ fields }) => fields.size > 0));
  if (kept.length === 0) return undefined;
  return kept
    .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
    .map(({ fields, subresource, ...entry }) => {
      const fieldsV1: KubeObject = {};
      for (const path of [...fields].sort()) {
        let at = fieldsV1;
        for (const step of path.split(JOIN)) {
          const next = objectOf(at[step]);
          at[step] = next;
          at = next;
        }
      }
      const sub = subresource === "" ? {} : { subresource };
      return { ...entry, fieldsType: "FieldsV1", fieldsV1, ...sub };
    });
}

function capUpdaters(shares: readonly Share[]): Share[] {
  const updaters = shares
    .filter(({ operation }) => operation === "Update")
    .toSorted((a, b) => (`${a.time} ${a.manager}` < `${b.time} ${b.manager}` ? -1 : 1));
  if (updaters.length <= UPDATERS_MAX) return [...shares];
  // One more than the surplus is merged, because the bucket takes a place itself.
  const old = updaters.slice(0, updaters.length - UPDATERS_MAX + 1);
  const last = old.at(-1);
  if (last === undefined) return [...shares];
  const fields = new Set(old.flatMap((share) => [...share.fields]));
  const rest = shares.filter((share) => !old.includes(share));
  return [...rest, { ...last, manager: ANCIENT, subresource: "", fields }];
}

const isSame = (share: Share, owner: Owner): boolean =>
  share.manager === owner.manager &&
  share.operation === owner.operation &&
  share.subresource === owner.subresource;

type Comparison = { changed: Set<string>; removed: Set<string> };

function compare(before: KubeObject, after: KubeObject): Comparison {
  const [old, young] = [leavesOf(before, after), leavesOf(after, before)];
  const changed = new Set<string>();
  for (const [path, value] of young) {
    if (!old.has(path) || !isEqual(old.get(path), value)) changed.add(path);
  }
  return { changed, removed: new Set([...old.keys()].filter((path) => !young.has(path))) };
}

/** Writes the shares, with a new time only for one that changed. */
function withShares(object: KubeObject, before: readonly Share[], after: Share[]): KubeObject {
  const timed = after.map((share) => {
    const old = before.find((candidate) => isSame(candidate, share));
    const same = old !== undefined && isEqual([...old.fields].sort(), [...share.fields].sort());
    return same ? { ...share, time: old.time } : share;
  });
  return withMeta(object, { managedFields: formatShares(timed) });
}

/** The object after an update by `writer`, with its owners. `after` is complete and clean. */
export function ownUpdate(before: KubeObject, after: KubeObject, writer: Writer): KubeObject {
  // The documented way to wipe ownership is a list with one empty entry (Server-Side Apply).
  const given = listOf(metaOf(after)["managedFields"]);
  const isWiped = given.length === 1 && Object.keys(objectOf(given[0])).length === 0;
  const shares = isWiped ? [] : readShares(before);
  if (shares.length === 0 && uidOf(before) !== "")
    return withMeta(after, { managedFields: undefined });
  const { changed, removed } = compare(before, after);
  const self: Owner = { ...writer, operation: "Update" };
  const own = shares.find((share) => isSame(share, self))?.fields ?? new Set<string>();
  const rest = shares.filter((share) => !isSame(share, self));
  const isOwn = removed.size === 0 && changed.isSubsetOf(own);
  if (isOwn && rest.every(({ fields }) => fields.isDisjointFrom(changed))) {
    return withMeta(after, { managedFields: metaOf(before)["managedFields"] });
  }
  const others = rest.map((share) => ({
    ...share,
    fields: share.fields.difference(changed).difference(removed),
  }));
  const fields = own.difference(removed).union(changed);
  return withShares(after, shares, [...others, { ...writer, operation: "Update", fields }]);
}

export type Applied =
  | { kind: "ok"; object: KubeObject }
  /** `path` as the server prints it: `.spec.unschedulable`. */
  | { kind: "conflict"; with: { manager: string; path: string }[] };

/** The object after an apply. `clean` is what decoding does to it before it is stored. */
export function ownApply(
  before: KubeObject,
  desired: KubeObject,
  writer: Writer,
  force: boolean,
  clean: (object: KubeObject) => KubeObject,
): Applied {
  const shares = sharesForApply(before, writer);
  const self: Owner = { ...writer, operation: "Apply" };
  const fields = new Set(leavesOf(desired).keys());
  const others = shares.filter((share) => !isSame(share, self));
  const last = shares.find((share) => isSame(share, self))?.fields ?? new Set<string>();
  const merged = objectOf(merge(before, desired, []));
  for (const path of last.difference(fields)) {
    if (!others.some((share) => share.fields.has(path))) remove(merged, path);
  }
  const { changed, removed } = compare(before, merged);
  const conflicts = others.flatMap(({ manager, fields: owned }) =>
    [...owned.intersection(changed)].map((path) => ({ manager, path: formatPath(path) })),
  );
  if (conflicts.length > 0 && !force) return { kind: "conflict", with: conflicts };
  const left = others.map((share) => ({
    ...share,
    fields: share.fields.difference(changed).difference(removed),
  }));
  const object = withShares(clean(merged), shares, [
    ...left,
    { ...writer, operation: "Apply", fields },
  ]);
  return { kind: "ok", object };
}

function sharesForApply(before: KubeObject, writer: Writer): readonly Share[] {
  const shares = readShares(before);
  if (shares.length > 0 || uidOf(before) === "") return shares;
  const fields = new Set(leavesOf(before).keys());
  return [{ ...writer, manager: BEFORE, operation: "Update", fields }];
}

/** `live` with everything that `desired` names. */
function merge(live: unknown, desired: unknown, path: string[]): unknown {
  if (Array.isArray(desired)) {
    const key = listKeyOf(path);
    if (isListSet(path)) return [...new Set([...listOf(live), ...desired])];
    if (key === null) return clone(desired);
    const named = new Map(desired.map((item) => [objectOf(item)[key], item]));
    const kept = listOf(live).map((item) => {
      const wanted = named.get(objectOf(item)[key]);
      named.delete(objectOf(item)[key]);
      return wanted === undefined ? clone(item) : { ...objectOf(item), ...objectOf(wanted) };
    });
    return [...kept, ...clone([...named.values()])];
  }
  if (!isObject(desired) || ATOMIC.has(path.join("."))) return clone(desired);
  const result = clone(objectOf(live));
  for (const [key, value] of Object.entries(desired)) {
    if (value !== undefined && value !== null) {
      result[key] = merge(result[key], value, [...path, key]);
    }
  }
  return result;
}

/** Removes a leaf in place, from a tree without other references. */
function remove(root: KubeObject, path: string): void {
  const steps = path.split(JOIN);
  let at: unknown = root;
  for (const [i, step] of steps.entries()) {
    const isLast = i === steps.length - 1;
    if (Array.isArray(at)) {
      const index = at.findIndex((item) => isStep(item, step));
      if (index === -1) return;
      // An item whose membership is given up goes away whole.
      if (isLast || steps[i + 1] === ".") {
        at.splice(index, 1);
        return;
      }
      at = at[index];
    } else if (isObject(at)) {
      const key = step.slice(2);
      if (isLast) delete at[key];
      else at = at[key];
    }
  }
}

function isStep(item: unknown, step: string): boolean {
  if (step.startsWith("v:")) return isEqual(item, JSON.parse(step.slice(2)));
  const keys: KubeObject = JSON.parse(step.slice(2));
  return Object.entries(keys).every(([key, value]) => objectOf(item)[key] === value);
}

const formatPath = (path: string): string =>
  path
    .split(JOIN)
    .map((step) => (step.startsWith("f:") ? `.${step.slice(2)}` : `[${step.slice(2)}]`))
    .join("");
