/**
 * What a Kubernetes cluster shows of one node, folded into it: which object is the node's, whether
 * the product's mark is still on it, and what people did there. Pure. A changed UID is a new object
 * on which nothing of ours is written; a mark that somebody took off means that the repair is
 * called off (docs/reference/kubernetes.md).
 */
import type { KubernetesConfig } from "../../../schema/config.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import { FORMER_NAMES_MAX } from "../../../schema/kube-past.ts";
import type { KubeFact, KubeProof, Node } from "../../../schema/node.ts";
import { ANNOTATION, type KubeNode } from "../kubernetes/object.ts";
import { formatHold, readHold } from "../kubernetes/hold.ts";
import { notReadyOf } from "../kubernetes/mark.ts";
import { isDefinitive } from "../safety/evident.ts";
import { BY_KUBERNETES } from "../safety/uncordoned.ts";
import { foldCordon, noteUncordon, sayBroken, sayUncordon } from "./uncordon.ts";
import { evidenceKeys } from "./suppression.ts";
import { nodeEvent } from "../told-event.ts";

export type KubeSeen = {
  /** The object that is this node's; `null` = a complete list shows none. */
  object: KubeNode | null;
  by: KubeFact["by"];
  proof?: KubeProof;
};

export type KubeFold = { node: Node; events: EventDraft[] };

/** A mark of others is kept for people to read, a handful is enough. */
const OTHERS_MAX = 16;
/** A condition's reason may have 1,024 characters; those of kubelets have twenty. */
const NOT_READY_CHARS_MAX = 128;

/** The node as Kubernetes shows it now, or `null` if nothing changed. */
export function foldKube(
  node: Node,
  seen: KubeSeen,
  onUncordon: KubernetesConfig["onUncordon"],
  now: number,
): KubeFold | null {
  const events: EventDraft[] = [];
  const tell = (kind: EventKind, message: string, actor = "navarch"): void =>
    void events.push(nodeEvent(node, now, kind, message, actor));
  const { object } = seen;
  const before = node.kube;
  if (object === null) {
    if (before === null || before.absentSince !== null) return null;
    tell("kube.lost", `Node ${before.name} is no longer in the cluster`);
    const none = { isolatedUid: null, unschedulable: false, others: [] };
    const kube = { ...before, ...none, absentSince: now };
    return { node: { ...node, kube }, events };
  }
  const kube = factOf(object, seen, before, now);
  if (before === null) {
    const proof = seen.proof === undefined ? "" : `, proven by ${seen.proof}`;
    tell("kube.matched", `matched to Node ${object.name} (by ${seen.by}${proof})`);
  }
  else if (before.uid !== object.uid) {
    tell(
      "kube.changed",
      `Node ${object.name} was created again: it has none of the earlier marks`,
    );
  }
  tellHold(before, kube, tell);
  const waiver = foldOthers(node, kube, tell);
  const marked = before !== null && before.isolatedUid === object.uid;
  // A person's uncordon leaves our annotations; an object that was written again, or came back from
  // an old backup, has none, and is nobody's word about this repair.
  const isWord = object.annotations[ANNOTATION.session] !== undefined;
  if (marked && !object.unschedulable && !isAsking(node) && isWord) {
    if (onUncordon === "enforce" && !wasReasserted(node)) {
      const next = noteUncordon(kube, object, tell, now);
      tell("kube.uncordoned", `${sayUncordon(next)}: cordoned again, as configured`);
      return { node: { ...node, kube: { ...next, isolatedUid: null, reassertedAt: now } }, events };
    }
    const next = noteUncordon(kube, object, tell, now);
    return giveBack({ ...node, kube: { ...next, isolatedUid: null } }, events, tell, now);
  }
  // Whoever took our share off the mark and left the mark there: it is written again.
  const shared = marked && ((object.own && object.unschedulable) || isAsking(node));
  const next: KubeFact = { ...kube, isolatedUid: shared ? object.uid : null };
  if (before !== null && isSame(before, next)) return null;
  return { node: { ...node, kube: next, waiver }, events };
}

type Tell = (kind: EventKind, message: string, actor?: string) => void;

function tellHold(before: Node["kube"], { name, uid, hold, holdUnclear }: KubeFact, tell: Tell) {
  const isHeld = before?.hold === true && before.uid === uid;
  if (hold && (!isHeld || before.holdUnclear !== holdUnclear)) {
    const kind = holdUnclear === undefined ? "kube.hold" : "kube.hold_unclear";
    tell(kind, formatHold(name, holdUnclear), "human");
  }
  if (!isHeld || hold) return;
  tell("kube.hold", `navarch.dev/hold is no longer set on Node ${name}`, "human");
}

/**
 * The waiver that is left once others cordoned the object. An object that was recreated and came
 * cordoned is nobody's word about a repair, nor is one that was cordoned before this was looked at.
 */
