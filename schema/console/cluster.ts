/**
 * What the console shows of the Kubernetes cluster: the answers under `/api/admin/kubernetes`.
 * Instants are RFC 3339, CPU is in cores, memory and storage are in bytes, and names are as the
 * cluster has them: readers escape them.
 */

export const CLUSTER_HEALTH = ["healthy", "degraded", "unhealthy"] as const;
export type ClusterHealth = (typeof CLUSTER_HEALTH)[number];

/** What may be wrong, and what to look at or do. */
export type Suggestion = { cause: string; resolution: string };

export type PhaseCounts = {
  total: number;
  running: number;
  pending: number;
  failed: number;
  succeeded: number;
  unknown: number;
};

export type Utilisation = {
  /** `null`: not known, as without the permission to list volumes. */
  allocatable: number | null;
  requested: number | null;
  /** Measured by `metrics.k8s.io`. */
  used?: number;
  /** Of `allocatable`, by `basis`; `null` if nothing is allocatable. */
  percent: number | null;
  basis: "used" | "requested";
};

export const RESOURCES = ["cpu", "memory", "storage", "gpu"] as const;
export type ResourceName = (typeof RESOURCES)[number];

export type ClusterStats = {
  nodes: number;
  pods: PhaseCounts;
  deployments: number;
  services: number;
  health: ClusterHealth;
  utilisation: Record<ResourceName, Utilisation>;
};

/** Beside the cluster's health: pools below their minimum, and nodes in repair. */
export type FleetLine = {
  below_minimum: { pool: string; serving: number; minimum: number }[];
  in_repair: number;
};

/** Answer of `GET stats`. */
export type ConsoleStats = ClusterStats & { fleet: FleetLine };

export type Condition = {
  type: string;
  status: string;
  lastTransitionTime: string | null;
  reason?: string;
  message?: string;
};

export type ContainerView = {
  name: string;
  image: string;
  ready: boolean;
  restartCount: number;
  /** `running`, `waiting`, `terminated`, or `unknown` without a status. */
  state: string;
  /** Of a container that waits or has ended: `CrashLoopBackOff`, `OOMKilled`. */
  reason?: string;
  message?: string;
  exitCode?: number;
  /** Why it ended before its last restart. */
  lastReason?: string;
};

export type Owner = { kind: string; name: string };

/** Requests or limits in total: `{cpu: 1.5, memory: 1073741824, "nvidia.com/gpu": 1}`. */
export type Quantities = Record<string, number>;

export const STUCK = [
  "Pending",
  "ContainerCreating",
  "ImagePullBackOff",
  "CrashLoopBackOff",
] as const;
export type Stuck = (typeof STUCK)[number];

/** What does not depend on the time of the answer. */
export type PodFacts = {
  name: string;
  namespace: string;
  /** As `kubectl get pods` prints it. */
  status: string;
  phase: string;
  /** Empty = not scheduled. */
  nodeName: string;
  ip: string;
  startTime: string | null;
  containers: ContainerView[];
  initContainers: ContainerView[];
  labels: Record<string, string>;
  conditions: Condition[];
  uid: string;
  creationTimestamp: string | null;
  /** Since its deletion began; `null` = it has not. */
  deletionTimestamp: string | null;
  /** The controller that replaces it; `null`: nothing does. */
  owner: Owner | null;
  /** The kubelet runs it from a file: the API only mirrors it. */
  isMirror: boolean;
  resources: { requests: Quantities; limits: Quantities };
};

export type Pod = PodFacts & {
  /** Seconds since its creation. */
  age: number;
  /** `null`: not stuck. */
  stuck: Stuck | null;
  /** It belongs to a Deployment's rollout of the last half hour. */
  scaling: boolean;
  /** Empty unless it is stuck or failed. */
  suggestions: Suggestion[];
};

export type NodeCondition = {
  type: string;
  status: string;
  lastHeartbeatTime: string | null;
  reason?: string;
  message?: string;
};

export type NodeSize = { cpu: number; memory: number; pods: number };

export type TaintView = { key: string; value: string | null; effect: string };

