/**
 * What a pool tells of itself: its status with conditions, and an event whenever one of them turns.
 * `kubectl describe agentpool` shows both, so each says in plain words why a pool does not grow.
 */
import type { ConditionType, WorkerState } from "../../../schema/agentpool.ts";
import { effectiveMaxIdle } from "../scaling/idle.ts";
import type { Problem } from "./block.ts";
import type { Draft } from "./draft.ts";
import { stuckKey, stuckOf } from "./leave.ts";
import type { Member } from "./member.ts";
import type { AgentPool, Condition, PoolStatus } from "./model.ts";
import { RETRY_MS, type Scale, scalerOf } from "./scale.ts";

const NAMES_SHOWN = 5;

export type Scene = {
  pool: AgentPool;
  members: readonly Member[];
  scale: Scale;
  /** Why the list of pods is not current; `null` = it is. */
  dark: string | null;
  isChecked: boolean;
  /** Words of the API server about the template. */
  badTemplate: string | null;
  problem: Problem | null;
  /** More workers are wanted than there are. */
  isShort: boolean;
};

export function statusOf(draft: Draft, scene: Scene): PoolStatus {
  const { pool, members, scale, problem } = scene;
  const workers: Partial<Record<WorkerState, number>> = {};
  for (const { state } of members) workers[state] = (workers[state] ?? 0) + 1;
  const { minIdle, maxIdle, slots } = scalerOf(pool);
  return {
    size: scale.size,
    idleSlots: scale.idle,
    queuedClaims: draft.queued.length,
    workers,
    effectiveMaxIdle: effectiveMaxIdle({ minIdle, maxIdle, slots }),
    lastAllocationError: problem,
    conditions: [
      ready(draft, scene),
      gated(scene),
      atMax(scene),
      blocked(scene),
      invalid(scene),
      draining(draft, scene),
    ],
  };
}

function condition(
  type: ConditionType,
  [reason, message]: readonly [string, string],
  isTrue: boolean,
): Condition {
  return { type, status: isTrue ? "True" : "False", reason, message };
}

type Words = readonly [reason: string, message: string];

const list = (names: readonly string[]): string => {
  const more = names.length - NAMES_SHOWN;
  const shown = names.slice(0, NAMES_SHOWN).join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
};

const namesOf = (members: readonly Member[]): string =>
  list(members.map(({ worker }) => worker.name));

function ready(draft: Draft, scene: Scene): Condition {
  const why = unready(draft, scene);
  return condition("Ready", why ?? ["Ready", "Free slots and workers are as wanted"], why === null);
}

/** The reason that a person would look at first. */
function unready(draft: Draft, scene: Scene): Words | null {
  const { pool, scale, dark, members } = scene;
  if (pool.isDeleting) return ["Deleting", "The pool is being deleted"];
  if (scene.badTemplate !== null) return ["InvalidTemplate", scene.badTemplate];
  if (dark !== null) return ["PodsUnknown", `Nothing is changed: ${dark}`];
  if (pool.scaler === null) return null;
  if (scale.gated.length > 0) return ["Gated", gateText(scene)];
  const { min, minIdle, slots } = scalerOf(pool);
  const pending = members.filter((one) => one.state === "Pending");
  const joined = scale.size - pending.length;
  const free = scale.idle - pending.length * slots;
  if (joined >= min && free >= minIdle) return null;
  if (scene.problem !== null) return ["ScaleUpBlocked", blockText(scene.problem)];
  if (!pool.hasFinalizer && scene.isShort) {
    return ["NotHeld", "The finalizer of the pool is not set yet: nothing is created"];
  }
  if (!scene.isChecked && scene.isShort) return ["TemplateNotChecked", "The template is checked"];
  return waiting(draft, scene, pending) ?? ["Starting", startText(pending)];
}

/** Volumes of a cloud take half a minute to attach. */
const MOUNT_MS = 60_000;

function isLate(recall: Draft["recall"], key: string): boolean {
  const left = MOUNT_MS - recall.age(key);
  if (left > 0) recall.dueIn(left);
  return left <= 0;
}

