/**
 * Folds a Node object into its node: the match, Navarch's mark, and what people changed. Pure. A
 * changed UID is a new object without Navarch's mark; a mark that a person removed cancels the
 * repair (docs/reference/kubernetes.md).
 */
import type { KubernetesConfig } from "../../../schema/config.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import { FORMER_NAMES_MAX } from "../../../schema/kube-past.ts";
import type { KubeFact, KubeProof, Node } from "../../../schema/node.ts";
import { ANNOTATION, type KubeNode } from "../kubernetes/object.ts";
import { readHold } from "../kubernetes/hold.ts";
import { deletersOf } from "../kubernetes/other-program.ts";
import { notReadyOf } from "../kubernetes/mark.ts";
import { isDefinitive } from "../safety/evident.ts";
import { BY_KUBERNETES } from "../safety/uncordoned.ts";
import { callOff, leavesAnyway, reopenDrain } from "./call-off.ts";
import { foldCordon, noteUncordon, sayBroken, uncordonedBy } from "./uncordon.ts";
import { nodeEvent } from "../event-draft.ts";
import { sayKept } from "../say/hold.ts";
import { sayUncordon } from "../say/uncordon.ts";

export type KubeSeen = {
  /** `null` = a complete list shows no object for this node. */
  object: KubeNode | null;
  by: KubeFact["by"];
  proof?: KubeProof;
};

export type KubeFold = { node: Node; events: EventDraft[] };

/** Other cordons that are kept, for people to read. */
const OTHERS_MAX = 16;
/** A condition's reason may have 1,024 characters; a kubelet's has about twenty. */
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
    const { missedAt: _, lostAt: __, notReadySince: ___, ...kept } = before;
    const none = { isolatedUid: null, unschedulable: false, others: [] };
    const taken = before.others.length > 0 ? ({ leftCordoned: true } as const) : {};
    const kube = { ...kept, ...none, ...taken, absentSince: now };
    return { node: { ...node, kube }, events };
  }
  const kube = factOf(object, seen, before, now);
  if (before === null) {
    const proof = seen.proof === undefined ? "" : `, proven by ${seen.proof}`;
    tell("kube.matched", `matched to Node ${object.name} (by ${seen.by}${proof})`);
  } else if (before.uid !== object.uid) {
    tell("kube.changed", `Node ${object.name} was created again: it has none of the earlier marks`);
  }
  tellHold(before, kube, tell);
  if (before?.missedAt !== undefined && before.absentSince === null && kube.notReady === null) {
    tell("kube.ready", `Node ${kube.name} is Ready again`);
  }
  const waiver = foldOthers(node, kube, tell);
  const marked = before !== null && before.isolatedUid === object.uid;
  // A person's uncordon leaves the annotations. An object that was recreated or restored from a
  // backup has none, and does not cancel the repair.
  const isWord = object.annotations[ANNOTATION.session] !== undefined;
  if (marked && !object.unschedulable && !isAsking(node) && isWord) {
    const next = noteUncordon(kube, object, tell, now);
    if (onUncordon === "enforce" && !wasReasserted(node)) {
      tell("kube.uncordoned", `${sayUncordon(uncordonedBy(next))}: cordoned again, as configured`);
      const again = { ...next, isolatedUid: null, reassertedAt: now };
      return { node: { ...reopenDrain(node, now), kube: again }, events };
    }
    return giveBack({ ...node, kube: { ...next, isolatedUid: null } }, events, tell, now);
  }
  // Others removed the ownership and left the mark: the ownership is written again.
  const shared = marked && ((object.own && object.unschedulable) || isAsking(node));
  const next: KubeFact = { ...kube, isolatedUid: shared ? object.uid : null };
  if (before !== null && isSame(before, next)) return null;
  // Also the mark of an object that is there no more.
  const isLost = before !== null && before.isolatedUid !== null && next.isolatedUid === null;
  const open = isLost ? reopenDrain(node, now) : node;
  return { node: { ...open, kube: next, waiver }, events };
}

