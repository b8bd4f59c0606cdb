/**
 * The whole cluster's Node objects, matched with the fleet and folded node by node. Pure apart from
 * the draft it fills. Whoever cannot be told apart is paired with nothing, and nothing is done to
 * it (kubernetes.md §2.4).
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { KubeFact, Node } from "../../schema/node.ts";
import type { Draft } from "../draft.ts";
import { matchNodes, type MatchSubject, speaksAgainst } from "../scheduler/kubernetes/match.ts";
import type { KubeNode } from "../scheduler/kubernetes/object.ts";
import { foldKube, type KubeSeen } from "./kube.ts";

/** What a cluster shows: every Node object of a list that is complete and not old. */
export type Cluster = {
  objects: readonly KubeNode[];
  /** Who was whom the last time, where no identity on either side has changed since. */
  known: Known | null;
  onUncordon: KubernetesConfig["onUncordon"];
};

/** Pairs by the object's name: objects change, their identity does not. */
export type Known = {
  names: ReadonlyMap<NodeId, { name: string; by: KubeFact["by"] }>;
  doubted: ReadonlyMap<NodeId, string>;
  alarms: readonly string[];
};

export function foldCluster(
  cluster: Cluster,
  ids: Iterable<NodeId>,
  now: number,
  draft: Draft,
): Known {
  const live: Node[] = [];
  const ended: Node[] = [];
  for (const id of ids) {
    const node = draft.node(id);
    if (node === null) continue;
    if (node.phase.kind !== "gone") live.push(node);
    else if (node.kube !== null && node.kube.absentSince === null) ended.push(node);
  }
  const known = cluster.known ?? knownOf(live, cluster.objects);
  const byUid = new Map(cluster.objects.map((object) => [object.uid, object]));
  const byName = new Map(cluster.objects.map((object) => [object.name, object]));
  const taken = new Set<string>();
  for (const { name } of known.names.values()) taken.add(byName.get(name)?.uid ?? "");
  for (const node of live) {
    if (known.doubted.has(node.id)) continue;
    const pair = pairOf(known.names.get(node.id), byName);
    if (pair === undefined && node.kube === null) continue;
    // What tied them is not told any more, and nothing says otherwise: it is still this object.
    const by = node.kube?.by ?? "provider_id";
    const last = node.kube === null ? undefined : byUid.get(node.kube.uid);
    const isLost =
      last === undefined || taken.has(last.uid) || speaksAgainst(subjectOf(node), last, by);
    const seen = pair ?? { object: isLost ? null : last, by };
    put(draft, foldKube(node, seen, cluster.onUncordon, now));
  }
  for (const node of ended) {
    if (node.kube === null || byUid.has(node.kube.uid)) continue;
    put(draft, foldKube(node, { object: null, by: node.kube.by }, cluster.onUncordon, now));
  }
  return known;
}

function knownOf(live: readonly Node[], objects: readonly KubeNode[]): Known {
  const { pairs, ambiguous } = matchNodes(live.map(subjectOf), objects);
  const doubted = new Map<NodeId, string>();
  for (const { nodes, message } of ambiguous) for (const id of nodes) doubted.set(id, message);
  const names = new Map(
    [...pairs].map(([id, { object, by }]) => [id, { name: object.name, by }] as const),
  );
  return { names, doubted, alarms: ambiguous.map(({ message }) => message) };
}

function pairOf(
  known: { name: string; by: KubeFact["by"] } | undefined,
  byName: ReadonlyMap<string, KubeNode>,
): KubeSeen | undefined {
  const object = known === undefined ? undefined : byName.get(known.name);
  return known === undefined || object === undefined ? undefined : { object, by: known.by };
}

/** Everything of a node that tells whose object is whose, in one text: equal is unchanged. */
export function identityKeyOf(node: Node): string {
  return node.phase.kind === "gone" ? "" : Object.values(subjectOf(node)).join(" ");
}

function put(draft: Draft, folded: ReturnType<typeof foldKube>): void {
  if (folded === null) return;
  draft.putNode(folded.node);
  draft.tell(folded.events);
}

/** Identities of a node, as far as they are known. */
export function subjectOf(node: Node): MatchSubject {
  const { instance, agent } = node;
  const inventory = agent?.inventory ?? null;
  return {
    id: node.id,
    provider: instance?.provider ?? inventory?.provider ?? null,
    instanceId: instance?.id ?? null,
    region: instance?.region ?? inventory?.region ?? null,
    zone: instance?.zone ?? inventory?.zone ?? null,
    internalIp: instance?.internalIp ?? inventory?.internal_ip ?? null,
    externalIp: instance?.externalIp ?? inventory?.external_ip ?? null,
    agentHostname: inventory?.hostname ?? null,
    agentName: agent === null ? null : node.id,
    providerIds: inventory?.provider_ids ?? [],
    // A machine whose agent is silent runs for all we know, and so does what is placed on it.
    live: true,
  };
}
