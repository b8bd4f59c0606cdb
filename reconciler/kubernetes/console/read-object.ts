/** Parses the other objects that the console shows: Nodes, Deployments, events, volumes. */
import type {
  CoreV1Event,
  V1Deployment,
  V1DeploymentCondition,
  V1DeploymentSpec,
  V1DeploymentStatus,
  V1LabelSelector,
  V1ManagedFieldsEntry,
  V1Node,
  V1NodeAddress,
  V1NodeCondition,
  V1NodeStatus,
  V1NodeSystemInfo,
  V1ObjectMeta,
  V1ObjectReference,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
} from "@kubernetes/client-node";
import type {
  ClusterEvent,
  ClusterNode,
  Deployment,
  NodeCordon,
  NodeSize,
} from "../../../schema/console/cluster.ts";
import { categoryOf } from "../../core/console/event.ts";
import { nodeStatus } from "../../core/console/node.ts";
import { ANNOTATION, type KubeNode } from "../../core/kubernetes/object.ts";
import type { Identity, Untrusted } from "../read-field.ts";
import { readIdentity, readList, readObject, readText, readTextMap } from "../read-field.ts";
import { readNode } from "../read-node.ts";
import { at, quantities } from "./resources.ts";

const GPU = "nvidia.com/gpu";
const ROLE = "node-role.kubernetes.io/";

export type HeldNode = Identity & { view: ClusterNode; ephemeral: number };
export type HeldDeployment = Identity & { namespace: string; view: Deployment };
export type HeldEvent = Identity & { namespace: string; view: ClusterEvent };
/** Bytes: a bound claim's request, or a volume's capacity. */
export type HeldVolume = Identity & { namespace?: string; bytes: number };
export type HeldService = Identity & { namespace: string };

export function readConsoleNode(json: unknown): HeldNode | null {
  const node = readNode(json);
  if (node === null) return null;
  const object = readObject<V1Node>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const status = readObject<V1NodeStatus>(object.status);
  const info = readObject<V1NodeSystemInfo>(status.nodeInfo);
  const [capacity, allocatable] = [quantities(status.capacity), quantities(status.allocatable)];
  const { name, uid, resourceVersion, labels, unschedulable, taints } = node;
  const ready = node.conditions.find(({ type }) => type === "Ready")?.status ?? null;
  const externalIP = addressOf(status.addresses, "ExternalIP");
  const view: ClusterNode = {
    ...{ name, uid, labels, unschedulable, taints },
    status: nodeStatus(ready, unschedulable),
    roles: rolesOf(labels),
    version: readText(info.kubeletVersion) ?? "",
    internalIP: addressOf(status.addresses, "InternalIP") ?? "",
    ...(externalIP === null ? {} : { externalIP }),
    osImage: readText(info.osImage) ?? "",
    kernelVersion: readText(info.kernelVersion) ?? "",
    containerRuntime: readText(info.containerRuntimeVersion) ?? "",
    conditions: readNodeConditions(status.conditions),
    capacity: sizeOf(capacity),
    allocatable: sizeOf(allocatable),
    creationTimestamp: readText(metadata.creationTimestamp),
    gpus: { count: at(capacity, GPU), allocatable: at(allocatable, GPU) },
    cordon: cordonOf(node, metadata.managedFields),
  };
  return { name, uid, resourceVersion, view, ephemeral: at(allocatable, "ephemeral-storage") };
}

function rolesOf(labels: Record<string, string>): string[] {
  const roles = Object.keys(labels).flatMap((key) => {
    return key.startsWith(ROLE) ? [key.slice(ROLE.length)] : [];
  });
  return roles.filter((role) => role !== "").sort();
}

const sizeOf = (all: Record<string, number>): NodeSize => ({
  cpu: at(all, "cpu"),
  memory: at(all, "memory"),
  pods: at(all, "pods"),
});

function addressOf(addresses: unknown, wanted: string): string | null {
  for (const raw of readList(addresses)) {
    const { type, address } = readObject<V1NodeAddress>(raw);
    if (type === wanted) return readText(address);
  }
  return null;
}

function readNodeConditions(value: unknown): ClusterNode["conditions"] {
  return readList(value).flatMap((raw) => {
    const one = readObject<V1NodeCondition>(raw);
    const type = readText(one.type);
    if (type === null) return [];
    const status = readText(one.status) ?? "Unknown";
    return [{ type, status, lastHeartbeatTime: readText(one.lastHeartbeatTime), ...why(one) }];
  });
}

function why(one: { readonly reason?: unknown; readonly message?: unknown }) {
  const [reason, message] = [readText(one.reason), readText(one.message)];
  return {
    ...(reason === null ? {} : { reason }),
    ...(message === null ? {} : { message }),
  };
}

