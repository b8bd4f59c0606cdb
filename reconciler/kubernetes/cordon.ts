/**
 * The product's own share of a cordon, held and released by server-side apply, so that a person's
 * cordon is never lifted (docs/reference/kubernetes.md#cordon). Every write carries the UID and the
 * resource version that it was decided from, so the server refuses a stale one (law 5); the object
 * in the answer decides the outcome.
 *
 * A cordon without our share is never lifted, even if our annotations say that the node was
 * schedulable before. After a tool has wiped `managedFields`, our wiped cordon and a later cordon
 * by a person are byte for byte the same object: such a node is reported as `wiped` and left alone.
 */
import type { V1Node } from "@kubernetes/client-node";
import { unreachable } from "../../schema/unreachable.ts";
import { readHold } from "../core/kubernetes/hold.ts";
import { CORDON_REASON } from "../core/kubernetes/slinky.ts";
import { ANNOTATION, MANAGER } from "../core/kubernetes/object.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import type { SchedulerAnswer } from "../core/kubernetes/scheduler.ts";
import { PATCH } from "./api.ts";
import type { KubeRequest, Sent } from "./api.ts";
import { bounded, CALL_MS, nodePath } from "./node-call.ts";
import type { Loss, NodePorts, OtherObject, Refusal } from "./node-call.ts";
import { UNKNOWN_MANAGER } from "./read-node.ts";
import { settleNode } from "./settle-node.ts";
import type { NodeStep } from "./settle-node.ts";
import { sayKept } from "../core/say/hold.ts";

export type CordonAnswer =
  /** Cordoned with our share in it; the object is as the server holds it. */
  | { kind: "held"; object: KubeNode; coOwned: boolean }
  /**
   * Nothing of ours is left. `stays`: managers that still cordon it; `wiped`: our session cordoned
   * it, and the owner of the remaining cordon is unknown.
   */
  | { kind: "released"; object: KubeNode; stays: string[]; wiped: boolean }
  /** A person decided otherwise: nothing was written. */
  | { kind: "yielded"; object: KubeNode; to: "uncordon" | "hold"; message: string }
  /** Another UID, or no object at all. */
  | OtherObject
  /** Nothing was done. */
  | Refusal
  /** The outcome is unknown: read the Node before any other write. */
  | Loss;

export type HoldOptions = {
  session: string;
  why: string;
  pool: string | null;
  cached?: KubeNode | undefined;
  /** For Slinky's operator; `foreign`: Slurm drains it already, for a reason of its own. */
  slurm?: { reason: string; foreign: boolean };
  /** Cordon again although a person lifted the cordon in this session (policy `enforce`, once). */
  again?: boolean;
};

export type ReleaseOptions = Pick<HoldOptions, "pool" | "cached">;

/** Cordons with our share, or returns why not. Idempotent; writes only what differs. */
export function holdCordon(
  ports: NodePorts,
  name: string,
  uid: string,
  options: HoldOptions,
): Promise<CordonAnswer> {
  const { pool, cached } = options;
  return settleNode(ports, { name, uid, pool, cached }, (live) => nextHold(live, options));
}

/** Releases our share and never lifts another owner's cordon. Idempotent. */
export function releaseCordon(
  ports: NodePorts,
  name: string,
  uid: string,
  { pool, cached }: ReleaseOptions,
): Promise<CordonAnswer> {
  return settleNode(ports, { name, uid, pool, cached }, (live) => nextRelease(live, pool));
}

type Next = NodeStep<CordonAnswer>;

/** The decision table of docs/reference/kubernetes.md#cordon, for an open session. */
function nextHold(live: KubeNode, options: HoldOptions): Next {
  const { session, again } = options;
  const isCurrent = live.annotations[ANNOTATION.session] === session;
  const isHeld = live.unschedulable && live.own;
  if (isHeld && isCurrent && sameReason(live, options)) return so(judgeHeld(live, session));
  // Our share without a cordon is not what `kubectl uncordon` leaves: cordon again.
  const isLifted = isCurrent && !live.unschedulable && !live.own;
  if (isLifted && again !== true) {
    return yielded(live, "uncordon", `a person uncordoned ${live.name} in this session`);
  }
  const request = cordonRequest(live, options);
  return { kind: "write", request, judge: (after) => judgeHeld(after, session) };
}

function nextRelease(live: KubeNode, pool: string | null): Next {
  const { held, unclear } = readHold(live);
  if (live.own && held)
    return yielded(live, "hold", sayKept({ code: "node_held", node: live.name, unclear }));
  // A person's uncordon leaves our annotations, which would name the session for ever.
  const isLeftover = live.annotations[ANNOTATION.session] !== undefined && !isWiped(live);
  if (!live.own && !isLeftover) return so(judgeReleased(live));
  return { kind: "write", request: releaseRequest(live, pool), judge: judgeReleased };
}

const so = (answer: CordonAnswer): Next => ({ kind: "so", answer });

