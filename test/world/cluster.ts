/**
 * Helpers for stories about a fleet in a Kubernetes cluster. Checks use the journals of the API
 * server and the cloud in one order, never the product's beliefs.
 */
import type { KubeWrite } from "../../simulator/cluster/world.ts";
import { NO_FAULT } from "../../simulator/cluster/fault.ts";
import type { KubeNode } from "../../reconciler/core/kubernetes/object.ts";
import type { InstanceId, PoolName } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { ClusterOptions, VirtualCluster } from "./virtual-cluster.ts";
import { atMostOnce, nodeLast } from "../invariant/kube.ts";
import { isJobOrder } from "./slurm/write.ts";
import type { Workload } from "./workload.ts";
import type { World } from "./world.ts";
import { poolYaml } from "./world.ts";
import { instanceOf, open } from "./story.ts";

type Options = Parameters<typeof World.open>[1] & { cluster?: ClusterOptions; kubernetes?: never };

/** Pool `p` of `size` nodes, in service and matched; `kube` are lines of its block. */
export async function joined(
  size: number,
  more: { pool?: string; kube?: string } = {},
  { cluster = {}, ...options }: Options = {},
): Promise<World> {
  const world = await open(yamlOf(size, more), { ...options, kubernetes: cluster });
  const isIn = ({ kube, instance }: Node): boolean =>
    kube !== null || (instance !== null && cluster.joins?.(instance.id) === false);
  await world.until(() => world.serving().length === size && world.nodes().every(isIn), 180);
  return world;
}

export function yamlOf(size: number, more: { pool?: string; kube?: string } = {}): string {
  const { pool = "    health: { unhealthy_threshold: 1 }\n", kube = "" } = more;
  return `${poolYaml(size, pool)}\nkubernetes:\n  enabled: true\n${kube}`;
}

export function clusterOf(world: World): VirtualCluster {
  if (world.cluster === null) throw new Error("the world has no cluster");
  return world.cluster;
}

/** The Node object that the node's machine registered; throws if it is not there. */
export function objectOf(world: World, node: string): KubeNode {
  const name = nameOf(world, node);
  const object = clusterOf(world).node(name);
  if (object === null) throw new Error(`there is no Node ${name}`);
  return object;
}

export const nameOf = (world: World, node: string): string =>
  clusterOf(world).nameOf(instanceOf(world, node));

/** Cordoned with the product's own share in it. */
export const isMarked = (object: KubeNode | null): boolean =>
  object !== null && object.unschedulable && object.own;

/** What the product wrote, oldest first; without status, labels and Events. */
export function writes(world: World): KubeWrite[] {
  return clusterOf(world).kube.journal.filter(
    ({ by, resource, manager }) =>
      by === "api" &&
      !resource.includes("/status") &&
      resource !== "events" &&
      manager !== "navarch-labels",
  );
}

/** How each kind of thing that ever happened to a machine and its Node was ordered in time. */
export type Step = { at: number; what: string; uid: string };

/** Cordon, evictions, ends of pods, the machine's end, the Node's end; in the order they came. */
export function chronicle(world: World, instance: InstanceId, workloads: Workload[]): Step[] {
  const { kube } = clusterOf(world);
  const name = clusterOf(world).nameOf(instance);
  const pods = new Map(
    workloads.flatMap(({ born }) => [...born].filter(([, pod]) => pod.node === name)),
  );
  const steps: Step[] = [];
  for (const { at, verb, resource, uid, by, manager, name: of } of kube.journal) {
    const isPod = pods.has(uid);
    if (resource === "nodes" && of === name) {
      const who = by === "api" ? manager : by;
      steps.push({ at, what: verb === "patch" ? `patch ${who}` : `${verb} Node by ${by}`, uid });
    } else if (isPod && verb === "evict") steps.push({ at, what: "evict", uid });
    else if (isPod && verb === "delete" && by === "cluster") steps.push({ at, what: "gone", uid });
    else if (isPod && verb === "delete" && steps.at(-1)?.uid !== uid)
      // A deletion by an eviction counts as the eviction.
      steps.push({ at, what: `delete pod by ${by}`, uid });
  }
  for (const entry of world.cloud.entries()) {
    if (!("id" in entry) || entry.id !== instance) continue;
    if (entry.kind === "terminate.accepted" || entry.kind === "terminated")
      steps.push({ at: entry.atMs, what: entry.kind, uid: "" });
  }
  return steps.sort((a, b) => a.at - b.at);
}