/** Of a share that is Navarch's own and one of others, the other's is named: it must be kept. */
function cordonOf(node: KubeNode, writes: unknown): NodeCordon | null {
  if (!node.unschedulable) return null;
  const preexisting = node.annotations[ANNOTATION.preexisting] === "true";
  const [other] = node.others;
  const owner = other ?? "navarch";
  const manager = other ?? (node.own ? "navarch-cordon" : "");
  const reason = other === undefined ? (node.annotations[ANNOTATION.reason] ?? null) : null;
  return { owner, reason, since: writtenAt(writes, manager), preexisting };
}

/** When the manager last wrote `spec.unschedulable`, or something with it. */
function writtenAt(writes: unknown, manager: string): string | null {
  for (const raw of readList(writes)) {
    const entry = readObject<V1ManagedFieldsEntry>(raw);
    const spec = readObject(readObject(entry.fieldsV1)["f:spec"]);
    const isIt = entry.manager === manager && Object.hasOwn(spec, "f:unschedulable");
    if (isIt) return readText(entry.time);
  }
  return null;
}

type Placed = Identity & { namespace: string; metadata: Untrusted<V1ObjectMeta> };

function readPlaced(object: { readonly metadata?: unknown }): Placed | null {
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  return identity === null || namespace === null ? null : { ...identity, namespace, metadata };
}

export function readDeployment(json: unknown): HeldDeployment | null {
  const object = readObject<V1Deployment>(json);
  const placed = readPlaced(object);
  if (placed === null) return null;
  const { metadata, ...identity } = placed;
  const spec = readObject<V1DeploymentSpec>(object.spec);
  const status = readObject<V1DeploymentStatus>(object.status);
  const view: Deployment = {
    ...{ name: identity.name, namespace: identity.namespace },
    replicas: countOf(spec.replicas),
    availableReplicas: countOf(status.availableReplicas),
    updatedReplicas: countOf(status.updatedReplicas),
    readyReplicas: countOf(status.readyReplicas),
    strategy: readText(readObject(spec.strategy)["type"]) ?? "",
    conditions: readList(status.conditions).flatMap((raw) => {
      const one = readObject<V1DeploymentCondition>(raw);
      const type = readText(one.type);
      if (type === null) return [];
      const state = readText(one.status) ?? "Unknown";
      return [{ type, status: state, lastUpdateTime: readText(one.lastUpdateTime), ...why(one) }];
    }),
    labels: readTextMap(metadata.labels),
    selector: readTextMap(readObject<V1LabelSelector>(spec.selector).matchLabels),
    creationTimestamp: readText(metadata.creationTimestamp),
  };
  return { ...identity, view };
}

const countOf = (value: unknown): number => (Number.isSafeInteger(value) ? Number(value) : 0);

/** An event of the core group, in which those of `events.k8s.io` appear, too. */
export function readEvent(json: unknown): HeldEvent | null {
  const object = readObject<CoreV1Event>(json);
  const placed = readPlaced(object);
  if (placed === null) return null;
  const { metadata, ...identity } = placed;
  const about = readObject<V1ObjectReference>(object.involvedObject);
  const source = readObject(object.source);
  const series = readObject(object.series);
  const [type, reason] = [readText(object.type) ?? "", readText(object.reason) ?? ""];
  const host = readText(source["host"]);
  const at = readText(object.eventTime) ?? readText(metadata.creationTimestamp);
  const first = readText(object.firstTimestamp) ?? at;
  const last = readText(series["lastObservedTime"]) ?? readText(object.lastTimestamp) ?? at;
  const view: ClusterEvent = {
    ...{ name: identity.name, namespace: identity.namespace, type, reason },
    message: readText(object.message) ?? "",
    count: Math.max(1, countOf(series["count"]), countOf(object.count)),
    ...{ firstTimestamp: first, lastTimestamp: last },
    involvedObject: {
      kind: readText(about.kind) ?? "",
      name: readText(about.name) ?? "",
      namespace: readText(about.namespace) ?? "",
    },
    source: {
      component: readText(source["component"]) ?? readText(object.reportingComponent) ?? "",
      ...(host === null ? {} : { host }),
    },
    category: categoryOf({ type, reason }),
  };
  return { ...identity, view };
}

/** `null` for a claim that is not bound. */
export function readClaim(json: unknown): HeldVolume | null {
  const object = readObject<V1PersistentVolumeClaim>(json);
  const placed = readPlaced(object);
  if (placed === null || readObject(object.status)["phase"] !== "Bound") return null;
  const { metadata: _, ...identity } = placed;
  const resources = readObject(readObject(object.spec)["resources"]);
  return { ...identity, bytes: at(quantities(resources["requests"]), "storage") };
}

export function readVolume(json: unknown): HeldVolume | null {
  const object = readObject<V1PersistentVolume>(json);
  const identity = readIdentity(readObject<V1ObjectMeta>(object.metadata));
  if (identity === null) return null;
  return { ...identity, bytes: at(quantities(readObject(object.spec)["capacity"]), "storage") };
}

export function readService(json: unknown): HeldService | null {
  const placed = readPlaced(readObject<{ metadata: unknown }>(json));
  if (placed === null) return null;
  const { metadata: _, ...identity } = placed;
  return identity;
}
