/**
 * What must be written so that a Node shows what we know: pure. Conditions and taints are compared
 * with the object; of labels we also remember what was sent, since the object does not tell whose
 * label is whose.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { bounded } from "./node-call.ts";
import { FLEET_LABEL, TAINT } from "../core/kubernetes/object.ts";
import type { KubeNode, Taint } from "../core/kubernetes/object.ts";
import { DRAINING_TAINT, taintRequest, unhealthyTaint } from "./taint.ts";
import type { TaintChange } from "./taint.ts";
import { CONDITION_TYPES, POOL_LABEL, isForeign } from "../core/kubernetes/object.ts";

export type NodeCondition = {
  type: (typeof CONDITION_TYPES)[number];
  status: "True" | "False" | "Unknown";
  /** CamelCase. */
  reason: string;
  /** GPU index, UUID, XID and session, for a person; cut at 1 KiB. */
  message: string;
  /** What is shown stays as long as it begins like this: there is nothing new to say. */
  keeps?: string;
};

export type DesiredStatus = {
  /** The fleet's id of it. */
  node?: string;
  name: string;
  uid: string;
  pool: string | null;
  /** As the cache holds it. */
  object: KubeNode;
  conditions: readonly NodeCondition[];
  /** The pool's own; `navarch.dev/pool` is added. */
  labels: Readonly<Record<string, string>>;
  /** The class of the fault; `null` = no taint. */
  unhealthyTaint: string | null;
  draining: boolean;
  /** It serves: what a kubelet registered with until then goes. */
  verified: boolean;
  /**
   * This install, where another one may be at work on the same Node: then nothing is written.
   * `null` = the machine is a purchase of ours, whatever else is said.
   */
  fleet?: string | null;
  /** Its mark is on its way: only conditions are written now, which fence nothing. */
  later?: boolean;
  /** What the configuration wants shown at all; what it does not is taken away. */
  mirror: { condition: boolean; labels: boolean; taint: boolean };
};

export type StatusMemory = {
  /** The set of our last apply in this process; `null` = none yet. */
  labelsSent: Readonly<Record<string, string>> | null;
  /** Labels that another manager owns, with their current value: left alone. */
  foreign: Map<string, string>;
};

export type StatusStep =
  /** `isText` = only words have changed, so it may wait. */
  | { kind: "conditions"; set: ConditionPatch[]; drop: string[]; isText?: boolean }
  | { kind: "labels"; labels: Record<string, string> }
  | { kind: "taints"; change: TaintChange };

/** `isTurn` = the status differs from the one before, so the time of transition is now. */
export type ConditionPatch = Omit<NodeCondition, "keeps"> & { isTurn: boolean };

const MESSAGE_BYTES_MAX = 1_024;

/** In the order in which it is to be done. `everything` = also what is so already. */
export function judgeStatus(
  desired: DesiredStatus,
  object: KubeNode,
  memory: StatusMemory,
  everything: boolean,
): StatusStep[] {
  const { mirror } = desired;
  if (isForeign(object, desired.fleet)) return [];
  const steps: StatusStep[] = [];
  const conditions = mirror.condition ? desired.conditions : [];
  const due = conditions
    .map((condition) => patchOf(condition, object))
    .filter(({ isNew }) => isNew || everything);
  const set = due.map(({ patch }) => patch);
  const drop = unmanaged(object, conditions);
  const isText = !everything && drop.length === 0 && due.every((one) => one.isText);
  // First, and whatever becomes of the rest: a webhook that refuses every change of the Node has
  // no say about its status, and a dead GPU must not read as healthy meanwhile.
  if (set.length > 0 || drop.length > 0) steps.push({ kind: "conditions", set, drop, isText });
  if (desired.later === true) return steps;
  const change = taintsOf(desired);
  if (taintRequest(object, change, { pool: null, lane: "status" }) !== null)
    steps.push({ kind: "taints", change });
  const labels = mirror.labels ? labelsOf(desired, object, memory) : {};
  if (isLabelsDue(labels, object, memory, everything)) steps.push({ kind: "labels", labels });
  return steps;
}

/** What is to be there after a step of this kind, as one text: equal is the same aim. */
export function aimOf(kind: StatusStep["kind"], desired: DesiredStatus): string {
  switch (kind) {
    case "conditions":
      return JSON.stringify(desired.conditions.map((one) => ({ ...one, message: wordsOf(one) })));
    case "taints":
      return JSON.stringify(taintsOf(desired).want);
    case "labels":
      return JSON.stringify(desired.labels);
    default:
      return unreachable(kind);
  }
}

