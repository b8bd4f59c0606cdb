/**
 * The product's own share of a cordon, held and given back by server-side apply, so that a person's
 * cordon is never lifted (docs/reference/kubernetes.md#cordon). Every write carries the UID and the
 * resource version that it was decided from: a paused process with an old picture is refused by the
 * server (law 5), and what counts is what the server's answer shows, not that it answered.
 *
 * Nothing here lifts a cordon in which the own share is missing, even if our annotations say that
 * the node was schedulable before. Once a tool has wiped `managedFields`, the server tracks no
 * further owner, so "ours, wiped" and "ours, wiped, uncordoned and cordoned again by a person" are
 * the same object to the last byte. Such a node is reported as `wiped` and left to a person.
 */
import { cordonRequest, formatReason, releaseRequest } from "./cordon-state.ts";
import { formatHold, readHold } from "../core/kubernetes/hold.ts";
import { settleNode } from "./settle-node.ts";
import type { NodeStep } from "./settle-node.ts";
import type { Loss, NodePorts, OtherObject, Refusal } from "./node-call.ts";
import { ANNOTATION } from "../core/kubernetes/object.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { UNKNOWN_MANAGER } from "./read-node.ts";

export type CordonAnswer =
  /** Cordoned with our share in it; the object is as the server holds it. */
  | { kind: "held"; object: KubeNode; coOwned: boolean }
  /**
   * Nothing of ours is left. `stays` = who still cordons it; `wiped` = our session cordoned it, and
   * nobody can tell any more whose cordon is left.
   */
  | { kind: "released"; object: KubeNode; stays: string[]; wiped: boolean }
  /** A person's word stands against it: nothing was written. */
  | { kind: "yielded"; object: KubeNode; to: "uncordon" | "hold"; message: string }
  /** Another UID, or no object at all. */
  | OtherObject
  /** Nothing was done. */
  | Refusal
  /** It may have been done, or may still be: read before anything else. */
  | Loss;

export type HoldOptions = {
  session: string;
  why: string;
  pool: string | null;
  /** A recent copy: the first try then needs no read. A stale one costs one conflict. */
  cached?: KubeNode;
  /** Cordon again although a person has lifted it in this session (policy `enforce`, once). */
  again?: boolean;
};

export type ReleaseOptions = { pool: string | null; cached?: KubeNode };

/** Cordons with our share, or says why not. Idempotent; writes nothing if it is so already. */
export function holdCordon(
  ports: NodePorts,
  name: string,
  uid: string,
  options: HoldOptions,
): Promise<CordonAnswer> {
  return settleNode(ports, { name, uid, pool: options.pool, cached: options.cached }, (live) =>
    nextHold(live, options),
  );
}

/** Gives our share back, and never lifts what is not ours. Idempotent. */
export function releaseCordon(
  ports: NodePorts,
  name: string,
  uid: string,
  options: ReleaseOptions,
): Promise<CordonAnswer> {
  return settleNode(ports, { name, uid, pool: options.pool, cached: options.cached }, (live) =>
    nextRelease(live, options.pool),
  );
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
  if (live.own && held) return yielded(live, "hold", formatHold(live.name, unclear));
  // After a person's uncordon our annotations are left, and would tell of a session for ever.
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
