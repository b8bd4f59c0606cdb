/**
 * Decides for nodes that have a Node object in Kubernetes. Pure. The cordon in the cluster follows
 * the node's own, and while the cluster does not answer, nothing irreversible starts (law 9).
 */
import type { KubeRefusal } from "../../../schema/kube-past.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import { verdictOfNode } from "../fleet.ts";
import { keptBy } from "../kubernetes/hold.ts";
import { joinsCluster } from "../../../bootstrap/template/join-need.ts";
import { setUpOf } from "./bootstrap.ts";
import type { Scope } from "./decide.ts";
import { isDefinitive } from "../safety/evident.ts";
import { lossOf } from "./node.ts";
import { isResting } from "../turn/backoff.ts";
import { slurmDarkness } from "./slurm.ts";
import { type Cause, sayCause } from "../say/cause.ts";
import type { Dark, Unready } from "../say/hold.ts";
import type { WaitCause } from "../say/wait.ts";

/**
 * The change that makes the Node's cordon match the node's own, or `null` if it does: for a machine
 * that joined while cordoned, a recreated object, a person's `navarch cordon` or uncordon, and a
 * mark left from before a lost database.
 */
export function mirrorOf(
  node: Node,
  { sight }: Pick<Scope, "sight">,
): { payload: Payload; because: Cause[] } | null {
  const { kube, cordon, order } = node;
  if (kube === null || kube.absentSince !== null) return null;
  if (sight.kube === null || !sight.kube.mirrorsCordon || sight.kube.dark !== null) return null;
  if (isResting(kube.restUntil, sight.now)) return null;
  // A forced end does not wait for the cordon.
  if (order?.force === true && order.goal !== "drain") return null;
  const { kind } = node.phase;
  // A node that ends takes no work, and its end must not wait for a scheduler.
  if (kind === "terminating" || kind === "gone" || kind === "requested") return null;
  const wanted = cordon.product ?? cordon.human;
  const marked = kube.isolatedUid === kube.uid;
  if (wanted !== null && !marked) {
    if (kube.hold && order === null) return null;
    const isStopped = sight.frozen !== null && (sight.frozenAll || !isDefinitive(node));
    if (isStopped && cordon.human === null) return null;
    const again = kube.reassertedAt !== null && kube.reassertedAt >= (node.session?.openedAt ?? 0);
    const payload = { kind: "cordon", why: wanted.why, mirror: true, again } as const;
    return { payload, because: [{ code: "unmarked", node: kube.name }] };
  }
  if (wanted !== null || kube.hold) return null;
  if (!(marked || isLeftover(node, kube) || isStaleNote(node, kube))) return null;
  // Until its agent is silent too, the cloud is not trusted; nothing is put there meanwhile.
  if (lossOf(node, { sight }) !== null) return null;
  const payload = { kind: "uncordon", why: sayCause({ code: "no_cordon" }), mirror: true } as const;
  return { payload, because: [{ code: "marked", node: kube.name }] };
}

/**
 * A cordon of Navarch that no record explains, as after a lost database: lifted once the node has
 * proven healthy, as after a repair.
 */
function isLeftover(node: Node, kube: KubeFact): boolean {
  if (!kube.own || node.phase.kind !== "serving" || node.session !== null) return false;
  // A serving node has had a full check since this record began, without held evidence.
  return verdictOfNode(node) === "healthy" && node.health.lastCheckClean;
}

/**
 * Annotations that remain after another party's uncordon would describe a cancelled repair, even
 * under a later cordon of others. An open repair keeps them: they record the uncordon.
 */
function isStaleNote({ session }: Node, kube: KubeFact): boolean {
  return kube.noted === true && !kube.own && session === null;
}

type InPool = Pick<Scope, "sight" | "pool" | "bySlot">;

/**
 * Why the work on the node cannot be observed in its schedulers; `null` = it has none, or they
 * answer.
 */
export function darkness(node: Node, scope: InPool): Dark | null {
  return kubeDarkness(node, scope) ?? slurmDarkness(node, scope);
}

function kubeDarkness(node: Node, scope: InPool): Dark | null {
  const { kube } = scope.sight;
  if (kube === null || kube.dark === null) return null;
  const { forbidden, known } = kube;
  const dark = { code: "cluster_dark", said: kube.dark } as const;
  if (node.kube === null) {
    // It may have joined, as its pool does, since the cluster was last seen.
    return !forbidden && (!known || hasKinIn(node, scope)) ? dark : null;
  }
  // Once its object is gone, no work of the cluster runs on it.
  return node.kube.absentSince === null ? dark : null;
}

/** `isSure`: known to belong to the cluster, not only inferred from its pool. */
type UnreadyNode = { why: Unready; isSure: boolean };

/**
 * Why the cluster places no work on the node yet; `null` = it does, or the node is not in it. With
 * time-slicing, a Node offers more GPUs than the agent counts.
 */
export function unreadyIn(node: Node, scope: Scope): UnreadyNode | null {
  const { sight, timing } = scope;
  const { kube, agent } = node;
  if (timing.clusterReady === "off" || sight.kube === null || sight.kube.forbidden) return null;
  if (kube === null || kube.absentSince !== null) {
    const isSure = kube !== null || joinsCluster(setUpOf(node, scope)?.setupCommands ?? []);
    if (!isSure && !hasKinIn(node, scope)) return null;
    return { why: keptBy(node, scope) ?? { code: "not_in_cluster" }, isSure };
  }
  const { name, notReady } = kube;
  const sure = (why: Unready): UnreadyNode => ({ why, isSure: true });
  if (notReady !== null) return sure({ code: "not_ready", node: name, shows: notReady });
  const counted = agent?.inventory.gpus.length ?? 0;
  if (timing.clusterReady === "node" || (kube.gpus ?? 0) >= counted) return null;
  return sure({ code: "lacks_gpus", node: name, offers: kube.gpus, counted });
}

/** Why the Node of a node that serves is there, Ready, and still takes fewer pods; or `null`. */
export function lackOf(node: Node, scope: Scope): WaitCause | null {
  const { kube } = node;
  if (kube === null || kube.absentSince !== null || kube.notReady !== null) return null;
  if (scope.sight.kube === null || scope.sight.kube.dark !== null) return null;
  const unready = unreadyIn(node, scope);
  return unready === null ? null : { code: "lack", why: unready.why };
}

/** Other nodes of its pool are in the cluster, so this one is expected to join as well. */
function hasKinIn(node: Node, { bySlot }: Pick<Scope, "bySlot">): boolean {
  return [...bySlot.values()].some((kin) =>
    kin.some(({ id, kube }) => id !== node.id && kube !== null && kube.absentSince === null),
  );
}

/** Attempts are at most five minutes apart, so an older refusal no longer applies. */
const REFUSAL_MS = 600_000;

/** The API server's last refusal to cordon or uncordon the Node, while it still applies. */
export function refusalOf(kube: KubeFact, now: number): KubeRefusal | null {
  if (kube.refusal == null || kube.absentSince !== null) return null;
  return now - kube.refusal.at < REFUSAL_MS ? kube.refusal : null;
}
