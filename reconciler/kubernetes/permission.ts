/**
 * What the product must be allowed to do in a cluster: one table, from which `doctor` asks the
 * server and to which the shipped roles must be equal. Least privilege
 * (docs/reference/kubernetes.md#permissions): no `create nodes`, because an apply without it can
 * bring no deleted node back, no wildcard, and no secrets but where machines are to join
 * (`JOIN_PERMISSIONS`, an option of its own).
 */
import type {
  V1SelfSubjectAccessReview,
  V1SelfSubjectReview,
  V1SelfSubjectReviewStatus,
  V1SubjectAccessReviewStatus,
  V1TokenReview,
  V1UserInfo,
} from "@kubernetes/client-node";
import type { KubeAnswer, KubeApi, Sent } from "./api.ts";
import { readObject, readText } from "./read-field.ts";
import type { MissingRules } from "../core/scheduler.ts";

export type Permission = {
  /** Empty = the core group. */
  group: string;
  /** With its subresource: `nodes/status`. */
  resource: string;
  verb: string;
  /** `null` = in the whole cluster (a ClusterRole). */
  namespace: string | null;
  /** Of the one object that is meant; absent = all of them. */
  name?: string;
  /** What does not work without it, for a person. */
  use: string;
};

/** Where kubelets renew their leases (Kubernetes, "Leases"). */
export const LEASE_NAMESPACE = "kube-node-lease";

/** API group, resource, verbs, what does not work without them, and the namespace if it is one. */
const GRANTS: readonly (readonly [string, string, string, string, string?])[] = [
  ["", "nodes", "get list watch", "seeing which Node is which instance"],
  ["", "nodes", "patch", "cordons, labels and taints"],
  ["", "nodes", "delete", "removing the Node of an instance that is gone"],
  ["", "nodes/status", "patch", "conditions on the Node"],
  ["", "pods", "get list watch", "drains and the queue signal"],
  ["", "pods", "delete", "ending what a drain could not evict by its deadline"],
  ["", "pods/eviction", "create", "drains"],
  ["apps", "daemonsets", "get", "telling a DaemonSet's pods apart in a drain"],
  ["policy", "poddisruptionbudgets", "list watch", "asking again once a budget opens"],
  ["storage.k8s.io", "volumeattachments", "list watch", "waiting for volumes in a drain"],
  ["events.k8s.io", "events", "create patch", "events on Nodes and pods"],
  ["", "events", "patch", "the newest text on an event that repeats"],
  [
    "authentication.k8s.io",
    "tokenreviews",
    "create",
    "checking on which Node the pod of an agent runs",
  ],
  [
    "coordination.k8s.io",
    "leases",
    "get list watch",
    "the kubelet's word before a Node is deleted",
    LEASE_NAMESPACE,
  ],
];

/** Every verb by itself. The shipped ClusterRole and Role grant exactly these. */
export const PERMISSIONS: readonly Permission[] = GRANTS.flatMap(
  ([group, resource, verbs, use, namespace = null]) =>
    verbs.split(" ").map((verb) => ({ group, resource, verb, namespace, use })),
);

const JOIN = "letting machines join the cluster";

/**
 * Needed besides, only where a pool's commands join machines to the cluster: the shipped option
 * `overlay/cluster-join` grants exactly these.
 */
export const JOIN_PERMISSIONS: readonly Permission[] = [
  { group: "", resource: "secrets", verb: "create", namespace: "kube-system", use: JOIN },
  { group: "", resource: "secrets", verb: "delete", namespace: "kube-system", use: JOIN },
  {
    ...{ group: "", resource: "configmaps", verb: "get" },
    ...{ namespace: "kube-public", name: "cluster-info", use: JOIN },
  },
];

export type PermissionCheck = {
  missing: Permission[];
  /** The server did not say, with its answer. */
  unknown: { permission: Permission; message: string }[];
};

/** Reviews are cheap for the server, but `doctor` should not be what throttles it. */
const IN_FLIGHT = 4;
const TIMEOUT_MS = 10_000;

/**
 * Asks the server, one SelfSubjectAccessReview a permission; any authenticated account may. An
 * authorizer that cannot decide counts as missing unless it says that it failed.
 */
export async function checkPermissions(
  api: KubeApi,
  permissions: readonly Permission[] = PERMISSIONS,
): Promise<PermissionCheck> {
  const check: PermissionCheck = { missing: [], unknown: [] };
  const queue = [...permissions.entries()];
  const found = new Map<number, "allowed" | "missing" | string>();
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      found.set(next[0], await review(api, next[1]));
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  for (const [i, permission] of permissions.entries()) {
    const said = found.get(i) ?? "no answer";
    if (said === "missing") check.missing.push(permission);
    else if (said !== "allowed") check.unknown.push({ permission, message: said });
  }
  return check;
}

