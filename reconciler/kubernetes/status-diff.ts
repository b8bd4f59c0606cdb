/**
 * Computes the writes that bring a Node's conditions, taints and labels to the desired state: pure.
 * Conditions and taints are compared with the object; for labels the last apply is remembered too,
 * because the cache does not show their owners.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { bounded } from "./node-call.ts";
import {
  CONDITION_TYPES,
  FLEET_LABEL,
  isForeign,
  POOL_LABEL,
  TAINT,
} from "../core/kubernetes/object.ts";
import type { KubeNode, Taint } from "../core/kubernetes/object.ts";
import { DRAINING_TAINT, taintRequest, unhealthyTaint } from "./taint.ts";
import type { TaintChange } from "./taint.ts";

export type NodeCondition = {
  type: (typeof CONDITION_TYPES)[number];
  status: "True" | "False" | "Unknown";
  /** CamelCase. */
  reason: string;
  /** GPU index, UUID, XID and session; cut at 1 KiB. */
  message: string;
  /** A shown message with this prefix stays: there is nothing new to report. */
  keeps?: string;
};

export type DesiredStatus = {
  /** Id of the node in the fleet. */
  node: string;
  name: string;
  uid: string;
  pool: string | null;
  /** As cached. */
  object: KubeNode;
  conditions: readonly NodeCondition[];
  /** The pool's own; `navarch.dev/pool` is added. */
  labels: Readonly<Record<string, string>>;
  /** The pool's own. */
  taints: readonly Taint[];
  /** Class of the fault; `null`: no taint. */
  unhealthyTaint: string | null;
  draining: boolean;
  /** The node serves, so the taints that its kubelet registered with are removed. */
  verified: boolean;
  /**
   * This install: nothing is written on a Node that another one claims. `null`: we bought the
   * machine, so every claim of another install is ignored.
   */
  fleet: string | null;
  /** A mark is being written: only conditions, which need no version, are written now. */
  later: boolean;
  /** What the configuration lets us show; everything else is removed. */
  mirror: { condition: boolean; labels: boolean; taint: boolean };
};

export type StatusMemory = {
  /** All labels in this process's last apply; `null`: none yet. */
  labelsSent: Readonly<Record<string, string>> | null;
  /** Labels that another manager owns, with their current value; never written. */
  foreign: Map<string, string>;
};

export type StatusStep =
  /** `isText`: only wording changed, so it may wait. */
  | { kind: "conditions"; set: ConditionPatch[]; drop: string[]; isText: boolean }
  | { kind: "labels"; labels: Record<string, string> }
  | { kind: "taints"; change: TaintChange };

/** `isTurn`: the status changes, so the time of transition is now. */
export type ConditionPatch = Omit<NodeCondition, "keeps"> & { isTurn: boolean };

const MESSAGE_BYTES_MAX = 1_024;

/** Due steps in their order. `everything`: also values that are already correct. */
export function judgeStatus(
  desired: DesiredStatus,
  object: KubeNode,
  memory: StatusMemory,
  everything: boolean,
): StatusStep[] {
  const { mirror } = desired;
  if (isForeign(object, desired.fleet)) return [];
  const conditions = mirror.condition ? desired.conditions : [];
  const due = conditions
    .map((condition) => patchOf(condition, object))
    .filter(({ isNew }) => isNew || everything);
  const set = due.map(({ patch }) => patch);
  const drop = unmanaged(object, conditions);
  const isText = !everything && drop.length === 0 && due.every((one) => one.isText);
  const labels = mirror.labels ? labelsOf(desired, object, memory) : {};
  const step: Judged["step"] = { kind: "conditions", set, drop, isText };
  const steps = stepsOf(object, memory, { step, change: taintsOf(desired), labels, everything });
  return desired.later ? steps.filter(({ kind }) => kind === "conditions") : steps;
}

/** Removes everything of ours. */
export function clearRequests(object: KubeNode, memory: StatusMemory): StatusStep[] {
  const drop = unmanaged(object, []);
  const step: Judged["step"] = { kind: "conditions", set: [], drop, isText: false };
  const change = { want: [], drop: [TAINT.unhealthy, TAINT.draining], pool: [] };
  return stepsOf(object, memory, { step, change, labels: {}, everything: false });
}

type Judged = {
  step: Extract<StatusStep, { kind: "conditions" }>;
  change: TaintChange;
  labels: Record<string, string>;
  everything: boolean;
};

/**
 * Conditions come first and do not depend on the rest: a webhook that refuses every change of the
 * Node cannot refuse one of its status, and a dead GPU must not read as healthy meanwhile.
 */
function stepsOf(object: KubeNode, memory: StatusMemory, judged: Judged): StatusStep[] {
  const { step, change, labels, everything } = judged;
  const steps: StatusStep[] = [];
  if (step.set.length > 0 || step.drop.length > 0) steps.push(step);
  if (taintRequest(object, change, { pool: null, lane: "status" }) !== null)
    steps.push({ kind: "taints", change });
  if (isLabelsDue(labels, object, memory, everything)) steps.push({ kind: "labels", labels });
  return steps;
}

/** What a step of this kind is to achieve, as comparable text. */
export function aimOf(kind: StatusStep["kind"], desired: DesiredStatus): string {
  switch (kind) {
    case "conditions":
      return JSON.stringify(desired.conditions.map((one) => ({ ...one, message: wordsOf(one) })));
    case "taints":
      return JSON.stringify([taintsOf(desired).want, desired.taints]);
    case "labels":
      return JSON.stringify(desired.labels);
    default:
      return unreachable(kind);
  }
}

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
  // Independent of `mirror.taint`: an operator who sets these on kubelets relies on the removal.
  const burnIn = verified ? [TAINT.unverified, TAINT.unverifiedMildly] : [];
  const pool = mirror.labels ? desired.taints : [];
  return { want, drop: [...drop, ...burnIn], pool };
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
  // A deadline that appears or disappears is not mere wording: pods are deleted by it.
  const isEnd = reason === "Draining" && TIME.test(old.message) !== TIME.test(message);
  return { isNew, isText: desired.type === "NavarchManaged" && !isEnd, patch };
}

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;
const TIME_OR_NUMBER = new RegExp(`${TIME.source}|\\d+(?:\\.\\d+)?`, "g");
const MINUTE_CHARS = "2026-11-22T16:19".length;

/**
 * The comparable part of a message. In `NavarchManaged` a changed number or second is no reason for
 * a write; the next renewal carries it. In the health condition every word counts.
 */
function wordsOf({ type, message }: { type: string; message: string }): string {
  if (type !== "NavarchManaged") return message;
  return message.replace(TIME_OR_NUMBER, (one) =>
    one.includes("T") ? one.slice(0, MINUTE_CHARS) : "#",
  );
}

/** Conditions of our types that are not desired. */
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
    // Retried once the other owner's value has changed or gone.
    if (object.labels[key] === value) delete labels[key];
  }
  return labels;
}

/**
 * An apply carries the whole set, so it is due if a label is missing or the last apply had more.
 * After a restart the last one is unknown: our pool or fleet label shows that there was one.
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