function foldOthers(node: Node, kube: KubeFact, tell: Tell): Node["waiver"] {
  const before = node.kube;
  const theirs = kube.others.filter((one) => !(before?.others ?? []).includes(one));
  if (theirs.length === 0) return node.waiver;
  const isNew = before?.uid === kube.uid && before.absentSince === null && !before.unschedulable;
  const { message, waiver } = foldCordon(node, theirs, isNew);
  tell("kube.cordoned", message, "human");
  return waiver;
}

/**
 * An answer is out that itself changes the mark: what is seen meanwhile says nothing of people.
 */
function isAsking(node: Node): boolean {
  return node.operation !== null && /[.](?:cordon|uncordon|mirror)$/.test(node.operation);
}

function wasReasserted({ kube, session }: Node): boolean {
  const at = kube?.reassertedAt ?? null;
  return at !== null && at >= (session?.openedAt ?? 0);
}

function factOf(
  object: KubeNode,
  { by, proof }: KubeSeen,
  before: KubeFact | null | undefined,
  now: number,
): KubeFact {
  const same = before?.uid === object.uid;
  const { held, unclear } = readHold(object);
  return {
    name: object.name,
    uid: object.uid,
    by,
    ...(proof === undefined ? {} : { proof }),
    boundAt: same && before !== undefined && before !== null ? before.boundAt : now,
    unschedulable: object.unschedulable,
    others: object.unschedulable ? [...object.others].sort().slice(0, OTHERS_MAX) : [],
    isolatedUid: before?.isolatedUid ?? null,
    reassertedAt: before?.reassertedAt ?? null,
    own: object.own,
    ...(object.noted === true ? { noted: true } : {}),
    bootId: object.bootId,
    restUntil: same ? (before?.restUntil ?? 0) : 0,
    refusals: same ? (before?.refusals ?? 0) : 0,
    refusal: same ? (before?.refusal ?? null) : null,
    notReady: notReadyOf(object)?.slice(0, NOT_READY_CHARS_MAX) ?? null,
    gpus: object.gpus,
    hold: held,
    ...(unclear === null ? {} : { holdUnclear: unclear }),
    ...formerOf(object, before, now),
    ...(before?.uncordons === undefined ? {} : { uncordons: before.uncordons }),
    absentSince: null,
  };
}

/** People look for a machine by the name that its object had. */
function formerOf(
  { name }: KubeNode,
  before: KubeFact | null | undefined,
  now: number,
): Pick<KubeFact, "former"> {
  const kept = before?.former ?? [];
  if (before === null || before === undefined || before.name === name) {
    return kept.length === 0 ? {} : { former: kept };
  }
  const others = kept.filter((one) => one.name !== name);
  return { former: [{ name: before.name, at: now }, ...others].slice(0, FORMER_NAMES_MAX) };
}

function isSame(a: KubeFact, b: KubeFact): boolean {
  return (
    a.uid === b.uid &&
    a.name === b.name &&
    a.by === b.by &&
    a.proof === b.proof &&
    a.unschedulable === b.unschedulable &&
    a.own === b.own &&
    a.noted === b.noted &&
    a.hold === b.hold &&
    a.holdUnclear === b.holdUnclear &&
    a.notReady === b.notReady &&
    a.gpus === b.gpus &&
    a.isolatedUid === b.isolatedUid &&
    a.absentSince === b.absentSince &&
    a.bootId === b.bootId &&
    a.others.join() === b.others.join()
  );
}

/**
 * A person lifted the mark in Kubernetes. Whatever was done for it stops, and the evidence that was
 * known then moves nothing any more; what is ended already stays ended.
 */
function giveBack(
  node: Node,
  events: EventDraft[],
  tell: Tell,
  now: number,
): KubeFold {
  const { kind } = node.phase;
  const leaves = kind === "terminating" || kind === "gone";
  if (leaves) {
    tell("kube.uncordoned", `${sayUncordon(node.kube)}, but it is ${kind}`, "human");
    return { node, events };
  }
  const evidence = evidenceKeys(node);
  const off = node.session === null ? "" : ": the repair is cancelled";
  tell("kube.uncordoned", `${sayUncordon(node.kube)}${off}`, "human");
  const stays = kind === "repairing" || kind === "booting" || kind === "verifying";
  const held = kind === "held" && node.phase.heldBy !== "navarch";
  const waiver =
    evidence.length === 0
      ? node.waiver
      : { by: BY_KUBERNETES, why: "uncordoned in Kubernetes", at: now, evidence };
  const given = { ...node, waiver };
  if (isDefinitive(given)) tell("kube.uncordoned_broken", sayBroken(given), "human");
  const back = { kind: "serving", since: now } as const;
  return {
    events,
    node: {
      ...node,
      cordon: { product: null, human: null },
      order: null,
      waiver,
      // Nor is it given up for a size that was wanted before.
      sparedAt: now,
      session: stays ? node.session : null,
      lastSession:
        stays || node.session === null
          ? node.lastSession
          : {
              id: node.session.id,
              openedAt: node.session.openedAt,
              closedAt: now,
              how: "cancelled",
            },
      phase: stays || held || kind === "serving" ? node.phase : back,
      fence: node.fence + 1,
    },
  };
}
