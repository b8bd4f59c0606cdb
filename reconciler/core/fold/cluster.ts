/**
 * Matches the cluster's Node objects with the fleet and folds them node by node. Pure except for
 * the unit of work. Ambiguous nodes and objects are not paired, and nothing is done to them
 * (docs/reference/kubernetes.md#identity).
 */
import type { KubernetesConfig } from "../../../schema/config.ts";
import type { NodeId } from "../../../schema/id.ts";
import { type KubeFact, type KubeProof, type Node, TOKEN_UNCHECKED } from "../../../schema/node.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import {
  type Ambiguity,
  claims,
  matchNodes,
  type MatchSubject,
  speaksAgainst,
} from "../kubernetes/match.ts";
import { isWorker } from "../fleet.ts";
import { FLEET_LABEL, isForeign, type KubeNode } from "../kubernetes/object.ts";
import { foldKube, type KubeSeen } from "./kube.ts";
import { leave } from "./leaving.ts";
import { nodeEvent } from "../event-draft.ts";

/** `objects` is a complete and recent list. */
export type Cluster = {
  objects: readonly KubeNode[];
  /** The Node of each DaemonSet pod, by the pod's address. */
  hosts?: ReadonlyMap<string, string>;
  /** The last matches; `null` if an identity has changed since. */
  known: Known | null;
  /** Name of this fleet. */
  fleet?: string;
  /** Claims without a proof as they were last reported. */
  unbound?: Known["unbound"];
  onUncordon: KubernetesConfig["onUncordon"];
};

/** Pairs hold the object's name, because objects are replaced with each change. */
export type Known = {
  names: ReadonlyMap<NodeId, { name: string; by: KubeFact["by"]; proof: KubeProof }>;
  /** Agents' claims without a proof, with what is missing. */
  unproven: ReadonlyMap<NodeId, string>;
  /** The unproven claims without an earlier proof: faults are not shown in Kubernetes. */
  unbound: ReadonlyMap<NodeId, string>;
  doubted: ReadonlyMap<NodeId, string>;
  alarms: readonly string[];
};

export function foldCluster(
  cluster: Cluster,
  ids: Iterable<NodeId>,
  now: number,
  work: UnitOfWork,
): Known {
  const live: Node[] = [];
  const ended: Node[] = [];
  for (const id of ids) {
    const node = work.node(id);
    // A worker runs on the Node of a machine and is none.
    if (node === null || isWorker(node)) continue;
    if (node.phase.kind !== "gone") live.push(node);
    else if (node.kube !== null && node.kube.absentSince === null) ended.push(node);
  }
  const known = cluster.known ?? knownOf(live, cluster);
  const byUid = new Map(cluster.objects.map((object) => [object.uid, object]));
  const byName = new Map(cluster.objects.map((object) => [object.name, object]));
  const taken = new Set<string>();
  for (const { name } of known.names.values()) taken.add(byName.get(name)?.uid ?? "");
  for (const node of live) {
    if (known.doubted.has(node.id)) continue;
    const pair = pairOf(known.names.get(node.id), byName);
    if (pair === undefined && node.kube === null) continue;
    const last = node.kube === null ? undefined : byUid.get(node.kube.uid);
    const isLost = last === undefined || taken.has(last.uid) || !isStillIts(node, last, known);
    const by = node.kube?.by ?? "provider_id";
    const seen: KubeSeen = pair ?? { object: isLost ? null : last, by };
    if (pair === undefined && node.kube?.proof !== undefined) seen.proof = node.kube.proof;
    // Removes Navarch's marks from an object that exists and belongs to no other node.
    const ends = last !== undefined && seen.object?.uid !== last.uid && !taken.has(last.uid);
    if (ends) leave(node, now, work);
    put(work, foldKube(node, seen, cluster.onUncordon, now));
  }
  for (const node of ended) {
    if (node.kube === null || byUid.has(node.kube.uid)) continue;
    put(work, foldKube(node, { object: null, by: node.kube.by }, cluster.onUncordon, now));
  }
  const unbound = unboundOf(known.unproven, work);
  for (const [id, message] of unbound) {
    if (cluster.unbound?.get(id) !== message) tellUnproven(work, id, message, now);
  }
  return { ...known, unbound };
}

/**
 * Unproven claims to report. Not reported: a claim whose token is under review, and that of an
 * agent without a known address. The API server may not list the new pod of such an agent yet, or
 * the agent has not reported since an upgrade.
 */
function unboundOf(unproven: Known["unproven"], work: UnitOfWork): Known["unbound"] {
  const unbound = new Map<NodeId, string>();
  for (const [id, message] of unproven) {
    const node = work.node(id);
    if (node?.agent?.origin === undefined) continue;
    if (node.agent.origin.tokenProblem === TOKEN_UNCHECKED) continue;
    const { kube } = node;
    const isBound = kube !== null && kube.absentSince === null && kube.proof !== undefined;
    if (!isBound) unbound.set(id, message);
  }
  return unbound;
}

/**
 * Whether the node stays matched with an object that no current evidence names, for example while
 * its agent is silent. The match ends if the agent dropped its claim or never proved it. A match
 * made by a version without proofs lasts while the Node is marked, so that an upgrade returns no
 * broken machine to service.
 */
