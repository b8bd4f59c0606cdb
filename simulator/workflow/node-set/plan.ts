/**
 * Decides how the set of virtual nodes becomes equal to a list of entries: which nodes stay, which
 * are patched, created or deleted. Two runs with one list decide alike. Pure.
 */
import { readQuantity } from "../../../reconciler/kubernetes/read-field.ts";
import type { Resources } from "../../../reconciler/provider/kwok/catalog.ts";
import {
  KWOK_TAINT,
  type NodeCondition,
  STANDARD_CONDITIONS,
  type VirtualNode,
  virtualNode,
} from "../../../reconciler/provider/kwok/virtual-node.ts";
import type { NodeEntry } from "./entry.ts";
import { ENTRY_ANNOTATION, nodeName, SET_LABEL } from "./name.ts";
import { type SetNode, storedText } from "./read.ts";

type Patch = Record<string, unknown>;

/** `null`: nothing of it differs. */
export type NodePatch = {
  name: string;
  uid: string;
  /** `metadata` and `spec`; like `status` a strategic merge patch. */
  node: { metadata: Patch; spec?: Patch } | null;
  /** Conditions are merged by type, so KWOK's own stay. */
  status: Patch | null;
  /** It was a node of another entry: that one is gone, and this one is new. */
  isOtherEntry: boolean;
};

export type NodePlan = {
  create: VirtualNode[];
  patch: NodePatch[];
  remove: SetNode[];
  /** Nodes that stay, patched or not. */
  kept: SetNode[];
};

export function planNodes(entries: readonly NodeEntry[], live: readonly SetNode[]): NodePlan {
  const slots = indexEntries(entries);
  const pool = new Map(live.filter(({ isLeaving }) => !isLeaving).map((one) => [one.name, one]));
  const taken = slots.map(({ entry, names }) => {
    const text = storedText(entry);
    return take(pool, entry.count, names, (node) => node.stored?.text === text);
  });
  // What is left of a type may stand for a changed entry of the same type.
  const filled = slots.map(({ entry, index, names }, at): Filled => {
    const nodes = [...(taken[at] ?? [])];
    const isOf = ({ stored, name }: SetNode) =>
      stored === null ? name.startsWith(`virtual-${entry.type}-`) : stored.type === entry.type;
    // What an earlier workflow cordoned comes last.
    const isBest = (node: SetNode) => isOf(node) && !node.isCordoned;
    for (const fits of [isBest, isOf]) {
      nodes.push(...take(pool, entry.count - nodes.length, names, fits));
    }
    return { entry, index, nodes };
  });
  const used = new Set(live.map(({ name }) => name));
  return {
    create: filled.flatMap((each) => newNodes(each, used)),
    patch: filled.flatMap(({ entry, nodes }) =>
      nodes.flatMap((node) => patchOf(entry, node) ?? []),
    ),
    remove: [...live].filter(({ name }) => pool.has(name)),
    kept: filled.flatMap(({ nodes }) => nodes),
  };
}

type Slots = { entry: NodeEntry; index: number; names: ReadonlySet<string> };

function indexEntries(entries: readonly NodeEntry[]): Slots[] {
  const seen = new Map<string, number>();
  return entries.map((entry) => {
    const index = seen.get(entry.type) ?? 0;
    seen.set(entry.type, index + 1);
    const names = Array.from({ length: entry.count }, (_, at) => nodeName(entry.type, index, at));
    return { entry, index, names: new Set(names) };
  });
}

type Filled = { entry: NodeEntry; index: number; nodes: SetNode[] };

/** At most `count` nodes out of the pool: those with the entry's own names first. */
function take(
  pool: Map<string, SetNode>,
  count: number,
  names: ReadonlySet<string>,
  fits: (node: SetNode) => boolean,
): SetNode[] {
  if (count <= 0) return [];
  const own = [...names].flatMap((name) => pool.get(name) ?? []).filter(fits);
  const others = [...pool.values()].filter((node) => !names.has(node.name) && fits(node));
  const chosen = [...own, ...others.sort(byName)].slice(0, count);
  for (const { name } of chosen) pool.delete(name);
  return chosen;
}

const byName = (a: SetNode, b: SetNode): number => (a.name < b.name ? -1 : 1);

/** New nodes have the first names of the entry that no Node of the set has. */
function newNodes({ entry, index, nodes }: Filled, used: ReadonlySet<string>): VirtualNode[] {
  const made: VirtualNode[] = [];
  for (let ordinal = 0; made.length < entry.count - nodes.length; ordinal += 1) {
    const name = nodeName(entry.type, index, ordinal);
    if (!used.has(name)) made.push(newNode(entry, name));
  }
  return made;
}

