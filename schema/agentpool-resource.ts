/**
 * The custom resource AgentPool by name: group, labels, annotations, and the fields of its
 * autoscaler with their defaults. The definition in `deploy/agentpool/` and the reader of the
 * objects share them, because a cluster without CEL leaves the rules to the reader. Data.
 */

export const AGENT_POOL = {
  group: "velda.io",
  version: "v1",
  apiVersion: "velda.io/v1",
  kind: "AgentPool",
  listKind: "AgentPoolList",
  plural: "agentpools",
  singular: "agentpool",
  shortName: "ap",
  crd: "agentpools.velda.io",
} as const;

/** Longest name of a pool: with `-` and five letters the name of a pod is a label's value. */
export const POOL_NAME_MAX = 57;

/** Labels of each worker pod. Never `navarch.dev/pool`, which marks the demand of workloads. */
export const WORKER_LABEL = {
  pool: "navarch.dev/agentpool",
  generation: "navarch.dev/agentpool-generation",
} as const;

/** Label that a worker pod gets if its template does not set it. */
export const GROUP_LABEL = { key: "group", value: "velda-agent" } as const;

/** Annotations of an AgentPool, each with the value that it acts upon. */
export const POOL_ANNOTATION = {
  /** `OnIdle`: idle workers of an older template are replaced one by one. */
  recycle: "navarch.dev/recycle",
  /** `Drain`: the deletion of the pool waits for busy workers. */
  deletePolicy: "navarch.dev/delete-policy",
  /** `true`: pods without an owner that match the template's labels become workers. */
  adopt: "navarch.dev/adopt",
  /** A duration as `15m`: how long a pod that cannot start is kept. */
  pendingTimeout: "navarch.dev/pending-timeout",
} as const;

/** Holds a deleted AgentPool until its last worker pod is gone. */
export const POOL_FINALIZER = "navarch.dev/agentpool-workers";

/** Of server-side apply. */
export const POOL_MANAGER = "navarch-agentpool";

export type AutoscalerField = {
  name:
    | "minReplicas"
    | "maxReplicas"
    | "minIdle"
    | "maxIdle"
    | "idleDecaySecond"
    | "killUnknownAfterSecond"
    | "defaultSlotsPerAgent";
  /** `null` = required. */
  default: number | null;
  minimum: 0 | 1;
  /** For `kubectl explain`. */
  text: string;
};

/** Largest value of each field: that of an int32, as other scalers of Kubernetes take. */
export const AUTOSCALER_MAX = 2_147_483_647;

export const AUTOSCALER_FIELDS: readonly AutoscalerField[] = [
  {
    name: "minReplicas",
    default: 0,
    minimum: 0,
    text: "Workers that are always kept, idle or not. 0 lets the pool shrink to none.",
  },
  {
    name: "maxReplicas",
    default: null,
    minimum: 0,
    text: "Most workers that the pool may have. At least minReplicas.",
  },
  {
    name: "minIdle",
    default: null,
    minimum: 0,
    text: "Free slots that are kept ready. Workers are created while fewer are free.",
  },
  {
    name: "maxIdle",
    default: null,
    minimum: 0,
    text:
      "Free slots above which idle workers are removed at once. At least minIdle plus the slots " +
      "of one worker minus one; status.effective.maxIdle tells the value that is used.",
  },
  {
    name: "idleDecaySecond",
    default: 60,
    minimum: 0,
    text: "Seconds until an idle worker that minIdle does not need is removed, and then the next.",
  },
  {
    name: "killUnknownAfterSecond",
    default: 300,
    minimum: 0,
    text: "Seconds until the pod of a worker that never joined, or is lost, is deleted. 0 = never.",
  },
  {
    name: "defaultSlotsPerAgent",
    default: 1,
    minimum: 1,
    text: "Claims that one worker serves at once, until the worker reports its own number.",
  },
];
