/**
 * What Kubernetes adds to a decision: a node's mark there follows the node's cordon, and where the
 * cluster's word is needed and cannot be had, nothing that cannot be taken back is started (law 9).
 * Pure.
 */
import type { Action } from "../../../schema/action.ts";
import type { KubeRefusal } from "../../../schema/kube-past.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { verdictOfNode } from "../fleet.ts";
import { formatHold } from "../kubernetes/hold.ts";
import { joinsCluster } from "../../../bootstrap/template/join-need.ts";
import { setUpOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { isResting } from "./rest.ts";

/**
 * The mark in Kubernetes as the node's cordon wants it, or `null` if it is so: a machine that joins
 * while it is cordoned, an object that was recreated, a person's `navarch cordon` and its end, a
 * share of ours that an earlier life left behind.
 */
export function mirrorOf(node: Node, { sight }: Pick<Scope, "sight">): Action | null {
  const { kube, cordon, order } = node;
  if (kube === null || kube.absentSince !== null) return null;
  if (sight.kube === null || !sight.kube.mirrorsCordon || sight.kube.dark !== null) return null;
  if (isResting(kube.restUntil, sight.now)) return null;
  // Who forces an end does not wait for a mark.
  if (order?.force === true && order.goal !== "drain") return null;
  const { kind } = node.phase;
  // What is ended already takes no work, and must not wait for a scheduler on its way.
  if (kind === "terminating" || kind === "gone" || kind === "requested") return null;
  const wanted = cordon.product ?? cordon.human;
  const marked = kube.isolatedUid === kube.uid;
  if (wanted !== null && !marked) {
    if (kube.hold && order === null) return null;
    if (sight.frozen !== null && cordon.human === null) return null;
    const again = kube.reassertedAt !== null && kube.reassertedAt >= (node.session?.openedAt ?? 0);
    const payload = { kind: "cordon", why: wanted.why, mirror: true, again } as const;
    return { kind: "effect", node: node.id, payload, because: [`Node ${kube.name} is not marked`] };
  }
  if (wanted !== null || kube.hold) return null;
  if (!(marked || isLeftover(node, kube) || isStaleNote(node, kube))) return null;
  const payload = { kind: "uncordon", why: "no owner cordons it any more", mirror: true } as const;
  return { kind: "effect", node: node.id, payload, because: [`Node ${kube.name} is marked`] };
}

/**
 * Our share on an object that no record explains, as after a lost database: it goes once the node
 * has proven itself, as it would after a repair.
 */
function isLeftover(node: Node, kube: KubeFact): boolean {
  if (!kube.own || node.phase.kind !== "serving" || node.session !== null) return false;
  // Who serves has had a full check since this record began, and nothing is held against it.
  return verdictOfNode(node) === "healthy" && node.health.lastCheckClean;
}

/**
 * Our annotations after somebody's uncordon: they would tell of a repair that was called off, under
 * a later cordon of others too. One that is still open needs them: they say that it was uncordoned.
 */
function isStaleNote({ session }: Node, kube: KubeFact): boolean {
  return kube.noted === true && !kube.own && session === null;
}

/**
 * Why nobody can tell what runs on the node, though somebody should be able to; `null` = no
 * cluster, or it answers.
 */
export function darkness(node: Node, { sight }: Pick<Scope, "sight">): string | null {
  const dark = sight.kube?.dark ?? null;
  if (dark === null) return null;
  if (node.kube === null) {
    return sight.kube?.known === true || sight.kube?.forbidden === true ? null : dark;
  }
  // Its object is known to be gone: what runs there is nobody's there.
  return node.kube.absentSince === null ? dark : null;
}

/** `isSure`: that the node belongs to the cluster is known, and not taken from its pool. */
export type Unready = { message: string; isSure: boolean };

/**
 * Why the cluster places no work on the node yet; `null` = it does, or the node is none of its.
 * More GPUs than the agent counts are offered where they are shared by time.
 */
export function unreadyIn(node: Node, scope: Scope): Unready | null {
  const { sight, timing } = scope;
  const { kube, agent } = node;
  if (timing.clusterReady === "off" || sight.kube === null || sight.kube.forbidden) return null;
  if (kube === null || kube.absentSince !== null) {
    const isSure = kube !== null || joinsCluster(setUpOf(node, scope)?.setupCommands ?? []);
    if (!isSure && !hasKinIn(node, scope)) return null;
    return { message: keptBy(node, scope) ?? "its Node is not in the cluster", isSure };
  }
  const sure = (message: string): Unready => ({ message, isSure: true });
  if (kube.notReady !== null) return sure(`Ready of Node ${kube.name} is ${kube.notReady}`);
  const counted = agent?.inventory.gpus.length ?? 0;
  if (timing.clusterReady === "node" || (kube.gpus ?? 0) >= counted) return null;
  const offers = kube.gpus === null ? "does not offer" : `offers ${kube.gpus} of`;
  return sure(`Node ${kube.name} ${offers} its ${counted} GPUs`);
}

/** Others of its pool are in the cluster: whatever lets them join lets it join, a moment later. */
function hasKinIn(node: Node, { bySlot }: Scope): boolean {
  for (const kin of bySlot.values()) {
    for (const { id, kube } of kin) {
      if (id !== node.id && kube !== null && kube.absentSince === null) return true;
    }
  }
  return false;
}

/** Tries are at most five minutes apart; an older refusal is of something no longer wanted. */
const REFUSAL_MS = 600_000;

/** Why the API server does not take the node's mark, or its end; `null` = it does. */
export function refusalOf(kube: KubeFact, now: number): KubeRefusal | null {
  const refusal = kube.refusal ?? null;
  if (refusal === null || kube.absentSince !== null) return null;
  return now - refusal.at < REFUSAL_MS ? refusal : null;
}

/** A person's word on the object, or doubt about whose it is: hands off. */
export function keptBy(node: Node, { sight }: Pick<Scope, "sight">): string | null {
  if (node.kube?.hold === true) return formatHold(node.kube.name, node.kube.holdUnclear);
  return sight.kube?.ambiguous.get(node.id) ?? null;
}