function newNode(entry: NodeEntry, name: string): VirtualNode {
  return virtualNode({
    name,
    labels: desiredLabels(entry),
    annotations: desiredAnnotations(entry),
    resources: entry.capacity,
    conditions: entry.conditions,
    isTainted: entry.isTainted,
  });
}

const desiredLabels = (entry: NodeEntry): Record<string, string> => {
  return { ...entry.labels, [SET_LABEL.key]: SET_LABEL.value };
};

const desiredAnnotations = (entry: NodeEntry): Record<string, string> => {
  return { ...entry.annotations, [ENTRY_ANNOTATION]: storedText(entry) };
};

/** What differs between a node and its entry. Keys that are of neither entry are left alone. */
function patchOf(entry: NodeEntry, node: SetNode): NodePatch | null {
  const labels = diffTexts(desiredLabels(entry), node.labels, node.stored?.labels ?? []);
  const annotations = diffTexts(
    desiredAnnotations(entry),
    node.annotations,
    node.stored?.annotations ?? [],
  );
  const metadata = {
    ...(labels === null ? {} : { labels }),
    ...(annotations === null ? {} : { annotations }),
  };
  const taints = diffTaints(entry, node);
  const status = diffStatus(entry, node);
  const { name, uid, resourceVersion } = node;
  if (Object.keys(metadata).length === 0 && taints === null && status === null) return null;
  // The list of taints is written whole, so a version in between is a conflict.
  const own = taints === null ? { metadata } : withTaints(metadata, taints, resourceVersion);
  const hasOwn = Object.keys(own.metadata).length > 0;
  const isOtherEntry = node.stored !== null && node.stored.text !== storedText(entry);
  return { name, uid, node: hasOwn ? own : null, status, isOtherEntry };
}

const withTaints = (metadata: Patch, taints: Patch[], resourceVersion: string) => {
  return { metadata: { ...metadata, resourceVersion }, spec: { taints } };
};

/** `null`: nothing differs. A taint of KWOK's key that the entry never set is left alone. */
function diffTaints({ isTainted }: NodeEntry, node: SetNode): Patch[] | null {
  const others = node.taints.filter(({ key }) => key !== KWOK_TAINT.key);
  const isLive = others.length < node.taints.length;
  if (isTainted) return isLive ? null : [...others, { ...KWOK_TAINT }];
  return isLive && node.stored?.isTainted === true ? others : null;
}

/** `null`: nothing differs. What the entry once set and does not set now becomes `null`. */
function diffTexts(
  wanted: Readonly<Record<string, string>>,
  live: Readonly<Record<string, string>>,
  once: readonly string[],
): Record<string, string | null> | null {
  const gone = once.filter((key) => !Object.hasOwn(wanted, key) && Object.hasOwn(live, key));
  const changed = Object.entries(wanted).filter(([key, text]) => live[key] !== text);
  const pairs = [...changed, ...gone.map((key) => [key, null] as const)];
  return pairs.length === 0 ? null : Object.fromEntries(pairs);
}

function diffStatus(entry: NodeEntry, node: SetNode): Patch | null {
  const once = node.stored?.resources ?? [];
  const capacity = diffCapacity(entry.capacity, node.capacity, once);
  const allocatable = diffCapacity(entry.capacity, node.allocatable, once);
  const conditions = diffConditions(entry.conditions, node);
  if (capacity === null && allocatable === null && conditions.length === 0) return null;
  return {
    ...(capacity === null ? {} : { capacity }),
    ...(allocatable === null ? {} : { allocatable }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

/** The server writes quantities in its own way, so they are compared by value. */
function diffCapacity(
  wanted: Resources,
  live: Readonly<Record<string, string>>,
  once: readonly string[],
): Patch | null {
  const gone = once.filter((name) => !Object.hasOwn(wanted, name) && Object.hasOwn(live, name));
  const changed = Object.entries(wanted).filter(
    ([name, quantity]) => readQuantity(live[name]) !== readQuantity(quantity),
  );
  const pairs = [...changed, ...gone.map((name) => [name, null] as const)];
  return pairs.length === 0 ? null : Object.fromEntries(pairs);
}

/** KWOK's heartbeat owns the standard conditions: they are never patched. */
function diffConditions(wanted: readonly NodeCondition[], node: SetNode): Patch[] {
  const own = wanted.filter(({ type }) => !STANDARD_CONDITIONS.includes(type));
  const changed = own.filter(({ type, status, reason, message }) => {
    const live = node.conditions.get(type);
    const isSame = live?.status === status && live.reason === reason && live.message === message;
    return !isSame;
  });
  const gone = (node.stored?.conditions ?? []).filter(
    (type) => node.conditions.has(type) && !wanted.some((one) => one.type === type),
  );
  const removed = gone.filter((type) => !STANDARD_CONDITIONS.includes(type));
  return [...changed, ...removed.map((type) => ({ $patch: "delete", type }))];
}
