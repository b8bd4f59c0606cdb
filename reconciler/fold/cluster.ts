/**
 * The whole cluster's Node objects, matched with the fleet and folded node by node. Pure apart from
 * the draft it fills. Whoever cannot be told apart is paired with nothing, and nothing is done to
 * it (kubernetes.md §2.4).
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Draft } from "../draft.ts";
import { matchNodes, type MatchSubject } from "../scheduler/kubernetes/match.ts";
import type { KubeNode } from "../scheduler/kubernetes/object.ts";
import { foldKube } from "./kube.ts";

/** What a cluster shows: every Node object of a list that is complete and not old. */
export type Cluster = {
  objects: readonly KubeNode[];
  onUncordon: KubernetesConfig["onUncordon"];
};

/** Nodes that nobody can tell apart, each with why. */
export type Ambiguity = ReadonlyMap<NodeId, string>;

export function foldCluster(
  cluster: Cluster,
  ids: Iterable<NodeId>,
  now: number,
  draft: Draft,
): { ambiguous: Map<NodeId, string>; alarms: string[] } {
  const live: Node[] = [];
  const ended: Node[] = [];
  for (const id of ids) {
    const node = draft.node(id);
    if (node === null) continue;
    if (node.phase.kind !== "gone") live.push(node);
    else if (node.kube !== null && node.kube.absentSince === null) ended.push(node);
  }
  const { pairs, ambiguous } = matchNodes(live.map(subjectOf), cluster.objects);
  const doubted = new Map<NodeId, string>();
  for (const { node, message } of ambiguous) if (node !== null) doubted.set(node, message);
  for (const node of live) {
    if (doubted.has(node.id)) continue;
    const pair = pairs.get(node.id);
    if (pair === undefined && node.kube === null) continue;
    const seen = pair ?? { object: null, by: node.kube?.by ?? "provider_id" };
    put(draft, foldKube(node, seen, cluster.onUncordon, now));
  }
  const byUid = new Map(cluster.objects.map((object) => [object.uid, object]));
  for (const node of ended) {
    if (node.kube === null || byUid.has(node.kube.uid)) continue;
    put(draft, foldKube(node, { object: null, by: node.kube.by }, cluster.onUncordon, now));
  }
  return { ambiguous: doubted, alarms: ambiguous.map(({ message }) => message) };
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
    live: agent !== null && node.health.silentSince === null,
  };
}
