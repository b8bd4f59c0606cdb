/**
 * Reads the list of virtual nodes that workflows and values files write: `type`, `count` and what
 * the nodes of one entry share. A problem names its path, what was expected and the nearest name.
 */
import { nearest } from "../../../schema/nearest.ts";
import { readQuantity } from "../../../reconciler/kubernetes/read-field.ts";
import {
  capacityOf,
  PRESET_TYPES,
  type Resources,
} from "../../../reconciler/provider/kwok/catalog.ts";
import {
  type NodeCondition,
  STANDARD_CONDITIONS,
} from "../../../reconciler/provider/kwok/virtual-node.ts";
import { TaskError } from "../task.ts";
import { writtenAs } from "../yaml.ts";
import { SET_LABEL } from "./name.ts";

/** One entry, complete: what its nodes are like and how many there are. */
export type NodeEntry = {
  type: string;
  count: number;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  /** As written, without those of a preset. */
  resources: Resources;
  /** Capacity and allocatable. */
  capacity: Resources;
  conditions: NodeCondition[];
  isTainted: boolean;
};

/** A value of the wrong type; other problems are plain `TaskError`s. */
export class ShapeError extends TaskError {}

export type NodeList = { entries: NodeEntry[]; warnings: string[] };

const KEYS = ["type", "count", "annotations", "labels", "resources", "conditions", "taint"];
const CONDITION_KEYS = ["type", "status", "reason", "message"];

/** Names are `virtual-<type>-<6>`, and the label of the host name has 63 characters at most. */
const TYPE_CHARS_MAX = 48;
const TYPE = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
/** etcd's recommended size holds some hundred thousand Nodes; KWOK is tried with fewer. */
const NODES_MAX = 50_000;
const ENTRIES_MAX = 10_000;

/** `path` is what messages begin with: `nodes`. `taints`: every entry without `taint` has it. */
export function readNodeList(value: unknown, path: string, taints: boolean): NodeList {
  if (!Array.isArray(value)) throw new ShapeError(`${path}: expected a list of node entries`);
  if (value.length > ENTRIES_MAX) {
    throw new ShapeError(`${path}: ${value.length} entries exceed the limit of ${ENTRIES_MAX}`);
  }
  const warnings: string[] = [];
  const entries = value.map((item: unknown, index) =>
    readEntry(item, `${path}[${index}]`, taints, warnings),
  );
  const total = entries.reduce((sum, { count }) => sum + count, 0);
  if (total > NODES_MAX) {
    throw new ShapeError(`${path}: ${total} nodes exceed the limit of ${NODES_MAX}`);
  }
  return { entries, warnings };
}

function readEntry(item: unknown, path: string, taints: boolean, warnings: string[]): NodeEntry {
  const fields = readMap(item, path, KEYS);
  const type = readType(fields["type"], path);
  const count = readNodeCount(fields["count"], path);
  const resources = readResources(fields["resources"], `${path}.resources`);
  const answer = capacityOf(type, resources);
  if (answer.kind === "preset") {
    throw new TaskError(`${path}: resource ${answer.resource} is preset for type ${type}`);
  }
  if (answer.isBaseline) {
    const close = nearest(type, PRESET_TYPES);
    const hint = close === null ? "" : `; did you mean ${close}?`;
    warnings.push(`${path}: type ${type} has no resources, so its nodes only hold pods${hint}`);
  }
  const labels = readTexts(fields["labels"], `${path}.labels`);
  if (Object.hasOwn(labels, SET_LABEL.key)) {
    throw new TaskError(`${path}.labels: ${SET_LABEL.key} is reserved for the set itself`);
  }
  const conditions = readConditions(fields["conditions"], `${path}.conditions`);
  for (const each of conditions.filter((one) => STANDARD_CONDITIONS.includes(one.type))) {
    warnings.push(`${path}: KWOK rewrites condition ${each.type} with its next heartbeat`);
  }
  return {
    type,
    count,
    labels,
    annotations: readTexts(fields["annotations"], `${path}.annotations`),
    resources,
    capacity: answer.capacity,
    conditions,
    isTainted: readTaint(fields["taint"], path) ?? taints,
  };
}

