/**
 * Parses a Node object into the fields that the product uses. `metadata.managedFields` show the
 * owners of the cordon (docs/reference/kubernetes.md#cordon): only our own share may be released.
 */
import type {
  V1ManagedFieldsEntry,
  V1Node,
  V1NodeAddress,
  V1NodeCondition,
  V1NodeSpec,
  V1NodeStatus,
  V1NodeSystemInfo,
  V1ObjectMeta,
  V1Taint,
} from "@kubernetes/client-node";
import { askToKeep, NODE_ASK_KEYS } from "../core/kubernetes/other-program.ts";
import { CORDON_REASON } from "../core/kubernetes/slinky.ts";
import { ANNOTATION, DOMAIN, MANAGER } from "../core/kubernetes/object.ts";
import type { KubeNode, Taint } from "../core/kubernetes/object.ts";
import type { Untrusted } from "./read-field.ts";
import {
  readCount,
  readIdentity,
  readInstantMs,
  readList,
  readObject,
  readText,
  readTextMap,
} from "./read-field.ts";

const GPU = "nvidia.com/gpu";
const HOSTNAME_LABEL = "kubernetes.io/hostname";
/** Stands for the owner of a cordon if `managedFields` name none: they can be wiped. */
export const UNKNOWN_MANAGER = "unknown";
/** `fieldManager` is 128 characters at most (apimachinery, `FieldManagerMaxLength`). */
const MANAGER_CHARS_MAX = 128;

export const isOurs = (key: string): boolean => key.startsWith(`${DOMAIN}/`);

/** `null` if it is no Node with a name and a UID; never throws. */
export function readNode(json: unknown): KubeNode | null {
  const object = readObject<V1Node>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const identity = readIdentity(metadata);
  if (identity === null) return null;
  const spec = readObject<V1NodeSpec>(object.spec);
  const status = readObject<V1NodeStatus>(object.status);
  const info = readObject<V1NodeSystemInfo>(status.nodeInfo);
  const unschedulable = spec.unschedulable === true;
  const writes = readList(metadata.managedFields).map((raw) => readObject<Write>(raw));
  const labels = readTextMap(metadata.labels);
  const addresses = readAddresses(status.addresses);
  return {
    ...identity,
    unschedulable,
    ...readOwnership(writes, unschedulable),
    ...readNoted(writes),
    ...readDeletion(metadata),
    ...readTouched(writes),
    ...readCordonReason(metadata.annotations, writes),
    annotations: readTextMap(metadata.annotations, isOurs),
    ...readKept(metadata.annotations),
    ...(metadata.annotations === undefined ? { bare: true as const } : {}),
    labels,
    taints: readTaints(spec.taints),
    conditions: readConditions(status.conditions),
    providerId: readText(spec.providerID),
    systemUuid: readText(info.systemUUID),
    bootId: readText(info.bootID),
    ips: addresses.ips,
    hostname: addresses.hostname ?? labels[HOSTNAME_LABEL] ?? null,
    gpus: readCount(readObject(status.allocatable)[GPU]),
  };
}

type Write = V1ManagedFieldsEntry;
type Writes = readonly Untrusted<Write>[];

const isOwnApply = ({ manager, operation }: Untrusted<Write>): boolean =>
  manager === MANAGER.cordon && operation === "Apply";

/**
 * The owners of `spec.unschedulable`. Only our Apply counts as ours: an Apply cannot release an
 * Update under our name, so that Update counts as another owner's.
 */
function readOwnership(writes: Writes, unschedulable: boolean) {
  const owners = writes.filter(ownsCordon);
  const own = owners.some(isOwnApply);
  const rest = owners.filter((entry) => !isOwnApply(entry));
  const others = new Set(rest.map(({ manager }) => readManager(manager) ?? UNKNOWN_MANAGER));
  if (unschedulable && !own && others.size === 0) others.add(UNKNOWN_MANAGER);
  return { own, others: [...others] };
}

const readManager = (value: unknown): string | null => readText(value, MANAGER_CHARS_MAX);

