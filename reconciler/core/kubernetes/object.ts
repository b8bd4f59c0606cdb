/**
 * What of Kubernetes' objects this product looks at. A cluster has up to 150,000 pods, so only
 * these fields are kept (a few hundred bytes each), read leniently: a field that is missing or of
 * another type counts as absent, and an object without name and UID is nobody (`null`).
 */

/** Everything that this product writes on an object starts with it. */
export const DOMAIN = "navarch.dev";
/** The field managers, one a concern: an apply states its manager's whole intent. */
export const MANAGER = { cordon: "navarch-cordon", labels: "navarch-labels" } as const;
export const ANNOTATION = {
  session: `${DOMAIN}/session`,
  reason: `${DOMAIN}/reason`,
  /** Whether the node was unschedulable before the product's cordon: `true` or `false`. */
  preexisting: `${DOMAIN}/cordon-preexisting`,
  hold: `${DOMAIN}/hold`,
} as const;

/** Which install shows itself on a Node: two in one cluster must not write over each other. */
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
  /** The product's own share of `spec.unschedulable` in `managedFields`. */
  own: boolean;
  /** Our session annotation is on it without such a share, and an apply of ours takes it away. */
  noted?: boolean;
  /** Other managers that own `spec.unschedulable`; the fallback `unknown` if nobody does. */
  others: string[];
  /** Annotations of ours only (`navarch.dev/…`). */
  annotations: Record<string, string>;
  labels: Record<string, string>;
  taints: Taint[];
  conditions: { type: string; status: string; reason: string; message: string }[];
  providerId: string | null;
  systemUuid: string | null;
  bootId: string | null;
  /** `InternalIP` and `ExternalIP` addresses. */
  ips: string[];
  hostname: string | null;
  /** Field managers that wrote it after our own mark, the last one first; none if none did. */
  touched?: string[];
  /** Its deletion has begun and waits for the owners of these finalizers. */
  deletion?: { at: number; finalizers: string[] };
  /** `status.allocatable["nvidia.com/gpu"]`; `null` = the device plugin has not said. */
  gpus: number | null;
};

export type KubePod = {
  namespace: string;
  name: string;
  uid: string;
  resourceVersion: string;
  /** Empty = not bound. */
  node: string;
  /** Of a DaemonSet's running pod, one per IP family: where its agent reports from; else none. */
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
  /** `system-node-critical`, `system-cluster-critical`, or a priority of 2,000,000,000 or more. */
  critical: boolean;
  tolerations: Toleration[];
  labels: Record<string, string>;
  /** Annotations of ours only. */
  annotations: Record<string, string>;
};

/** Of a later version of one object than `than`. Versions are decimal and may exceed 2^53. */
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

/** Another install shows itself on the Node. */
export function isForeign({ labels }: KubeNode, fleet: string | null | undefined): boolean {
  const shown = labels[FLEET_LABEL];
  return fleet != null && shown !== undefined && shown !== fleet;
}