type Tell = (kind: EventKind, message: string, actor?: string) => void;

function tellHold(before: Node["kube"], { name, uid, hold, holdUnclear }: KubeFact, tell: Tell) {
  const isHeld = before?.hold === true && before.uid === uid;
  if (hold && (!isHeld || before.holdUnclear !== holdUnclear)) {
    const kind = holdUnclear === undefined ? "kube.hold" : "kube.hold_unclear";
    tell(kind, sayKept({ code: "node_held", node: name, unclear: holdUnclear ?? null }), "human");
  }
  if (!isHeld || hold) return;
  tell("kube.hold", `navarch.dev/hold is no longer set on Node ${name}`, "human");
}

/**
 * The suppression that is left once others cordoned the object. An object that was already cordoned
 * when it was first seen is not a decision about a repair.
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

/** A call that changes the mark is open: a changed mark is not a person's decision. */
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
    ...deletionOf(object),
    ...readinessOf(object, same ? (before ?? null) : null, now),
    gpus: object.gpus,
    hold: held,
    ...(unclear === null ? {} : { holdUnclear: unclear }),
    ...(object.kept === undefined ? {} : { kept: object.kept }),
    ...formerOf(object, before, now),
    ...(before?.uncordons === undefined ? {} : { uncordons: before.uncordons }),
    absentSince: null,
  };
}

function deletionOf(object: KubeNode): Pick<KubeFact, "deleters"> {
  const deleters = deletersOf(object);
  return deleters.length === 0 ? {} : { deleters };
}

type Readiness = Pick<KubeFact, "notReady" | "notReadySince" | "missedAt" | "lostAt">;

/**
 * Since when it is NotReady: the first time that it was seen so, because the clock of the cluster
 * may be wrong. `before`: the fact of the same object.
 */
function readinessOf(object: KubeNode, before: KubeFact | null, now: number): Readiness {
  const notReady = notReadyOf(object)?.slice(0, NOT_READY_CHARS_MAX) ?? null;
  if (notReady === null) return { notReady };
  if (before === null || before.absentSince !== null || before.notReady == null) {
    return { notReady, notReadySince: now };
  }
  const { notReadySince = now, missedAt, lostAt } = before;
  return {
    notReady,
    notReadySince,
    ...(missedAt === undefined ? {} : { missedAt }),
    ...(lostAt === undefined ? {} : { lostAt }),
  };
}

/** Former names of the object, by which people look for the machine. */
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

/** A change of any of these, of `others` or of `deleters` is written. */
const COMPARED = [
  ...["uid", "name", "by", "proof", "unschedulable", "own", "noted", "hold", "holdUnclear", "kept"],
  ...["notReady", "notReadySince", "gpus", "isolatedUid", "absentSince", "bootId"],
] as (keyof KubeFact)[];

function isSame(a: KubeFact, b: KubeFact): boolean {
  if (a.others.join() !== b.others.join()) return false;
  if ((a.deleters ?? []).join() !== (b.deleters ?? []).join()) return false;
  return COMPARED.every((key) => a[key] === b[key]);
}

/**
 * A person lifted the mark in Kubernetes: the repair stops and its evidence is suppressed. A node
 * that is already leaving still leaves.
 */
function giveBack(node: Node, events: EventDraft[], tell: Tell, now: number): KubeFold {
  if (leavesAnyway(node)) {
    tell(
      "kube.uncordoned",
      `${sayUncordon(uncordonedBy(node.kube))}, but it is ${node.phase.kind}`,
      "human",
    );
    return { node, events };
  }
  const off = node.session === null ? "" : ": the repair is cancelled";
  tell("kube.uncordoned", `${sayUncordon(uncordonedBy(node.kube))}${off}`, "human");
  const back = callOff(node, BY_KUBERNETES, "uncordoned in Kubernetes", now);
  const given = { ...node, waiver: back.waiver };
  if (isDefinitive(given)) tell("kube.uncordoned_broken", sayBroken(given), "human");
  return { events, node: back };
}