function yielded(object: KubeNode, to: "uncordon" | "hold", message: string): Next {
  return so({ kind: "yielded", object, to, message });
}

const sameReason = (live: KubeNode, { why }: HoldOptions): boolean =>
  live.annotations[ANNOTATION.reason] === formatReason(why) &&
  live.annotations[ANNOTATION.preexisting] !== undefined;

const isWiped = (live: KubeNode): boolean =>
  live.unschedulable &&
  !live.own &&
  live.annotations[ANNOTATION.session] !== undefined &&
  live.others.every((manager) => manager === UNKNOWN_MANAGER);

function judgeHeld(object: KubeNode, session: string): CordonAnswer {
  const isHeld = object.unschedulable && object.own;
  if (isHeld && object.annotations[ANNOTATION.session] === session)
    return { kind: "held", object, coOwned: object.others.length > 0 };
  const message = `the server took the cordon of ${object.name}, and it is not there afterwards`;
  return { kind: "refused", message, retryAfterMs: null };
}

function judgeReleased(object: KubeNode): CordonAnswer {
  if (object.own) {
    const message = `the server took the release of ${object.name}, and our share is still there`;
    return { kind: "refused", message, retryAfterMs: null };
  }
  const stays = object.unschedulable ? object.others : [];
  return { kind: "released", object, stays, wiped: isWiped(object) };
}

const WHY_BYTES_MAX = 1_024;

export const formatReason = (why: string): string => bounded(why, WHY_BYTES_MAX);

/** Adds our share. */
export function cordonRequest(
  live: KubeNode,
  options: Pick<HoldOptions, "session" | "why" | "pool" | "slurm">,
): KubeRequest {
  const told = slurmReason(live, options);
  return apply(live, options.pool, {
    annotations: {
      [ANNOTATION.session]: options.session,
      [ANNOTATION.reason]: formatReason(options.why),
      [ANNOTATION.preexisting]: preexisting(live),
      ...(told === null ? {} : { [CORDON_REASON]: told }),
    },
    spec: { unschedulable: true },
  });
}

/**
 * In the same write as the cordon, so that no client sees the cordon without it. Another owner's
 * stays, and a drain that began without a reason of ours keeps its own.
 */
function slurmReason(live: KubeNode, { slurm }: Pick<HoldOptions, "slurm">): string | null {
  if (slurm === undefined) return null;
  if (live.cordonReason !== undefined) return live.cordonReason.own ? slurm.reason : null;
  return live.unschedulable || slurm.foreign ? null : slurm.reason;
}

/** Drops our share: an apply by the same manager without fields. */
export function releaseRequest(live: KubeNode, pool: string | null): KubeRequest {
  return apply(live, pool, {});
}

/**
 * Whether the node was unschedulable before our first share; kept while that share lasts. Defaults
 * to true if the annotation was removed meanwhile.
 */
function preexisting(live: KubeNode): "true" | "false" {
  if (!live.own) return live.unschedulable ? "true" : "false";
  return live.annotations[ANNOTATION.preexisting] === "false" ? "false" : "true";
}

/**
 * Always with the UID: an apply creates a missing object, so a deleted Node would come back
 * (docs/reference/kubernetes.md#cordon). `force` overrides only an owned `false`.
 */
function apply(
  live: KubeNode,
  pool: string | null,
  { annotations, spec }: Pick<Sent<V1Node>, "spec"> & { annotations?: Record<string, string> },
): KubeRequest {
  const { name, uid, resourceVersion } = live;
  return {
    verb: "patch",
    path: nodePath(name),
    query: { fieldManager: MANAGER.cordon, force: "true" },
    contentType: PATCH.apply,
    // JSON leaves undefined members out.
    body: {
      ...{ apiVersion: "v1", kind: "Node", spec },
      metadata: { name, uid, resourceVersion, annotations },
    },
    timeoutMs: CALL_MS,
    lane: "cordon",
    pool,
  };
}

/** What an answer about our mark means to the reconciler. `uid`: the object that was meant. */
export function judgeMark(answer: CordonAnswer, uid: string): SchedulerAnswer {
  switch (answer.kind) {
    case "held":
      return { kind: "ok", on: uid };
    case "released": {
      if (answer.wiped) {
        const message = "its owners were wiped: the owner of the cordon is unknown";
        return { kind: "ok", message };
      }
      const stays = answer.stays.join(", ");
      return { kind: "ok", message: stays === "" ? null : `stays cordoned by ${stays}` };
    }
    case "yielded":
      // The fold reads the person's decision from the object.
      if (answer.to === "uncordon") return { kind: "ok", on: uid, message: answer.message };
      return { kind: "refused", message: answer.message };
    case "other_object":
      // Its mark is gone with it; the new object of that name is matched and marked again.
      return { kind: "ok", message: answer.message };
    case "refused": {
      const { message, cause } = answer;
      return { kind: "refused", message, ...(cause === undefined ? {} : { cause }) };
    }
    case "lost":
      return { kind: "ambiguous", message: answer.message };
    default:
      return unreachable(answer);
  }
}
