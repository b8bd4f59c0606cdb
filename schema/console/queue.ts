/**
 * Tasks of the demand queue as they are stored, and the limits of their classes and priorities. A
 * task is work done by others: a worker leases it, keeps the lease alive, and reports the end.
 */
import * as v from "valibot";
import { CommandId } from "../id.ts";
import { count, instant, positive } from "../number.ts";

export const TASK_CLASSES = ["interactive", "batch", "maintenance"] as const;
export type TaskClass = (typeof TASK_CLASSES)[number];
/** From the one that is served first. */
export const TASK_PRIORITIES = ["high", "medium", "low", "batch"] as const;
export type TaskPriority = (typeof TASK_PRIORITIES)[number];
export const TASK_STATES = ["pending", "running", "completed", "failed", "cancelled"] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** `slots`: tasks that run at once. */
export const CLASS_LIMITS = {
  interactive: { weight: 100, slots: 10 },
  batch: { weight: 50, slots: 20 },
  maintenance: { weight: 10, slots: 5 },
} as const satisfies Record<TaskClass, { weight: number; slots: number }>;

/** `perSecond`: starts a second; `backoffMs`: before the first retry, doubled for each next one. */
export const PRIORITY_LIMITS = {
  high: { slots: 50, perSecond: 100, retries: 3, backoffMs: 1_000 },
  medium: { slots: 30, perSecond: 50, retries: 3, backoffMs: 2_000 },
  low: { slots: 20, perSecond: 25, retries: 2, backoffMs: 5_000 },
  batch: { slots: 10, perSecond: 10, retries: 1, backoffMs: 10_000 },
} as const satisfies Record<TaskPriority, object>;

/** Runs in the control plane and does nothing: it tries the queue. */
export const NOOP = "noop";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const name = v.pipe(v.string(), v.regex(NAME, "must be 1 to 63 letters, digits, dots or dashes"));
const TEXT_CHARS_MAX = 16_384;
/** A payload, a result or an error: opaque text. */
export const taskText = v.pipe(v.string(), v.maxLength(TEXT_CHARS_MAX));

export const TaskAsk = v.strictObject({
  class: v.picklist(TASK_CLASSES),
  priority: v.optional(v.picklist(TASK_PRIORITIES), "medium"),
  type: name,
  /** The pool of machines on which it is to run; its demand is that pool's. */
  pool: v.nullish(name, null),
  gpus: v.optional(v.pipe(positive, v.maxValue(1_024)), 1),
  /** Kept pending until it is released. */
  hold: v.optional(v.boolean(), false),
  payload: v.nullish(taskText, null),
});
export type TaskAsk = v.InferOutput<typeof TaskAsk>;

export const LeaseAsk = v.strictObject({
  worker: name,
  /** Absent: of every type but `noop`. */
  types: v.optional(v.pipe(v.array(name), v.maxLength(64))),
  /** Tasks of this pool and of none; absent: of every pool. */
  pool: v.nullish(name, null),
  max: v.optional(v.pipe(positive, v.maxValue(100)), 1),
});
export type LeaseAsk = v.InferOutput<typeof LeaseAsk>;

/** Rows that older releases wrote lack what was added since. */
export const Task = v.object({
  id: v.string(),
  /** Grows with each task. */
  ordinal: count,
  class: v.picklist(TASK_CLASSES),
  priority: v.picklist(TASK_PRIORITIES),
  type: v.string(),
  pool: v.nullable(v.string()),
  gpus: positive,
  hold: v.boolean(),
  payload: v.nullable(v.string()),
  by: v.string(),
  at: instant,
  state: v.picklist(TASK_STATES),
  /** Begun so far. */
  attempts: count,
  /** Not begun before; after a failed attempt. */
  notBefore: instant,
  worker: v.nullable(v.string()),
  /** Of the newest attempt: what a worker shows to say anything about it. */
  lease: v.nullable(v.string()),
  /** The attempt has failed then, unless the worker is heard again. */
  leaseUntil: v.nullable(instant),
  startedAt: v.nullable(instant),
  endedAt: v.nullable(instant),
  result: v.nullable(v.string()),
  /** Of the newest failed attempt. */
  error: v.nullable(v.string()),
});
export type Task = v.InferOutput<typeof Task>;

export const TaskKey = CommandId;

/** Tasks that wait, by class, priority and pool; `pool` is empty for none. */
export type QueueDepth = {
  class: TaskClass;
  priority: TaskPriority;
  pool: string;
  tasks: number;
};
