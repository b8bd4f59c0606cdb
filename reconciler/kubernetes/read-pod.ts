/**
 * Parses a Pod object into the fields that drains use; `drain-plan.ts` judges them.
 */
import type {
  V1Container,
  V1ObjectMeta,
  V1OwnerReference,
  V1Pod,
  V1PodCondition,
  V1PodIP,
  V1PodSpec,
  V1PodStatus,
  V1ResourceRequirements,
  V1Toleration,
  V1Volume,
} from "@kubernetes/client-node";
import { ASK_KEYS, askToStay } from "../core/kubernetes/other-program.ts";
import { isSlurmState, mayWork, slurmPodOf } from "../core/kubernetes/slinky.ts";
import type { KubePod, Toleration } from "../core/kubernetes/object.ts";
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
import { isOurs } from "./read-node.ts";

const GPU = "nvidia.com/gpu";
/** Annotation of a mirror pod: the kubelet runs it from a file and only shows it. */
const MIRROR = "kubernetes.io/config.mirror";
/** Default of `terminationGracePeriodSeconds` (Kubernetes API, PodSpec). */
const GRACE_DEFAULT_SECONDS = 30;
const CRITICAL = new Set(["system-node-critical", "system-cluster-critical"]);
/** `SystemCriticalPriority` (Kubernetes, pkg/apis/scheduling). */
const CRITICAL_PRIORITY = 2_000_000_000;
/** One IPv4 and one IPv6 address (validation of PodStatus). */
const POD_IPS_MAX = 2;

/** `null` if it is no Pod with a namespace, a name and a UID; never throws. */
export function readPod(json: unknown): KubePod | null {
  const object = readObject<V1Pod>(json);
  const metadata = readObject<V1ObjectMeta>(object.metadata);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  if (identity === null || namespace === null) return null;
  const spec = readObject<V1PodSpec>(object.spec);
  const volumes = readList(spec.volumes).map((raw) => readObject<V1Volume>(raw));
  const { priority } = spec;
  const status = readObject<V1PodStatus>(object.status);
  const phase = readText(status.phase) ?? "Unknown";
  const controller = readController(metadata.ownerReferences);
  const labels = readTextMap(metadata.labels);
  const slurm = slurmPodOf(controller, phase, labels, readSlurmStates(status.conditions));
  // A finished pod keeps its address in its status, although another one may have it by then.
  const reports = controller?.kind === "DaemonSet" && phase === "Running";
  return {
    namespace,
    ...identity,
    node: readText(spec.nodeName) ?? "",
    ips: reports ? readPodIps(status) : [],
    phase,
    controller,
    mirror: Object.hasOwn(readObject(metadata.annotations), MIRROR),
    emptyDir: volumes.some((volume) => isGiven(volume.emptyDir)),
    // A generic ephemeral volume is a claim, too.
    claims: volumes.some(
      (volume) => isGiven(volume.persistentVolumeClaim) || isGiven(volume.ephemeral),
    ),
    deletionAt: readInstantMs(metadata.deletionTimestamp),
    finalizers: readList(metadata.finalizers).flatMap((raw) => readText(raw) ?? []),
    graceMs: readGraceMs(spec.terminationGracePeriodSeconds),
    gpus: readList(spec.containers).reduce<number>((sum, raw) => sum + gpusOf(raw), 0),
    critical:
      CRITICAL.has(readText(spec.priorityClassName) ?? "") ||
      (typeof priority === "number" && priority >= CRITICAL_PRIORITY),
    tolerations: readTolerations(spec.tolerations),
    ...(readList(spec.schedulingGates).length === 0 ? {} : { gated: true as const }),
    ...readSelector(spec.nodeSelector),
    labels,
    annotations: readTextMap(metadata.annotations, isOurs),
    ...readAsk(metadata.annotations),
    ...(slurm === null ? {} : { slurm }),
  };
}

/** `kubernetes.slinky: false`: pods of a NodeSet are pods as others are. */
export function podReader(slinky: boolean): (json: unknown) => KubePod | null {
  if (slinky) return readPod;
  return (json) => {
    const pod = readPod(json);
    if (pod === null) return null;
    const { slurm: _, ...plain } = pod;
    return plain;
  };
}

function readSlurmStates(value: unknown): { known: number; isTrue: Set<string> } {
  const states = readList(value).flatMap((raw) => {
    const { type, status } = readObject<V1PodCondition>(raw);
    const name = readText(type) ?? "";
    return isSlurmState(name) ? [{ name, isTrue: status === "True" }] : [];
  });
  const isTrue = new Set(states.flatMap((one) => (one.isTrue ? [one.name] : [])));
  return { known: states.length, isTrue };
}

/** Whether a drain waits for it: neither ended nor of a kind that a drain leaves alone. */
export function isWorkload({ mirror, phase, controller, slurm }: KubePod): boolean {
  // Slurm's daemon is no work; what Slurm runs in it is.
  if (slurm !== undefined) return !isOver(phase) && mayWork(slurm);
  return !mirror && !isOver(phase) && controller?.kind !== "DaemonSet";
}

export const isOver = (phase: string): boolean => phase === "Succeeded" || phase === "Failed";

/** `podIPs` has one per IP family, the first of which is `podIP` (Kubernetes API, PodStatus). */
function readPodIps({ podIP, podIPs }: Untrusted<V1PodStatus>): string[] {
  const given = readList(podIPs).map((raw) => readText(readObject<V1PodIP>(raw).ip));
  const all = [readText(podIP), ...given];
  return [...new Set(all.flatMap((ip) => ip ?? []))].slice(0, POD_IPS_MAX);
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

function readController(value: unknown): KubePod["controller"] {
  for (const raw of readList(value)) {
    const owner = readObject<V1OwnerReference>(raw);
    if (owner.controller !== true) continue;
    const text = (key: keyof V1OwnerReference): string => readText(owner[key]) ?? "";
    const [apiVersion, kind] = [text("apiVersion"), text("kind")];
    return { apiVersion, kind, name: text("name"), uid: text("uid") };
  }
  return null;
}

function readGraceMs(value: unknown): number {
  const isSeconds = typeof value === "number" && Number.isFinite(value) && value >= 0;
  return (isSeconds ? value : GRACE_DEFAULT_SECONDS) * 1_000;
}

function gpusOf(container: unknown): number {
  const { resources } = readObject<V1Container>(container);
  const { requests, limits } = readObject<V1ResourceRequirements>(resources);
  return readCount(readObject(requests)[GPU]) ?? readCount(readObject(limits)[GPU]) ?? 0;
}

function readAsk(annotations: unknown): Pick<KubePod, "undisturbed"> {
  const undisturbed = askToStay(readTextMap(annotations, (key) => ASK_KEYS.has(key)));
  return undisturbed === null ? {} : { undisturbed };
}

function readSelector(value: unknown): Pick<KubePod, "selector"> {
  const selector = readTextMap(value);
  return Object.keys(selector).length === 0 ? {} : { selector };
}

function readTolerations(value: unknown): Toleration[] {
  return readList(value).map((raw) => {
    const toleration = readObject<V1Toleration>(raw);
    return {
      key: readText(toleration.key),
      operator: readText(toleration.operator),
      value: readText(toleration.value),
      effect: readText(toleration.effect),
    };
  });
}
