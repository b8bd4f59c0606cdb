/**
 * Reads the nodes of the set from the API server's objects, and what their entry was when they were
 * written. Pure. An annotation that is absent or unreadable leaves only the node itself.
 */
import { type Fields, readList, readObject } from "../../../reconciler/kubernetes/read-field.ts";
import { capacityOf } from "../../../reconciler/provider/kwok/catalog.ts";
import type { NodeCondition } from "../../../reconciler/provider/kwok/virtual-node.ts";
import type { NodeEntry } from "./entry.ts";
import { ENTRY_ANNOTATION } from "./name.ts";

/** The entry of a node when it was last written: the keys that it set. */
export type StoredEntry = {
  /** Canonical. */
  text: string;
  type: string;
  labels: string[];
  annotations: string[];
  conditions: string[];
  /** Of the capacity. */
  resources: string[];
  isTainted: boolean;
};

export type SetNode = {
  name: string;
  uid: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  capacity: Record<string, string>;
  allocatable: Record<string, string>;
  conditions: Map<string, Omit<NodeCondition, "type">>;
  isReady: boolean;
  resourceVersion: string;
  taints: Fields[];
  isCordoned: boolean;
  /** It is being deleted. */
  isLeaving: boolean;
  createdAt: string;
  stored: StoredEntry | null;
};

/** `null` if it is no Node. */
export function readSetNode(object: unknown): SetNode | null {
  const { metadata, spec, status } = readObject(object);
  const { name, uid, resourceVersion, labels, annotations, ...times } = readObject(metadata);
  const { deletionTimestamp, creationTimestamp } = times;
  if (typeof name !== "string" || typeof uid !== "string") return null;
  const { taints, unschedulable } = readObject(spec);
  const state = readObject(status);
  const conditions = readConditions(state["conditions"]);
  const notes = textsOf(annotations);
  return {
    name,
    uid,
    labels: textsOf(labels),
    annotations: notes,
    capacity: textsOf(state["capacity"]),
    allocatable: textsOf(state["allocatable"]),
    conditions,
    isReady: conditions.get("Ready")?.status === "True",
    resourceVersion: typeof resourceVersion === "string" ? resourceVersion : "",
    taints: readList(taints).map((taint) => readObject(taint)),
    isCordoned: unschedulable === true,
    isLeaving: deletionTimestamp !== undefined && deletionTimestamp !== null,
    createdAt: typeof creationTimestamp === "string" ? creationTimestamp : "",
    stored: readStored(notes[ENTRY_ANNOTATION]),
  };
}

function readConditions(value: unknown): SetNode["conditions"] {
  const text = (field: unknown) => (typeof field === "string" ? field : "");
  return new Map(
    readList(value).map((item) => {
      const { type, status, reason, message } = readObject(item);
      return [text(type), { status: text(status), reason: text(reason), message: text(message) }];
    }),
  );
}

/** Whole: a cut one would differ from its entry for ever. */
function textsOf(value: unknown): Record<string, string> {
  const pairs = Object.entries(readObject(value));
  return Object.fromEntries(pairs.filter((pair): pair is [string, string] => isText(pair[1])));
}

const isText = (value: unknown): boolean => typeof value === "string";

/** The entry without its count, keys in order: what `ENTRY_ANNOTATION` holds. */
export function storedText(entry: NodeEntry): string {
  const { annotations, conditions, labels, resources, type, isTainted } = entry;
  return canonical({ annotations, conditions, labels, resources, taint: isTainted, type });
}

function readStored(text: string | undefined): StoredEntry | null {
  const parsed = parse(text);
  const { type, labels, annotations, conditions, resources, taint } = parsed;
  if (typeof type !== "string") return null;
  const own = Object.keys(readObject(resources));
  const preset = capacityOf(type);
  return {
    text: canonical(parsed),
    type,
    labels: Object.keys(readObject(labels)),
    annotations: Object.keys(readObject(annotations)),
    conditions: [...readConditions(conditions).keys()],
    resources: preset.kind === "ok" ? [...own, ...Object.keys(preset.capacity)] : own,
    isTainted: taint === true,
  };
}

function parse(text: string | undefined): Fields {
  try {
    return readObject(JSON.parse(text ?? "null"));
  } catch {
    return {};
  }
}

/** JSON with the keys of every map in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => {
    const isMap = typeof one === "object" && one !== null && !Array.isArray(one);
    return isMap ? Object.fromEntries(Object.entries(one).sort(byKey)) : one;
  });
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);
