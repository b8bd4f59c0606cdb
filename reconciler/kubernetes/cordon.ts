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
import { unreachable } from "../../schema/unreachable.ts";
import { cordonRequest, judgeCordon, formatReason, releaseRequest } from "./cordon-state.ts";
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
  /** A person's word, or another session's share, stands against it: nothing was written. */
  | { kind: "yielded"; object: KubeNode; to: "uncordon" | "hold" | "session"; message: string }
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
  /** The caller knows that this session has held this object before. */
  held?: boolean;
  /** Cordon again although a person has lifted it in this session (policy `enforce`, once). */
  again?: boolean;
};

export type ReleaseOptions = {
  pool: string | null;
  /** Only the share of this session; without it, of any. */
  session?: string;
  cached?: KubeNode;
};

/** Cordons with our share, or says why not. Idempotent; writes nothing if it is so already. */
export function holdCordon(
  ports: NodePorts,
  name: string,
  uid: string,
  options: HoldOptions,
): Promise<CordonAnswer> {
  return settleNode(ports, { name, uid, pool: options.pool, cached: options.cached }, (live) =>
    nextHold(live, uid, options),
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
    nextRelease(live, options),
  );
}

type Next = NodeStep<CordonAnswer>;

function nextHold(live: KubeNode, uid: string, options: HoldOptions): Next {
  const { session, held } = options;
  const state = judgeCordon(live, { uid, session, ...(held === undefined ? {} : { held }) });
  const write: Next = {
    kind: "write",
    request: cordonRequest(live, options),
    judge: (after) => judgeHeld(after, session),
  };
  switch (state.kind) {
    case "isolated":
      return state.current && sameReason(live, options) ? so(judgeHeld(live, session)) : write;
    case "uncordoned":
      if (options.again === true) return write;
      return yielded(live, "uncordon", `a person uncordoned ${live.name} in this session`);
    case "wanted":
    case "adopt":
    case "impossible":
      return write;
    case "absent":
    case "new_object":
    case "free":
    case "foreign":
    case "stale":
      throw new Error(`${state.kind} cannot be: there is an object and a session`);
    default:
      return unreachable(state);
  }
}

function nextRelease(live: KubeNode, { session, pool }: ReleaseOptions): Next {
  const holder = live.annotations[ANNOTATION.session];
  const { held, unclear } = readHold(live);
  if (live.own && held) return yielded(live, "hold", formatHold(live.name, unclear));
  if (live.own && session !== undefined && holder !== undefined && holder !== session)
    return yielded(live, "session", `session ${holder} holds ${live.name}`);
  // After a person's uncordon our annotations are left, and would tell of a session for ever.
  const isLeftover = holder !== undefined && !isWiped(live);
  if (!live.own && !isLeftover) return so(judgeReleased(live));
  return { kind: "write", request: releaseRequest(live, pool), judge: judgeReleased };
}

const so = (answer: CordonAnswer): Next => ({ kind: "so", answer });

function yielded(object: KubeNode, to: "uncordon" | "hold" | "session", message: string): Next {
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