/** Our `managedFields` entry proves that an annotation is ours: any client can write its key. */
function readNoted(writes: Writes): Pick<KubeNode, "noted"> {
  const entry = writes.find(isOwnApply);
  if (entry === undefined) return {};
  const metadata = readObject(readObject(entry.fieldsV1)["f:metadata"]);
  const owns = Object.hasOwn(readObject(metadata["f:annotations"]), `f:${ANNOTATION.session}`);
  return owns && !ownsCordon(entry) ? { noted: true } : {};
}

function readKept(annotations: unknown): Pick<KubeNode, "kept"> {
  const kept = askToKeep(readTextMap(annotations, (key) => NODE_ASK_KEYS.has(key)));
  return kept === null ? {} : { kept };
}

function readCordonReason(annotations: unknown, writes: Writes): Pick<KubeNode, "cordonReason"> {
  const text = readTextMap(annotations, (key) => key === CORDON_REASON)[CORDON_REASON];
  if (text === undefined) return {};
  const entry = readObject(writes.find(isOwnApply)?.fieldsV1);
  const keys = readObject(readObject(entry["f:metadata"])["f:annotations"]);
  return { cordonReason: { text, own: Object.hasOwn(keys, `f:${CORDON_REASON}`) } };
}

/** Kubernetes components that react to a cordon or uncordon but do not decide it. */
const REACTING = new Set(["kubelet", "kube-controller-manager", "kube-scheduler"]);
const TOUCHED_MAX = 3;

/**
 * Clients that wrote the object after our mark. Removing the mark alone leaves no field manager;
 * setting an annotation, label or taint does. Times are whole seconds of the server's clock.
 */
function readTouched(writes: Writes): Pick<KubeNode, "touched"> {
  const markedAt = readInstantMs(writes.find(isOwnApply)?.time);
  if (markedAt === null) return {};
  const touched = writes.flatMap((entry) => {
    const manager = readManager(entry.manager) ?? "";
    const at = readInstantMs(entry.time) ?? Number.NEGATIVE_INFINITY;
    const isOther = !manager.startsWith("navarch") && !REACTING.has(manager) && manager !== "";
    const isMain = readText(entry.subresource) === null;
    return isOther && isMain && at >= markedAt ? [{ manager, at }] : [];
  });
  if (touched.length === 0) return {};
  touched.sort((a, b) => b.at - a.at);
  return { touched: [...new Set(touched.map(({ manager }) => manager))].slice(0, TOUCHED_MAX) };
}

function ownsCordon({ fieldsV1 }: Untrusted<Write>): boolean {
  return Object.hasOwn(readObject(readObject(fieldsV1)["f:spec"]), "f:unschedulable");
}

function readDeletion(metadata: Untrusted<V1ObjectMeta>): Pick<KubeNode, "deletion"> {
  const at = readInstantMs(metadata.deletionTimestamp);
  if (at === null) return {};
  const finalizers = readList(metadata.finalizers).flatMap((one) => readText(one) ?? []);
  return { deletion: { at, finalizers } };
}

function readTaints(value: unknown): Taint[] {
  return readList(value).flatMap((raw) => {
    const taint = readObject<V1Taint>(raw);
    const [key, effect] = [readText(taint.key), readText(taint.effect)];
    if (key === null || effect === null) return [];
    return [{ key, value: readText(taint.value), effect }];
  });
}

function readConditions(value: unknown): KubeNode["conditions"] {
  return readList(value).flatMap((raw) => {
    const condition = readObject<V1NodeCondition>(raw);
    const [type, status] = [readText(condition.type), readText(condition.status)];
    if (type === null || status === null) return [];
    const reason = readText(condition.reason) ?? "";
    return [{ type, status, reason, message: readText(condition.message) ?? "" }];
  });
}

function readAddresses(value: unknown): { ips: string[]; hostname: string | null } {
  const ips = new Set<string>();
  let hostname: string | null = null;
  for (const raw of readList(value)) {
    const { type, address } = readObject<V1NodeAddress>(raw);
    const text = readText(address);
    if (text === null) continue;
    if (type === "InternalIP" || type === "ExternalIP") ips.add(text);
    else if (type === "Hostname") hostname ??= text;
  }
  return { ips: [...ips], hostname };
}
