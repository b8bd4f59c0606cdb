/** A Node with what the fleet knows of its machine, and the fleet's line of the overview. Pure. */
import type { Config } from "../../../schema/config.ts";
import type {
  ClusterNode,
  ConsoleNode,
  FleetLine,
  NodeCordon,
  NodeRepair,
} from "../../../schema/console/cluster.ts";
import type { Node } from "../../../schema/node.ts";
import { countsIn, type Fleet, outOfCluster, verdictOfNode } from "../fleet.ts";
import { sayOut } from "../say/hold.ts";

/** `ready`: the status of the Ready condition; `null`: it has none. */
export function nodeStatus(ready: string | null, unschedulable: boolean): string {
  const state = ready === "True" ? "Ready" : ready === "False" ? "NotReady" : "Unknown";
  return unschedulable ? `${state},SchedulingDisabled` : state;
}

/** Each Node of the cluster with what the fleet knows of its machine. */
export function viewNodes(nodes: readonly ClusterNode[], fleet: Iterable<Node>): ConsoleNode[] {
  const known = byObject(fleet, new Set(nodes.map(({ name }) => name)));
  return nodes.map((node) => withFleet(node, known.get(objectKey(node)) ?? null));
}

/** The fleet's nodes with such an object in the cluster, by its name and UID. */
function byObject(nodes: Iterable<Node>, names: ReadonlySet<string>): Map<string, Node> {
  const found = new Map<string, Node>();
  for (const node of nodes) {
    const { kube, phase } = node;
    if (kube === null || !names.has(kube.name) || phase.kind === "gone") continue;
    found.set(objectKey(kube), node);
  }
  return found;
}

const objectKey = ({ name, uid }: { name: string; uid: string }): string => `${uid} ${name}`;

/** `node`: the fleet's; `null`: the machine is not of this fleet. */
export function withFleet({ gpus, ...shown }: ClusterNode, node: Node | null): ConsoleNode {
  const verdict = node === null ? "unmanaged" : verdictOfNode(node);
  return {
    ...shown,
    cordon: cordonOf(shown, node),
    node: node?.id ?? null,
    pool: node?.pool ?? null,
    gpu: { ...gpus, verdict, worst: node === null ? null : worstOf(node) },
    repair: node === null ? null : repairOf(node),
  };
}

const iso = (at: number): string => new Date(at).toISOString();

/** A person's cordon through Navarch bears the person's name. */
function cordonOf({ cordon }: Pick<ClusterNode, "cordon">, node: Node | null): NodeCordon | null {
  const human = node?.cordon.human ?? null;
  if (cordon?.owner !== "navarch" || human === null) return cordon;
  return { ...cordon, owner: human.by, reason: human.why, since: iso(human.at) };
}

function worstOf(node: Node): string | null {
  const { health } = node;
  const { held } = health;
  const worst = held.find(({ judgement }) => judgement.result === health.verdict) ?? held[0];
  if (worst !== undefined) return worst.judgement.because;
  if (health.silentSince !== null) return `silent since ${iso(health.silentSince)}`;
  const out = outOfCluster(node);
  return out === null ? null : sayOut(out);
}

function repairOf({ session, phase }: Node): NodeRepair | null {
  if (session === null) return null;
  const { id, openedAt, reasons } = session;
  const step = { step: phase.kind, stepSince: iso(phase.since) };
  return { id, since: iso(openedAt), ...step, reasons };
}

/** Pools that serve fewer machines than their minimum, and nodes under repair. */
export function fleetLine(
  { nodes }: Pick<Fleet, "nodes">,
  { pools }: Pick<Config, "pools">,
): FleetLine {
  const serving = new Map<string, number>();
  const configs = new Map(pools.map((pool) => [pool.name as string, pool]));
  let repairs = 0;
  for (const node of nodes.values()) {
    if (node.session !== null) repairs += 1;
    const pool = configs.get(node.pool ?? "");
    if (node.phase.kind !== "serving" || pool === undefined || !countsIn(node, pool)) continue;
    serving.set(pool.name, (serving.get(pool.name) ?? 0) + 1);
  }
  const below = pools.flatMap(({ name, scaling }) => {
    const count = serving.get(name) ?? 0;
    if (count >= scaling.minNodes) return [];
    return [{ pool: name as string, serving: count, minimum: scaling.minNodes }];
  });
  return { below_minimum: below, in_repair: repairs };
}

/**
 * Whether the machine behind the Node certainly ended: then its pods run nowhere. `uid`: of the
 * object that has the name now; `null` = none has.
 */
export function isEnded(
  { name, uid }: { name: string; uid: string | null },
  nodes: Iterable<Node>,
): boolean {
  let isKnown = false;
  for (const { kube, instance, phase } of nodes) {
    if (kube?.name !== name) continue;
    // A machine that this fleet may not end is never certainly gone.
    if (instance?.host !== undefined) return false;
    if (phase.kind !== "gone" && instance?.state !== "terminated") return false;
    // Another machine may have registered under the name.
    if (uid === null || uid === kube.uid) isKnown = true;
  }
  return isKnown;
}