function readType(value: unknown, path: string): string {
  if (value === undefined || value === null || value === "") {
    throw new TaskError(`${path}: must specify type`);
  }
  if (typeof value === "string" && value.length <= TYPE_CHARS_MAX && TYPE.test(value)) return value;
  throw new ShapeError(
    `${path}.type: expected lower-case letters, digits, "-" and ".", at most ${TYPE_CHARS_MAX} ` +
      `characters, found ${show(value)}`,
  );
}

function readNodeCount(value: unknown, path: string): number {
  if (value === undefined || value === null) throw new TaskError(`${path}: must specify count`);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ShapeError(`${path}.count: expected a whole number, 0 or more, found ${show(value)}`);
}

function readTaint(value: unknown, path: string): boolean | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "boolean") return value;
  throw new ShapeError(`${path}.taint: expected true or false, found ${show(value)}`);
}

function readResources(value: unknown, path: string): Resources {
  if (value === undefined || value === null) return {};
  const pairs = Object.entries(readMap(value, path, null)).map(([name, given]) => {
    const quantity = typeof given === "bigint" ? String(given) : given;
    if ((typeof quantity === "number" || typeof quantity === "string") && isQuantity(quantity)) {
      return [name, quantity] as const;
    }
    const what = `expected a quantity such as 48 or 2Ti, found ${show(given)}`;
    throw new ShapeError(`${path}.${name}: ${what}`);
  });
  return Object.fromEntries(pairs);
}

const isQuantity = (value: string | number): boolean => readQuantity(value) !== null;

function readConditions(value: unknown, path: string): NodeCondition[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new ShapeError(`${path}: expected a list of conditions`);
  const read = value.map((item: unknown, index) => readCondition(item, `${path}[${index}]`));
  const types = read.map(({ type }) => type);
  const twice = types.find((type, index) => types.indexOf(type) < index);
  if (twice !== undefined) throw new ShapeError(`${path}: two conditions of type ${twice}`);
  return read;
}

const STATUSES = ["True", "False", "Unknown"];

function readCondition(item: unknown, path: string): NodeCondition {
  const fields = readMap(item, path, CONDITION_KEYS);
  const text = (key: string) => readScalar(fields, key, `${path}.${key}`);
  const type = text("type");
  if (type === "") throw new TaskError(`${path}: must specify type`);
  // YAML reads an unquoted False as a boolean, and its text is `false`.
  const { status: given } = fields;
  const status = typeof given === "boolean" ? (given ? "True" : "False") : text("status");
  if (!STATUSES.includes(status)) {
    throw new ShapeError(`${path}.status: expected ${STATUSES.join(", ")}, found ${show(given)}`);
  }
  return { type, status, reason: text("reason"), message: text("message") };
}

/** Labels and annotations: scalars, as they were written. */
function readTexts(value: unknown, path: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  const map = readMap(value, path, null);
  const keys = Object.keys(map);
  return Object.fromEntries(keys.map((key) => [key, readScalar(map, key, `${path}.${key}`)]));
}

/** Nothing is the empty text, as in Kubernetes' own readers. */
function readScalar(map: object, key: string, path: string): string {
  const value: unknown = Reflect.get(map, key);
  if (value === undefined || value === null) return "";
  const isScalar = ["string", "number", "boolean", "bigint"].includes(typeof value);
  if (isScalar) return writtenAs(map, key) ?? String(value);
  throw new ShapeError(`${path}: expected text, found ${show(value)}`);
}

/** `keys: null`: any. */
function readMap(
  value: unknown,
  path: string,
  keys: readonly string[] | null,
): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ShapeError(`${path}: expected a map, found ${show(value)}`);
  }
  const unknown = keys === null ? null : Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined && unknown !== null) {
    const close = nearest(unknown, keys ?? []);
    const hint = close === null ? "" : `; did you mean ${close}?`;
    throw new ShapeError(`${path}: unknown key ${show(unknown)}${hint}`);
  }
  return value as Record<string, unknown>;
}

const SHOWN_MAX = 60;

function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a map";
  if (value === null || value === undefined) return "nothing";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}
