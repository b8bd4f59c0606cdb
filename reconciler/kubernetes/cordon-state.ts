/**
 * What a Node's cordon means to us, and the two requests by which we may change it: pure. The
 * requests carry the UID and the resource version of the object that they were decided from, so
 * that the server refuses one that was decided from an old picture (law 5).
 */
import type { V1Node } from "@kubernetes/client-node";
import { PATCH } from "./api.ts";
import type { KubeRequest, Sent } from "./api.ts";
import { bounded, CALL_MS, nodePath } from "./node-call.ts";
import { ANNOTATION, MANAGER } from "../core/kubernetes/object.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";

/** What the live object and our session mean together. */
export type CordonState =
  /** No such object. */
  | { kind: "absent" }
  /** Another object has the name: its cordon, taints and conditions are gone with the old one. */
  | { kind: "new_object"; uid: string }
  /** Schedulable, and nothing of ours is wanted. */
  | { kind: "free" }
  /** Schedulable, and an open session has not isolated it yet. */
  | { kind: "wanted" }
  /** Isolated by us; `current` = in this session. With others, it stays cordoned after us. */
  | { kind: "isolated"; current: boolean; coOwned: boolean }
  /** Cordoned by others alone, and nothing of ours is wanted: hands off. */
  | { kind: "foreign"; others: string[] }
  /** Cordoned by others alone in an open session: our share is added, once. */
  | { kind: "adopt"; others: string[] }
  /** Our share is still there, without a session: to be released. */
  | { kind: "stale"; coOwned: boolean }
  /** It was isolated in this session, and a person has lifted that: a cancel. */
  | { kind: "uncordoned" }
  /** We own the field and it is not set: somebody forged it. Raise an alarm. */
  | { kind: "impossible" };

/**
 * The decision table of docs/reference/kubernetes.md#cordon. `session` is the open session or
 * `null`. `held`: this session is known to have isolated this object (our annotation on it says
 * so).
 */
export function judgeCordon(
  live: KubeNode | null,
  want: { uid: string; session: string | null; held?: boolean },
): CordonState {
  if (live === null) return { kind: "absent" };
  if (live.uid !== want.uid) return { kind: "new_object", uid: live.uid };
  const { own, others, unschedulable } = live;
  const current = want.session !== null && live.annotations[ANNOTATION.session] === want.session;
  if (!unschedulable && own) return { kind: "impossible" };
  if (unschedulable && own) {
    const coOwned = others.length > 0;
    return want.session === null
      ? { kind: "stale", coOwned }
      : { kind: "isolated", current, coOwned };
  }
  if (unschedulable) return { kind: want.session === null ? "foreign" : "adopt", others };
  if (want.session === null) return { kind: "free" };
  return { kind: current || want.held === true ? "uncordoned" : "wanted" };
}

/** An annotation is for a person to read; the whole story is in our own record. */
const WHY_BYTES_MAX = 1_024;

/** What the reason annotation holds. */
export const formatReason = (why: string): string => bounded(why, WHY_BYTES_MAX);

/** The exact request that adds our share. */
export function cordonRequest(
  live: KubeNode,
  options: { session: string; why: string; pool: string | null },
): KubeRequest {
  return apply(live, options.pool, {
    annotations: {
      [ANNOTATION.session]: options.session,
      [ANNOTATION.reason]: formatReason(options.why),
      [ANNOTATION.preexisting]: preexisting(live),
    },
    spec: { unschedulable: true },
  });
}

/** The exact request that drops it: the same manager, wanting nothing. */
export function releaseRequest(live: KubeNode, pool: string | null): KubeRequest {
  return apply(live, pool, {});
}

/**
 * Whether the node was unschedulable before our first share; kept for as long as that share lasts.
 * If it lasts and the annotation was taken away, nobody knows: then as if it was.
 */
function preexisting(live: KubeNode): "true" | "false" {
  if (!live.own) return live.unschedulable ? "true" : "false";
  return live.annotations[ANNOTATION.preexisting] === "false" ? "false" : "true";
}

/**
 * With the UID always: an apply creates what it does not find, and a deleted Node would come back
 * as a ghost (docs/reference/kubernetes.md#cordon). `force` is right for isolation only: the one
 * other value that anybody can own is a `false`.
 */
function apply(
  live: KubeNode,
  pool: string | null,
  { annotations, spec }: Pick<Sent<V1Node>, "spec"> & { annotations?: Record<string, string> },
): KubeRequest {
  const { name, uid, resourceVersion } = live;
  const metadata = {
    ...{ name, uid, resourceVersion },
    ...(annotations === undefined ? {} : { annotations }),
  };
  return {
    verb: "patch",
    path: nodePath(name),
    query: { fieldManager: MANAGER.cordon, force: "true" },
    contentType: PATCH.apply,
    body: { apiVersion: "v1", kind: "Node", metadata, ...(spec === undefined ? {} : { spec }) },
    timeoutMs: CALL_MS,
    lane: "cordon",
    pool,
  };
}