function isStillIts(node: Node, object: KubeNode, { unproven }: Known): boolean {
  const { kube, agent } = node;
  const subject = subjectOf(node);
  const by = kube?.by ?? "provider_id";
  if (speaksAgainst(subject, object, by)) return false;
  if (by === "provider_id" || by === "ip" || kube?.proof === "instance") return true;
  // An ended match resumes only with a proof.
  if (kube === null || kube.absentSince !== null) return false;
  if (agent === null) return true;
  if (!claims(subject, object)) return kube.proof === "token";
  if (kube.proof !== undefined || agent.origin === undefined) return true;
  const isMarked = kube.isolatedUid === object.uid || object.own;
  return isMarked || !unproven.has(node.id);
}

function tellUnproven(work: UnitOfWork, id: NodeId, message: string, at: number): void {
  const node = work.node(id);
  if (node === null) return;
  work.tell([nodeEvent(node, at, "kube.unproven", message)]);
}

function knownOf(live: readonly Node[], { objects, hosts, fleet }: Cluster): Known {
  const { pairs, unproven, ambiguous } = matchNodes(live.map(subjectOf), objects, hosts);
  for (const [id, { object, proof }] of pairs) {
    if (proof === "instance" || !isForeign(object, fleet)) continue;
    pairs.delete(id);
    const { name, labels } = object;
    const other = `another Navarch install, fleet ${labels[FLEET_LABEL]}`;
    const advice = `remove the label ${FLEET_LABEL} from it if that install is gone`;
    const message = `Node ${name} is managed by ${other}; ${advice}`;
    ambiguous.push({ nodes: [id], objects: [name], message });
  }
  ambiguous.push(...movedByToken(live, pairs, objects));
  const doubted = new Map<NodeId, string>();
  for (const { nodes, message } of ambiguous) for (const id of nodes) doubted.set(id, message);
  const names = new Map(
    [...pairs].map(([id, { object, by, proof }]) => {
      return [id, { name: object.name, by, proof }] as const;
    }),
  );
  const lacking = new Map(
    [...unproven].map(([id, { object, message }]) => {
      return [id, `no proof that this agent runs on Node ${object}: ${message}`] as const;
    }),
  );
  const alarms = ambiguous.map(({ message }) => message);
  return { names, unproven: lacking, unbound: lacking, doubted, alarms };
}

/**
 * Removes pairs in which a token would move a machine from an existing Node, or a Node from another
 * machine: a credential or the token may be stolen. The earlier match stays; a person decides.
 */
function movedByToken(
  live: readonly Node[],
  pairs: ReturnType<typeof matchNodes>["pairs"],
  objects: readonly KubeNode[],
): Ambiguity[] {
  const names = new Map(objects.map(({ uid, name }) => [uid, name]));
  const bound = new Map<string, NodeId>();
  for (const { id, kube } of live) if (kube?.absentSince === null) bound.set(kube.uid, id);
  const moved: Ambiguity[] = [];
  for (const { id, kube } of live) {
    const pair = pairs.get(id);
    if (pair?.by !== "token") continue;
    const { name, uid } = pair.object;
    const other = bound.get(uid) ?? id;
    const before = kube?.absentSince === null ? names.get(kube.uid) : undefined;
    const isMoved = kube?.uid !== uid && before !== undefined;
    if (!isMoved && other === id) continue;
    pairs.delete(id);
    const is = isMoved ? `node ${id} is tied to Node ${before}` : `Node ${name} is node ${other}`;
    const old = isMoved
      ? `if Node ${before} is an old object of the same machine, delete it`
      : `if ${other} is an old record of the same machine, run: navarch forget ${other}`;
    const shows = `but node ${id} shows a pod token of Node ${name}`;
    const message = `${is}, ${shows}: ${old}; otherwise a credential or the token may be stolen`;
    moved.push({ nodes: [id], objects: [name], message });
  }
  return moved;
}

function pairOf(
  known: { name: string; by: KubeFact["by"]; proof: KubeProof } | undefined,
  byName: ReadonlyMap<string, KubeNode>,
): KubeSeen | undefined {
  const object = known === undefined ? undefined : byName.get(known.name);
  if (known === undefined || object === undefined) return undefined;
  return { object, by: known.by, proof: known.proof };
}

/** Text that changes whenever an identity of the node does. */
export function identityKeyOf(node: Node): string {
  return node.phase.kind === "gone" ? "" : JSON.stringify(subjectOf(node));
}

function put(work: UnitOfWork, folded: ReturnType<typeof foldKube>): void {
  if (folded === null) return;
  work.putNode(folded.node);
  work.tell(folded.events);
}

/** The known identities of a node. */
export function subjectOf(node: Node): MatchSubject {
  const { instance, agent } = node;
  const inventory = agent?.inventory ?? null;
  return {
    id: node.id,
    provider: instance?.provider ?? inventory?.provider ?? null,
    instanceId: instance?.id ?? null,
    region: instance?.region ?? inventory?.region ?? null,
    zone: instance?.zone ?? inventory?.zone ?? null,
    // Never the address that the agent reports; `origin` has the one that it calls from.
    internalIp: instance?.internalIp ?? null,
    externalIp: instance?.externalIp ?? null,
    agentHostname: inventory?.hostname ?? null,
    agentName: agent === null ? null : node.id,
    providerIds: inventory?.provider_ids ?? [],
    origin: agent?.origin ?? null,
    silent: instance === null && node.health.silentSince !== null,
    // A machine whose agent is silent may be running.
    live: true,
  };
}