/** Everything of ours goes. */
export function clearRequests(object: KubeNode, memory: StatusMemory): StatusStep[] {
  const steps: StatusStep[] = [];
  const change: TaintChange = { want: [], drop: [TAINT.unhealthy, TAINT.draining] };
  if (taintRequest(object, change, { pool: null, lane: "status" }) !== null)
    steps.push({ kind: "taints", change });
  const drop = unmanaged(object, []);
  if (drop.length > 0) steps.push({ kind: "conditions", set: [], drop });
  if (isLabelsDue({}, object, memory, false)) steps.push({ kind: "labels", labels: {} });
  return steps;
}

/** Keys of the taints that are wanted. */
export function wantedTaints(desired: DesiredStatus): ReadonlySet<string> {
  return new Set(taintsOf(desired).want.map(({ key }) => key));
}

function taintsOf(desired: DesiredStatus): TaintChange {
  const { unhealthyTaint: fault, draining, verified, mirror } = desired;
  const want: Taint[] = [];
  if (mirror.taint && fault !== null) want.push(unhealthyTaint(fault));
  if (mirror.taint && draining) want.push(DRAINING_TAINT);
  const kept = new Set(want.map(({ key }) => key));
  const drop = [TAINT.unhealthy, TAINT.draining].filter(({ key }) => !kept.has(key));
  // Whoever starts a kubelet with it waits for this, whatever else is to be shown.
  const burnIn = verified ? [TAINT.unverified, TAINT.unverifiedMildly] : [];
  return { want, drop: [...drop, ...burnIn] };
}

function patchOf({ keeps, ...desired }: NodeCondition, object: KubeNode) {
  const old = object.conditions.find(({ type }) => type === desired.type);
  const isKept = keeps !== undefined && old?.message.startsWith(keeps) === true;
  const { reason, message: text } = isKept ? old : desired;
  const message = bounded(text, MESSAGE_BYTES_MAX);
  const patch = { ...desired, reason, message, isTurn: old?.status !== desired.status };
  if (old === undefined || patch.isTurn || old.reason !== reason) {
    return { isNew: true, isText: false, patch };
  }
  const isNew = wordsOf(old) !== wordsOf(patch);
  // A drain's deadline that begins or ceases to count is no mere wording: pods are deleted by it.
  const isEnd = reason === "Draining" && TIME.test(old.message) !== TIME.test(message);
  return { isNew, isText: desired.type === "NavarchManaged" && !isEnd, patch };
}

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;
const TIME_OR_NUMBER = new RegExp(`${TIME.source}|\\d+(?:\\.\\d+)?`, "g");
const MINUTE_CHARS = "2026-11-22T16:19".length;

/**
 * What a message has to say: a count that moves, or a time that moves by seconds, is no reason for
 * a write; the next renewal of the condition takes it along. Of health every word counts.
 */
function wordsOf({ type, message }: { type: string; message: string }): string {
  if (type !== "NavarchManaged") return message;
  return message.replace(TIME_OR_NUMBER, (one) =>
    one.includes("T") ? one.slice(0, MINUTE_CHARS) : "#",
  );
}

/** Conditions of our types that nobody desired. */
function unmanaged(object: KubeNode, desired: readonly NodeCondition[]): string[] {
  const types = new Set(desired.map(({ type }) => type));
  return CONDITION_TYPES.filter(
    (type) => !types.has(type) && object.conditions.some((condition) => condition.type === type),
  );
}

function labelsOf(desired: DesiredStatus, object: KubeNode, { foreign }: StatusMemory) {
  const labels: Record<string, string> = { ...desired.labels };
  if (desired.pool !== null) labels[POOL_LABEL] = desired.pool;
  for (const [key, value] of foreign) {
    // It is tried again as soon as the other owner's value has changed or gone.
    if (object.labels[key] === value) delete labels[key];
  }
  return labels;
}

/**
 * An apply states the whole set, so it is due if an entry is missing, or if the last one held more.
 * After a restart nobody knows the last one: our own pool label is the sign that there was one.
 */
function isLabelsDue(
  labels: Readonly<Record<string, string>>,
  object: KubeNode,
  { labelsSent }: StatusMemory,
  everything: boolean,
): boolean {
  const isEmpty = Object.keys(labels).length === 0;
  if (isEmpty && labelsSent === null) {
    return [POOL_LABEL, FLEET_LABEL].some((key) => object.labels[key] !== undefined);
  }
  if (everything && !isEmpty) return true;
  const isShort = Object.entries(labels).some(([key, value]) => object.labels[key] !== value);
  const tooMany = Object.keys(labelsSent ?? {}).some((key) => !Object.hasOwn(labels, key));
  return isShort || tooMany;
}