function waiting(draft: Draft, { scale, pool }: Scene, pending: readonly Member[]): Words | null {
  const unschedulable = pending.filter(({ pod }) => pod?.trouble?.kind === "unschedulable");
  const [first] = unschedulable;
  if (first !== undefined) {
    const message = first.pod?.trouble?.message ?? "";
    return ["Unschedulable", `${namesOf(unschedulable)}: ${message}`];
  }
  for (const one of pending) {
    const stuck = stuckOf(one);
    if (stuck === null || (stuck.kind !== "start" && stuck.kind !== "mount")) continue;
    if (stuck.kind === "mount" && !isLate(draft.recall, stuckKey(one.worker.name, stuck))) continue;
    return ["PodNotStarting", `${namesOf([one])}: ${stuck.why}`];
  }
  const { max } = scalerOf(pool);
  return pending.length === 0 && scale.size >= max ? ["AtMax", maxText(scale.size, max)] : null;
}

/** A pod that runs has an agent that may not reach the control plane. */
function startText(pending: readonly Member[]): string {
  const said = `${pending.length} workers have not joined yet`;
  const runs = pending.filter((one) => stuckOf(one)?.kind === "join");
  if (runs.length === 0) return said;
  const why = "its log (kubectl logs) says why: broker.address must lead to the control plane";
  return `${said}; the pod of ${namesOf(runs)} runs, and ${why}`;
}

const gateText = ({ scale: { gated } }: Scene): string =>
  `Not heard since this control plane started: ${list(gated)}. Nothing is created or deleted`;

function gated(scene: Scene): Condition {
  const { dark, scale, pool } = scene;
  if (dark !== null) return condition("Gated", ["PodsUnknown", dark], true);
  const isGated = scale.gated.length > 0 && pool.scaler !== null;
  const words: Words = isGated
    ? ["WorkersUnknown", gateText(scene)]
    : ["WorkersKnown", "Every worker is known"];
  return condition("Gated", words, isGated);
}

const maxText = (size: number, max: number): string => `${size} of at most ${max} workers`;

function atMax({ pool, scale, isShort }: Scene): Condition {
  const { max } = scalerOf(pool);
  const isFull = pool.scaler !== null && scale.size >= max;
  const more = isFull && isShort ? "; more are wanted: raise spec.autoscaler.maxReplicas" : "";
  const reason = isFull ? "MaxReplicas" : "BelowMaxReplicas";
  return condition("AtMax", [reason, `${maxText(scale.size, max)}${more}`], isFull);
}

const blockText = ({ reason, message }: Problem): string =>
  `${reason}: ${message}. Tried again every ${RETRY_MS / 1_000} s`;

function blocked({ problem }: Scene): Condition {
  if (problem === null) {
    return condition("ScaleUpBlocked", ["NotBlocked", "No creation has failed"], false);
  }
  return condition("ScaleUpBlocked", [problem.reason, blockText(problem)], true);
}

const VALID: Words = ["Valid", "No rule is broken"];

function invalid({ badTemplate }: Scene): Condition {
  const isBad = badTemplate !== null;
  return condition("InvalidTemplate", isBad ? ["Invalid", badTemplate] : VALID, isBad);
}

function draining(draft: Draft, { pool, members }: Scene): Condition {
  if (!pool.isDeleting) {
    return condition("Draining", ["NotDeleting", "The pool is not being deleted"], false);
  }
  const busy = members.filter(({ used }) => used > 0);
  const claims = draft.claims.length - draft.queued.length;
  const message =
    busy.length === 0
      ? `${members.length} workers are being removed`
      : `${claims} claims are waited for, on ${namesOf(busy)}`;
  return condition("Draining", ["Deleting", message], true);
}

/** An event for each condition that has turned since the last step. */
/** Once for a generation: the file is the ConfigMap's, and each worker of the template reads it. */
export function tellIgnored(draft: Draft, pool: AgentPool, members: readonly Member[]): void {
  const keys = new Set(members.flatMap(({ agent }) => agent.ignored));
  for (const key of [...keys].toSorted()) {
    if (!draft.changes(`ignored:${key}`, String(pool.generation))) continue;
    const names = namesOf(members.filter(({ agent }) => agent.ignored.includes(key)));
    const why = "Navarch runs no sandbox in its workers: remove it from the ConfigMap";
    draft.warn("ConfigIgnored", `${key} in the velda.yaml of ${names} is ignored: ${why}`);
  }
}

export function tellTurns(draft: Draft, { conditions }: PoolStatus): void {
  for (const { type, status, reason, message } of conditions) {
    if (type !== "ScaleUpBlocked" && type !== "InvalidTemplate") continue;
    const isBad = status === "True";
    if (!draft.changes(type, isBad ? reason : null)) continue;
    if (isBad) draft.warn(type, message);
    else draft.note(type === "ScaleUpBlocked" ? "ScaleUpResumed" : "TemplateValid", message);
  }
}