/** `joins`: machines join too. */
export async function missingRules(
  api: KubeApi,
  joins: boolean,
): Promise<MissingRules | { kind: "failed"; message: string }> {
  const wanted = joins ? [...PERMISSIONS, ...JOIN_PERMISSIONS] : PERMISSIONS;
  const { missing, unknown } = await checkPermissions(api, wanted);
  const [first] = unknown;
  if (first !== undefined) {
    return { kind: "failed", message: `the server did not say: ${first.message}` };
  }
  const rules = missing.map((one) => `${formatPermission(one)} (${one.use})`);
  const account = rules.length === 0 ? null : await readAccount(api);
  return { kind: "ok", rules, checked: wanted.length, account };
}

type Review = V1SelfSubjectAccessReview | V1SelfSubjectReview | V1TokenReview;

/** Asks what is put as an object: it is answered in its status, and not kept. */
export function askReview(
  api: KubeApi,
  body: Sent<Review> & { apiVersion: string; kind: string },
  timeoutMs: number,
): Promise<KubeAnswer> {
  const path = `/apis/${body.apiVersion}/${body.kind.toLowerCase()}s`;
  return api.call({ verb: "create", path, body, timeoutMs, lane: "read" });
}

/**
 * Who the control plane is to the server. Any account may ask (`system:basic-user`, Kubernetes 1.28
 * and later); where the server refuses that, too, its refusal names the account.
 */
async function readAccount(api: KubeApi): Promise<string | null> {
  const question = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await askReview(api, question, TIMEOUT_MS);
  if (answer.kind !== "ok") return accountIn(answer.message);
  const { status } = readObject<V1SelfSubjectReview>(answer.body);
  const { userInfo } = readObject<V1SelfSubjectReviewStatus>(status);
  return readText(readObject<V1UserInfo>(userInfo).username);
}

/** `allowed`, `missing`, or why it is not known. */
async function review(api: KubeApi, permission: Permission): Promise<string> {
  const { group, verb, namespace, name } = permission;
  const [resource = "", subresource = ""] = permission.resource.split("/");
  const resourceAttributes = {
    ...{ group, resource, subresource, verb, namespace: namespace ?? "" },
    ...(name === undefined ? {} : { name }),
  };
  const question = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: { resourceAttributes },
  };
  const answer = await askReview(api, question, TIMEOUT_MS);
  if (answer.kind !== "ok") return answer.message;
  const { status } = readObject<V1SelfSubjectAccessReview>(answer.body);
  const { allowed, evaluationError } = readObject<V1SubjectAccessReviewStatus>(status);
  if (allowed === true) return "allowed";
  if (allowed === false && typeof evaluationError !== "string") return "missing";
  return String(evaluationError ?? "the answer was no review").slice(0, 1_024);
}

/** `patch nodes/status`, as a person looks for it in a role. */
export function formatPermission({
  group,
  resource,
  verb,
  namespace,
  name,
}: Pick<Permission, "group" | "resource" | "verb" | "namespace" | "name">): string {
  const place = namespace === null ? "" : ` in namespace ${namespace}`;
  const one = name === undefined ? "" : ` ${name}`;
  return `${verb} ${resource}${group === "" ? "" : `.${group}`}${one}${place}`;
}

/**
 * The RBAC authorizer's own words (`… cannot patch resource "nodes/status" in API group "" at the
 * cluster scope`, apiserver `responsewriters.ForbiddenError`).
 */
const FORBIDDEN =
  /cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?/;

/** The account in such a refusal. */
export const accountIn = (message: string): string | null =>
  /User "([^"]{1,300})" cannot /.exec(message)?.[1] ?? null;

/**
 * Names the account and the rule that it lacks after a 403. A role without the rule and a role that
 * is bound to nobody read alike, so neither is said; `null` if it is no such refusal (an admission
 * plugin says 403 too, and then its own message is the best there is).
 */
export function explainForbidden(answer: KubeAnswer): string | null {
  if (answer.kind !== "refused" || answer.status !== 403) return null;
  const found = FORBIDDEN.exec(answer.message);
  if (found === null) return null;
  const [, verb = "", resource = "", group = ""] = found;
  const known = [...PERMISSIONS, ...JOIN_PERMISSIONS].find(
    (one) => one.verb === verb && one.resource === resource && one.group === group,
  );
  const rule = formatPermission({ namespace: null, ...known, verb, resource, group });
  const account = accountIn(answer.message) ?? "the control plane's account";
  return `forbidden: ${account} may not ${rule}${known === undefined ? "" : ` (${known.use})`}`;
}