export type NodeCordon = {
  /** `navarch`, a person of this fleet, or the field manager that set it, as `kubectl-cordon`. */
  owner: string;
  reason: string | null;
  since: string | null;
  /** Unschedulable before Navarch's own mark. */
  preexisting: boolean;
};

/** A Node as the cluster has it. */
export type ClusterNode = {
  name: string;
  uid: string;
  /** `Ready`, `NotReady` or `Unknown`, with `,SchedulingDisabled` while it is cordoned. */
  status: string;
  roles: string[];
  version: string;
  internalIP: string;
  externalIP?: string;
  osImage: string;
  kernelVersion: string;
  containerRuntime: string;
  conditions: NodeCondition[];
  capacity: NodeSize;
  allocatable: NodeSize;
  creationTimestamp: string | null;
  labels: Record<string, string>;
  unschedulable: boolean;
  taints: TaintView[];
  gpus: { count: number; allocatable: number };
  cordon: NodeCordon | null;
};

export type NodeGpu = {
  count: number;
  allocatable: number;
  /** `healthy`, `degraded`, `unhealthy`, `unknown`; `unmanaged` outside the fleet. */
  verdict: string;
  /** The evidence that decides the verdict. */
  worst: string | null;
};

export type NodeRepair = {
  id: string;
  since: string;
  /** The step under way: `draining`, `repairing`, `replacing` … */
  step: string;
  stepSince: string;
  reasons: string[];
};

/** Answer of `GET nodes`: the Node, and what the fleet knows of its machine. */
export type ConsoleNode = Omit<ClusterNode, "gpus"> & {
  /** Id in the fleet; `null`: it is none of this fleet's. */
  node: string | null;
  pool: string | null;
  gpu: NodeGpu;
  repair: NodeRepair | null;
};

export type Deployment = {
  name: string;
  namespace: string;
  replicas: number;
  availableReplicas: number;
  updatedReplicas: number;
  readyReplicas: number;
  strategy: string;
  conditions: {
    type: string;
    status: string;
    lastUpdateTime: string | null;
    reason?: string;
    message?: string;
  }[];
  labels: Record<string, string>;
  selector: Record<string, string>;
  creationTimestamp: string | null;
};

export const EVENT_CATEGORIES = ["normal", "warning", "error"] as const;
export type EventCategory = (typeof EVENT_CATEGORIES)[number];

export type ClusterEvent = {
  name: string;
  namespace: string;
  type: string;
  reason: string;
  message: string;
  count: number;
  firstTimestamp: string | null;
  lastTimestamp: string | null;
  involvedObject: { kind: string; name: string; namespace: string };
  source: { component: string; host?: string };
  category: EventCategory;
};

export type PodLog = {
  podName: string;
  containerName: string;
  namespace: string;
  /** As the container wrote it, control characters included. */
  logs: string;
  /** When it was read. */
  timestamp: string;
  /** All containers of the pod, init containers last. */
  containers: string[];
  /** Cut at the limit of bytes: the newest lines are missing. */
  truncated: boolean;
};

export const FLUX_KINDS = [
  "Kustomization",
  "HelmRelease",
  "GitRepository",
  "HelmRepository",
] as const;
export type FluxKind = (typeof FLUX_KINDS)[number];

export const FLUX_STATES = ["Reconciled", "Reconciling", "Failed", "Suspended"] as const;
export type FluxState = (typeof FLUX_STATES)[number];

export type FluxObject = {
  name: string;
  namespace: string;
  type: FluxKind;
  /** As the cluster serves it: `helm.toolkit.fluxcd.io/v2`. */
  apiVersion: string;
  status: FluxState;
  /** `GitRepository/flux-system`, or the URL of a repository. */
  source: string | null;
  revision: string | null;
  lastUpdated: string | null;
  conditions: Condition[];
  /** The message of a Ready condition that is `False`. */
  error: string | null;
  suggestions: Suggestion[];
};

export type FluxList = {
  objects: FluxObject[];
  /** Kinds that the cluster does not serve. */
  absent: FluxKind[];
};

/** Answer of an action. */
export type ActionAnswer = { success: boolean; message: string };
