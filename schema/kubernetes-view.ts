/** What `GET /v1/kubernetes` and `GET /v1/kubernetes/permissions` answer. */

/** RBAC, a webhook or policy, or anything else. */
export type RefusalCause = "permission" | "admission" | "other";

export type KubernetesView = {
  /** False: no cluster is attached, or this replica stands by. */
  attached: boolean;
  server: string | null;
  nodes: number;
  pods: number;
  /** Of `expected` machines that had a Node object once, those whose object is there. */
  matched: number;
  expected: number;
  /** Bought machines whose Node object was deleted; the first of them. */
  missing_nodes: { node_id: string; name: string; since: string }[];
  age_ms: number | null;
  /** Why its word cannot be had now. */
  dark: string | null;
  writes_per_second: number;
  draining: number;
  forbidden: string[];
  alarms: string[];
  /** Nodes whose cordon, or its end, the API server does not take, each with its reason. */
  refused: string[];
  /** The same lines, each with what has to change. */
  refusals: { message: string; cause: RefusalCause }[];
  /** Nodes on which conditions, labels or taints could not be written, each with the reason. */
  unshown: string[];
  /** Pods with a `navarch.dev/hold`, which counts on a Node alone. */
  ignored_holds: readonly string[];
  /** Nodes that others uncordoned although they are broken, or again and again. */
  uncordoned: string[];
  /** Drains that wait for something outside: budgets, webhooks, finalizers. */
  blocked: string[];
};

export type PermissionsView = {
  attached: boolean;
  /** Each missing permission, as the rule that would grant it. */
  missing: string[];
  /** How many are needed. */
  checked: number;
  /** Who lacks them, as the API server calls the control plane. */
  account: string | null;
};
