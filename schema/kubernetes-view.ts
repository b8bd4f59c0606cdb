/** Responses of `GET /v1/kubernetes` and `GET /v1/kubernetes/permissions`. */
import type { RefusalCause } from "./kube-past.ts";

export type KubernetesView = {
  /** False: no cluster is attached, or this replica stands by. */
  attached: boolean;
  server: string | null;
  nodes: number;
  pods: number;
  /** Of `expected` machines with a Node object once, those that have one now. */
  matched: number;
  expected: number;
  /** Bought machines whose Node object was deleted; the first of them. */
  missing_nodes: { node_id: string; name: string; since: string }[];
  /** Machines whose agents report and whose Nodes are NotReady; the first of them. */
  not_ready_nodes: { node_id: string; name: string; since: string; shows: string }[];
  age_ms: number | null;
  /** Why the cluster cannot be reached now. */
  dark: string | null;
  writes_per_second: number;
  draining: number;
  forbidden: string[];
  alarms: string[];
  /** Nodes that the API server refuses to cordon or uncordon, with the reason. */
  refused: string[];
  /** The same lines with their cause. */
  refusals: { message: string; cause: RefusalCause }[];
  /** Nodes whose conditions, labels or taints could not be written, with the reason. */
  unshown: string[];
  /** Pods with a `navarch.dev/hold`, which only Nodes may have. */
  ignored_holds: readonly string[];
  /** Broken Nodes that others uncordoned, or Nodes uncordoned repeatedly. */
  uncordoned: string[];
  /** Drains blocked by budgets, web hooks or finalizers. */
  blocked: string[];
};

export type PermissionsView = {
  attached: boolean;
  /** Each missing permission, as the rule that would grant it. */
  missing: string[];
  /** Number of permissions that are needed. */
  checked: number;
  /** The control plane's user name at the API server. */
  account: string | null;
};
