/**
 * Writes one status step on a Node and interprets the answer. One request a step; labels may need a
 * second one, without those that another manager owns.
 */
import { unreachable } from "../../schema/unreachable.ts";
import { readAdmission } from "./admission.ts";
import { PATCH } from "./api.ts";
import type { KubeAnswer, KubeRequest } from "./api.ts";
import { CALL_MS, failed, failureOf, nodePath } from "./node-call.ts";
import type { Failed, NodePorts } from "./node-call.ts";
import { MANAGER } from "../core/kubernetes/object.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { readNode } from "./read-node.ts";
import type { StatusMemory, StatusStep } from "./status-diff.ts";
import { changeTaints } from "./taint.ts";

export type StatusTarget = StatusMemory & {
  name: string;
  uid: string;
  pool: string | null;
  object: KubeNode;
};

/** `lines`: warnings for the log. */
export type Written = { object: KubeNode | null; lines: string[] } & (
  | { kind: "done" }
  /** The object is gone, or has another UID. */
  | { kind: "gone" }
  | Failed
);

export async function writeStatus(
  ports: NodePorts,
  target: StatusTarget,
  step: StatusStep,
): Promise<Written> {
  const { name, uid, pool, object } = target;
  switch (step.kind) {
    case "taints": {
      const at = { name, uid, pool, cached: object, lane: "status" as const };
      const answer = await changeTaints(ports, at, step.change);
      if (answer.kind === "done") return { kind: "done", object: answer.object, lines: [] };
      if (answer.kind === "other_object") return { kind: "gone", object: null, lines: [] };
      return { ...failed(answer), object: null, lines: [] };
    }
    case "conditions": {
      const request = conditionRequest(target, step, ports.clock.wallMs());
      return written(await ports.api.call(request), uid);
    }
    case "labels":
      return writeLabels(ports, target, step.labels);
    default:
      return unreachable(step);
  }
}

/**
 * Conditions are merged by `type`: the kubelet's stay, and no version is needed. An omitted member
 * keeps its value, so the time of transition changes only with the status.
 */
export function conditionRequest(
  { name, uid, pool }: StatusTarget,
  { set, drop }: Extract<StatusStep, { kind: "conditions" }>,
  nowMs: number,
): KubeRequest {
  const now = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
  const conditions = [
    ...set.map(({ isTurn, ...condition }) => ({
      ...condition,
      lastHeartbeatTime: now,
      ...(isTurn ? { lastTransitionTime: now } : {}),
    })),
    ...drop.map((type) => ({ $patch: "delete", type })),
  ];
  return {
    verb: "patch",
    path: `${nodePath(name)}/status`,
    contentType: PATCH.strategic,
    body: { metadata: { uid }, status: { conditions } },
    timeoutMs: CALL_MS,
    lane: "status",
    pool,
  };
}

/** Not forced: a label that another manager owns with another value stays. */
export function labelRequest(
  { name, uid, pool }: StatusTarget,
  labels: Readonly<Record<string, string>>,
): KubeRequest {
  return {
    verb: "patch",
    path: nodePath(name),
    query: { fieldManager: MANAGER.labels },
    contentType: PATCH.apply,
    body: { apiVersion: "v1", kind: "Node", metadata: { name, uid, labels } },
    timeoutMs: CALL_MS,
    lane: "status",
    pool,
  };
}

async function writeLabels(
  ports: NodePorts,
  target: StatusTarget,
  labels: Readonly<Record<string, string>>,
): Promise<Written> {
  const first = await ports.api.call(labelRequest(target, labels));
  const foreign = foreignLabels(first, labels);
  if (foreign.size === 0) return remember(target, labels, written(first, target.uid));
  const lines: string[] = [];
  for (const [key, why] of foreign) {
    const value = target.object.labels[key];
    if (value !== undefined) target.foreign.set(key, value);
    lines.push(`label ${key}=${labels[key]} is left to its owner: ${why}`);
  }
  const ours = Object.fromEntries(Object.entries(labels).filter(([key]) => !foreign.has(key)));
  const second = await ports.api.call(labelRequest(target, ours));
  return { ...remember(target, ours, written(second, target.uid)), lines };
}

function remember(
  target: StatusTarget,
  labels: Readonly<Record<string, string>>,
  result: Written,
): Written {
  if (result.kind === "done") target.labelsSent = labels;
  return result;
}

const LABEL_FIELD = /^\.metadata\.labels\.(.+)$/;

/** Labels that another manager owns, with the server's message that names it. */
function foreignLabels(
  answer: KubeAnswer,
  labels: Readonly<Record<string, string>>,
): Map<string, string> {
  const found = new Map<string, string>();
  if (answer.kind !== "refused" || answer.status !== 409) return found;
  for (const { reason, field, message } of answer.causes) {
    const key = LABEL_FIELD.exec(field)?.[1];
    const isOurs = key !== undefined && Object.hasOwn(labels, key);
    if (reason === "FieldManagerConflict" && isOurs) found.set(key, message);
  }
  return found;
}

function written(answer: KubeAnswer, uid: string): Written {
  if (answer.kind === "ok") {
    const object = readNode(answer.body);
    if (object !== null && object.uid !== uid) return { kind: "gone", object: null, lines: [] };
    return { kind: "done", object, lines: [] };
  }
  if (isGone(answer)) return { kind: "gone", object: null, lines: [] };
  return { ...failed(failureOf(answer)), object: null, lines: [] };
}

/**
 * No object, or another UID: an apply on a name without an object is answered 409 *uid mismatch*,
 * a patch of another object 422 on `metadata.uid` (kube-apiserver 1.37.1, measured).
 */
function isGone(answer: KubeAnswer): boolean {
  if (answer.kind !== "refused" || readAdmission(answer.message) !== null) return false;
  if (answer.status === 404) return true;
  if (answer.status === 409) return /uid mismatch/i.test(answer.message);
  return answer.status === 422 && answer.causes.some(({ field }) => field === "metadata.uid");
}
