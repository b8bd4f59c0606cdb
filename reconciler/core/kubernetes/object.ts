/**
 * The fields of Kubernetes objects that Navarch keeps: a cluster has up to 150,000 pods, and these
 * are a few hundred bytes each. They are read leniently: a field that is missing or of another type
 * counts as absent, and an object without name and UID is `null`.
 */
import type { ResourceUse } from "./node-resource.ts";
import type { SlurmPod } from "./slinky.ts";

/** The prefix of every key that Navarch writes on an object. */
export const DOMAIN = "navarch.dev";
/** One field manager per concern, because an apply states its manager's whole intent. */
export const MANAGER = { cordon: "navarch-cordon", labels: "navarch-labels" } as const;
export const ANNOTATION = {
  session: `${DOMAIN}/session`,
  reason: `${DOMAIN}/reason`,
  /** Whether the node was unschedulable before Navarch's cordon: `true` or `false`. */
  preexisting: `${DOMAIN}/cordon-preexisting`,
  hold: `${DOMAIN}/hold`,
  /** Taints of its pool that Navarch put on the Node: `KEY:EFFECT,…`. */
  taints: `${DOMAIN}/taints`,
} as const;

/** The install that marks a Node: two in one cluster must not overwrite each other. */
export const FLEET_LABEL = `${DOMAIN}/fleet`;

export type Taint = { key: string; value: string | null; effect: string };
export type Toleration = {
  key: string | null;
  operator: string | null;
  value: string | null;
  effect: string | null;
};

export type KubeNode = {
  name: string;
  uid: string;
  /** Decimal; of one server, a larger one is newer. */
  resourceVersion: string;
  unschedulable: boolean;
  /** Navarch owns `spec.unschedulable` in `managedFields`. */
  own: boolean;
  /** It has our session annotation without that ownership; our next apply removes it. */
  noted?: boolean;
  /** Other managers that own `spec.unschedulable`; `unknown` if there is none. */
  others: string[];
  /** Annotations of ours only (`navarch.dev/…`). */
  annotations: Record<string, string>;
  /** It has no annotation at all, of any client. */
  bare?: true;
  /** The annotation by which people ask autoscalers to keep it, as `KEY: VALUE`. */
  kept?: string;
  /** Slinky's annotation `node-cordon-reason`, and whether our share of the cordon wrote it. */
  cordonReason?: { text: string; own: boolean };
  labels: Record<string, string>;
  taints: Taint[];
  conditions: { type: string; status: string; reason: string; message: string }[];
  providerId: string | null;
  systemUuid: string | null;
  bootId: string | null;
  /** `InternalIP` and `ExternalIP` addresses. */
  ips: string[];
  hostname: string | null;
  /** Field managers that wrote it after our mark, newest first. */
  touched?: string[];
  /** Its deletion has begun and waits for the owners of these finalizers. */
  deletion?: { at: number; finalizers: string[] };
  /** `status.allocatable["nvidia.com/gpu"]`; `null` = not reported by the device plugin. */
  gpus: number | null;
  /** Quantities of `kubernetes.node_resources.resources`, if it is enabled. */
  allocatable?: readonly (string | null)[];
};

export type KubePod = {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  /** Empty = not bound. */
  node: string;
  /** Source addresses of the agent in a DaemonSet's running pod, one per IP family; else none. */
  ips: readonly string[];
  /** `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`. */
  phase: string;
  /** The owner with `controller: true`. */
  controller: { apiVersion: string; kind: string; name: string; uid: string } | null;
  mirror: boolean;
  emptyDir: boolean;
  /** It mounts a persistent volume claim. */
  claims: boolean;
  /** Wall milliseconds; already includes the grace period. */
  deletionAt: number | null;
  finalizers: string[];
  /** `spec.terminationGracePeriodSeconds`, 30 if absent. */
  graceMs: number;
  /** Sum of the containers' requests (limits where no request) of `nvidia.com/gpu`. */
  gpus: number;
  /** Of a running pod and `kubernetes.node_resources.resources`, if it is enabled. */
  uses?: readonly ResourceUse[];
  /** `system-node-critical`, `system-cluster-critical`, or a priority of 2,000,000,000 or more. */
  critical: boolean;
  tolerations: Toleration[];
  /** It has scheduling gates: the scheduler looks for no Node until others lift them. */
  gated?: true;
  /** `spec.nodeSelector`; absent if it is empty. */
  selector?: Readonly<Record<string, string>>;
  labels: Record<string, string>;
  /** Annotations of ours only. */
  annotations: Record<string, string>;
  /** The annotation of another program by which it asks not to be evicted, as `KEY: VALUE`. */
  undisturbed?: string;
  /** Of a pod of Slinky's NodeSet. */
  slurm?: SlurmPod;
};

/** Compares versions of one object: decimal numbers that may exceed 2^53. */
export function isNewer(version: string, than: string): boolean {
  return version.length === than.length ? version > than : version.length > than.length;
}

/** A taint without regard to its value: the server allows one of each key and effect. */
export type TaintName = { key: string; effect: string };

export const TAINT = {
  unhealthy: { key: `${DOMAIN}/unhealthy`, effect: "NoSchedule" },
  draining: { key: `${DOMAIN}/draining`, effect: "NoSchedule" },
  /** Never written here: a kubelet registers with it (`--register-with-taints`). */
  unverified: { key: `${DOMAIN}/unverified`, effect: "NoExecute" },
  unverifiedMildly: { key: `${DOMAIN}/unverified`, effect: "NoSchedule" },
  /** Kubernetes' own: pods are force-deleted, volumes detached ("Non-graceful node shutdown"). */
  outOfService: { key: "node.kubernetes.io/out-of-service", effect: "NoExecute" },
} as const;

/** Positive like `Ready`: `True` is good. */
export const CONDITION_TYPES = ["GPUHealthy", "NavarchManaged"] as const;

export const POOL_LABEL = `${DOMAIN}/pool`;

/** Whether another install marks the Node. */
export function isForeign({ labels }: KubeNode, fleet: string | null | undefined): boolean {
  const shown = labels[FLEET_LABEL];
  return fleet != null && shown !== undefined && shown !== fleet;
}