/** The API server is away; ends with the returned call. */
export function darken(world: World): () => void {
  const { kube } = clusterOf(world);
  kube.setFault({ down: true });
  return () => kube.setFault(NO_FAULT);
}

/** What breaks I9 or I10, by the journals of both schedulers. */
export function schedulerWrongs({ cluster, slurm, config }: World): string[] {
  // Stories of requeued jobs have their own rules of when.
  const writes = (slurm?.slurm.journal ?? []).filter(({ what }) => !isJobOrder(what));
  const seen = { kube: cluster?.calls ?? [], slurm: writes, calls: [], commits: [], config };
  const found = [atMostOnce(), nodeLast()].flatMap((checker) => checker.look(seen));
  return found.map(({ id, message }) => `${id}: ${message}`);
}

/** Everything that must never be, by the two journals alone. */
export function kubeWrongs(world: World): string[] {
  const { kube, kubelets, calls } = clusterOf(world);
  const out = schedulerWrongs(world);
  const blunt = calls.filter(({ what, uid }) => what === "create eviction" && uid === null);
  for (const { name } of blunt) out.push(`pod ${name} was evicted whatever its UID`);
  for (const [uid, { granted }] of kube.evictions)
    if (granted > 1) out.push(`pod ${uid} was evicted ${granted} times`);
  const ends = new Map<string, number>();
  for (const entry of world.cloud.entries()) {
    if (entry.kind !== "terminated") continue;
    if (ends.has(entry.id)) out.push(`${entry.id} ended twice`);
    ends.set(entry.id, entry.atMs);
  }
  const owners = new Map([...kubelets].map(([id, { name }]) => [name, id as string]));
  const deleted = new Map<string, number>();
  for (const { at, by, verb, resource, name, uid } of kube.journal) {
    if (by !== "api" || verb !== "delete" || resource !== "nodes") continue;
    deleted.set(uid, (deleted.get(uid) ?? 0) + 1);
    const end = ends.get(owners.get(name) ?? "");
    if (end === undefined || end > at) out.push(`Node ${name} was deleted before its machine`);
  }
  for (const [uid, times] of deleted) if (times > 1) out.push(`Node ${uid} deleted ${times} times`);
  const { overlaps, doubles } = world.cloud.reality();
  for (const { nodeId, ids } of overlaps) out.push(`two machines of ${nodeId}: ${ids.join(", ")}`);
  for (const { ids } of doubles) out.push(`one ask made ${ids.join(", ")}`);
  const failure = world.reconciler.failure();
  if (failure !== null) out.push(failure);
  return out;
}

/** Pods on every Node, which a budget keeps there: a drain that only its deadline ends. */
export function neverLeaving(world: World, replicas: number): Workload {
  return clusterOf(world).run({ name: "stays", replicas, minAvailable: replicas });
}

/** How often the product wrote its mark on the Node; a release is a write too. */
export const marks = (world: World, name: string): number =>
  clusterOf(world).calls.filter((one) => one.cordons && one.name === name).length;

/** `all`: cordons of definitive faults stop too. */
export async function freeze(world: World, all = false): Promise<() => Promise<void>> {
  const common = { kind: "freeze", by: "ann", why: "looking", at: 0, until: null } as const;
  const fact = all ? ({ ...common, all: true } as const) : common;
  await world.reconciler.change((draft) => draft.putFact(fact));
  return () => world.reconciler.change((draft) => draft.dropFact("freeze"));
}

export async function holdPool(world: World): Promise<() => Promise<void>> {
  const put = (hold: { by: string; why: string; until: number } | null): Promise<void> =>
    world.reconciler.change((draft) => {
      const pool = draft.pool("p" as PoolName);
      if (pool !== null) draft.putPool({ ...pool, hold });
    });
  await put({ by: "ann", why: "moving racks", until: world.clock.wallMs() + 86_400_000 });
  return () => put(null);
}

/** `seconds` of life, over those in which nothing can happen at one bound. */
export async function pass(world: World, seconds: number): Promise<void> {
  await world.advance(() => false, seconds * 1_000);
}
