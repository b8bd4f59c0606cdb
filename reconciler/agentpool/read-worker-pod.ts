/**
 * Parses the pods that may be workers: those that an AgentPool owns, those with the label of
 * workers, and those without any owner, which a pool may adopt. Others are `null`, so that a
 * cluster's 150,000 pods need no memory. Pure.
 */
import type {
  V1ContainerStatus,
  V1ObjectMeta,
  V1OwnerReference,
  V1Pod,
  V1PodCondition,
  V1PodSpec,
  V1PodStatus,
} from "@kubernetes/client-node";
import { AGENT_POOL, WORKER_LABEL } from "../../schema/agentpool-resource.ts";
import type { PodTrouble, WorkerPod } from "../core/agentpool/model.ts";
import { readIdentity, readInstantMs, readList } from "../kubernetes/read-field.ts";
import { readObject, readText, readTextMap } from "../kubernetes/read-field.ts";
import type { Untrusted } from "../kubernetes/read-field.ts";

export type HeldPod = WorkerPod & { resourceVersion: string };

const MESSAGE_CHARS_MAX = 400;

export function readWorkerPod(json: unknown): HeldPod | null {
  const object = readObject<V1Pod>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const owner = readOwner(metadata.ownerReferences);
  if (owner === "other") return null;
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  if (identity === null || namespace === null) return null;
  const status = readObject<V1PodStatus>(object.status);
  const labels = readTextMap(metadata.labels);
  return {
    ...{ ...identity, namespace, ownerUid: owner?.uid ?? null, labels },
    generation: readGeneration(labels[WORKER_LABEL.generation]),
    phase: readPhase(status.phase),
    isDeleting: readText(metadata.deletionTimestamp) !== null,
    createdAt: readInstantMs(metadata.creationTimestamp) ?? 0,
    nodeName: readText(readObject<V1PodSpec>(object.spec).nodeName),
    trouble: readTrouble(status),
  };
}

/** Of an AgentPool; `other`: something else owns the pod and would replace it; `null`: no owner. */
function readOwner(value: unknown): { uid: string } | "other" | null {
  const owners = readList(value).map((raw) => readObject<V1OwnerReference>(raw));
  if (owners.length === 0) return null;
  // A reference that was written by hand may lack `controller`.
  const owner = owners.find((one) => one.controller === true) ?? owners.find(isPool);
  const uid = owner !== undefined && isPool(owner) ? readText(owner.uid) : null;
  return uid === null ? "other" : { uid };
}

function isPool({ apiVersion, kind }: Untrusted<V1OwnerReference>): boolean {
  const isGroup = readText(apiVersion)?.startsWith(`${AGENT_POOL.group}/`) ?? false;
  return kind === AGENT_POOL.kind && isGroup;
}

const readGeneration = (label: string | undefined): number | null =>
  label !== undefined && /^\d{1,15}$/.test(label) ? Number(label) : null;

function readPhase(value: unknown): WorkerPod["phase"] {
  switch (value) {
    case "Pending":
    case "Running":
    case "Succeeded":
    case "Failed":
      return value;
    // The server sets `Pending` at creation, so absent means only that it is not told.
    default:
      return "Unknown";
  }
}

const isPending = ({ phase }: Untrusted<V1PodStatus>): boolean => phase === "Pending";

/** Reasons for which a container waits (kubernetes pkg/kubelet/images, kuberuntime). */
const IMAGE = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "ImageInspectError",
  "RegistryUnavailable",
  "SignatureValidationFailed",
]);
const CONFIG = new Set([
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
  "PreStartHookError",
  "PostStartHookError",
  "CreatePodSandboxError",
  "ConfigPodSandboxError",
  "CrashLoopBackOff",
]);

/**
 * `False` until its volumes are mounted and its network is set up, and not while an image is pulled
 * (Kubernetes 1.29 and later, KEP-3085). A missing ConfigMap of a volume is told in no status, only
 * in Events of the kubelet.
 */
const STARTABLE = "PodReadyToStartContainers";
const MOUNT =
  "its volumes or its network are not set up: where that lasts, a ConfigMap, Secret or claim " +
  "that a volume names is missing (kubectl describe pod)";

function readTrouble(status: Untrusted<V1PodStatus>): PodTrouble | null {
  for (const raw of [
    ...readList(status.initContainerStatuses),
    ...readList(status.containerStatuses),
  ]) {
    const { name, state } = readObject<V1ContainerStatus>(raw);
    const { reason, message } = readObject(readObject(readObject(state)["waiting"]));
    const why = readText(reason) ?? "";
    const kind = IMAGE.has(why) ? "image" : CONFIG.has(why) ? "config" : null;
    if (kind === null) continue;
    const said = readText(message, MESSAGE_CHARS_MAX);
    const about = `container ${readText(name) ?? "?"}: ${why}`;
    return { kind, message: said === null ? about : `${about}: ${said}` };
  }
  for (const raw of readList(status.conditions)) {
    const { type, status: state, reason, message } = readObject<V1PodCondition>(raw);
    if (type === STARTABLE && state === "False" && isPending(status)) {
      return { kind: "mount", message: MOUNT };
    }
    if (type !== "PodScheduled" || state !== "False" || reason !== "Unschedulable") continue;
    return { kind: "unschedulable", message: readText(message, MESSAGE_CHARS_MAX) ?? reason };
  }
  return null;
}
