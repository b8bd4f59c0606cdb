/**
 * The history of a node's object in Kubernetes: refusals of its mark, former names, removals of the
 * mark, and its absence or NotReady. All bounded, because a cluster may repeat them without end.
 */
import * as v from "valibot";
import { instant } from "./number.ts";

const text = v.string();

/** RBAC, a webhook or policy, or anything else. */
export const RefusalCause = v.picklist(["permission", "admission", "other"]);
export type RefusalCause = v.InferOutput<typeof RefusalCause>;

/** A refusal to mark or unmark it; `at` is the last one. `cause` is missing in older rows. */
export const KubeRefusal = v.object({
  what: text,
  message: text,
  cause: v.optional(RefusalCause),
  since: instant,
  at: instant,
});
export type KubeRefusal = v.InferOutput<typeof KubeRefusal>;

export const FORMER_NAMES_MAX = 8;
/** Newest first; `at` is the end of the name. */
export const FormerNames = v.pipe(
  v.array(v.object({ name: text, at: instant })),
  v.maxLength(FORMER_NAMES_MAX),
);

export const UNCORDONS_MAX = 8;
/** Oldest first. `by`: the field manager of that write, if recorded. */
export const Uncordons = v.pipe(
  v.array(v.object({ at: instant, by: v.nullable(text) })),
  v.maxLength(UNCORDONS_MAX),
);
export type Uncordons = v.InferOutput<typeof Uncordons>;

export const DELETERS_MAX = 4;

/** Fields of `KubeFact` about an object that is NotReady, gone, or that others delete or keep. */
export const OUT_OF_CLUSTER = {
  /** The annotation by which people ask other autoscalers to keep it; absent = none. */
  kept: v.optional(text),
  /** Programs that announce by a taint that they delete it, as sentences; absent = none. */
  deleters: v.optional(v.pipe(v.array(text), v.maxLength(DELETERS_MAX))),
  /** Others held it unschedulable when it left the cluster: they took it away. */
  leftCordoned: v.optional(v.literal(true)),
  /** Since when it is seen NotReady, by this clock; absent while it is Ready, and in older rows. */
  notReadySince: v.optional(instant),
  /** When its absence or NotReady was reported; absent until then, and once it is back. */
  missedAt: v.optional(instant),
  /** When `kubernetes.not_ready_after` passed: the node is unhealthy until its Node is Ready. */
  lostAt: v.optional(instant),
};
