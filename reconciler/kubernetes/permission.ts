/**
 * The permissions that the product needs in a cluster, and their check: `doctor` asks the server
 * for each of them, and the shipped roles equal this table. Least privilege
 * (docs/reference/kubernetes.md#permissions): no wildcard, no `create nodes`, so that an apply
 * cannot bring a deleted Node back, and no secrets unless machines join (`JOIN_PERMISSIONS`,
 * optional).
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
import { textsBetween } from "./between.ts";
import { readObject, readText } from "./read-field.ts";
import type { PodPlace } from "../core/slurm/pod-set.ts";
import type { MissingRules } from "../core/kubernetes/scheduler.ts";

export type Permission = {
  /** Empty: the core group. */
  group: string;
  /** With its subresource: `nodes/status`. */
  resource: string;
  verb: string;
  /** `null`: in the whole cluster (a ClusterRole). */
  namespace: string | null;
  /** Of one object; absent: all. */
  name?: string;
  /** What needs it, for display. */
  use: string;
};

/** Where kubelets renew their leases (Kubernetes, "Leases"). */
export const LEASE_NAMESPACE = "kube-node-lease";

/** API group, resource, verbs, what needs them, and the namespace, if any. */
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

/** One entry per verb. The shipped ClusterRole and Role grant exactly these. */
export const PERMISSIONS: readonly Permission[] = GRANTS.flatMap(
  ([group, resource, verbs, use, namespace = null]) =>
    verbs.split(" ").map((verb) => ({ group, resource, verb, namespace, use })),
);

const JOIN = "letting machines join the cluster";

/**
 * Also needed if a pool's commands join machines to the cluster; the shipped `overlay/cluster-join`
 * grants exactly these.
 */
export const JOIN_PERMISSIONS: readonly Permission[] = [
  { group: "", resource: "secrets", verb: "create", namespace: "kube-system", use: JOIN },
  { group: "", resource: "secrets", verb: "delete", namespace: "kube-system", use: JOIN },
  {
    ...{ group: "", resource: "configmaps", verb: "get" },
    ...{ namespace: "kube-public", name: "cluster-info", use: JOIN },
  },
];

const POOL_GRANTS: readonly (readonly [string, string, string, string])[] = [
  ["velda.io", "agentpools", "get list watch", "seeing which AgentPools there are"],
  ["velda.io", "agentpools", "patch", "the finalizer of an AgentPool"],
  ["velda.io", "agentpools/status", "patch", "the status of an AgentPool"],
  ["velda.io", "agentpools/finalizers", "update", "owning the pods of an AgentPool"],
  ["", "pods", "create", "the pods of an AgentPool"],
  ["", "configmaps", "get", "telling which ConfigMap of a template is missing"],
];

/** Also needed for AgentPools (`provisioners`), in the namespaces that are served. */
export const POOL_PERMISSIONS: readonly Permission[] = POOL_GRANTS.flatMap(
  ([group, resource, verbs, use]) =>
    verbs.split(" ").map((verb) => ({ group, resource, verb, namespace: null, use })),
);

/** Also needed with `slurm.pods`; the shipped `overlay/slurm-pods` grants exactly these. */
export function podPermissions({ namespace, name }: PodPlace): Permission[] {
  const use = "sizing Slurm's pods";
  const of = { group: "apps", resource: "statefulsets", namespace, name, use };
  return ["get", "patch"].map((verb) => ({ ...of, verb }));
}

/** A ServiceAccount. */
export type Account = { namespace: string; name: string };

export type PermissionCheck = {
  missing: Permission[];
  /** Not answered, with the reason. */
  unknown: { permission: Permission; message: string }[];
};

/** Concurrent reviews: `doctor` must not cause throttling. */
const IN_FLIGHT = 4;
const TIMEOUT_MS = 10_000;

/**
 * Asks the server with one SelfSubjectAccessReview per permission, which any authenticated account
 * may create; of another `account` with a SubjectAccessReview. Undecided counts as missing, unless
 * the authorizer reports an error. Once nothing at once is answered, nothing more is asked: the
 * limits of all reviews together would be longer than a caller waits.
 */
export async function checkPermissions(
  api: KubeApi,
  permissions: readonly Permission[] = PERMISSIONS,
  account: Account | null = null,
): Promise<PermissionCheck> {
  const check: PermissionCheck = { missing: [], unknown: [] };
  for (let from = 0; from < permissions.length; from += IN_FLIGHT) {
    const asked = permissions.slice(from, from + IN_FLIGHT);
    const answers = await Promise.all(
      asked.map(async (permission) => {
        return { permission, found: await review(api, permission, account) };
      }),
    );
    for (const { permission, found } of answers) {
      if (found.kind === "missing") check.missing.push(permission);
      if (found.kind === "unknown") check.unknown.push({ permission, message: found.message });
    }
    const [first] = answers;
    if (first?.found.kind !== "unknown") continue;
    if (!answers.every(({ found }) => found.kind === "unknown" && found.isLost)) continue;
    const { message } = first.found;
    for (const permission of permissions.slice(from + IN_FLIGHT)) {
      check.unknown.push({ permission, message });
    }
    break;
  }
  return check;
}

/** `joins`: also checks `JOIN_PERMISSIONS`; `pods`: also those for this StatefulSet. */
export async function missingRules(
  api: KubeApi,
  joins: boolean,
  pods: PodPlace | null = null,
): Promise<MissingRules | { kind: "failed"; message: string }> {
  const more = [...(joins ? JOIN_PERMISSIONS : []), ...(pods === null ? [] : podPermissions(pods))];
  const wanted = [...PERMISSIONS, ...more];
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

/** Creates a review object, which the server answers in its status and does not store. */
export function askReview(
  api: KubeApi,
  body: Sent<Review> & { apiVersion: string; kind: string },
  timeoutMs: number,
): Promise<KubeAnswer> {
  const path = `/apis/${body.apiVersion}/${body.kind.toLowerCase()}s`;
  return api.call({ verb: "create", path, body, timeoutMs, lane: "read" });
}

/**
 * The control plane's account. Any account may ask (`system:basic-user`, Kubernetes 1.28 and
 * later); a refusal names the account as well.
 */
async function readAccount(api: KubeApi): Promise<string | null> {
  const question = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await askReview(api, question, TIMEOUT_MS);
  if (answer.kind !== "ok") return accountIn(answer.message);
  const { status } = readObject<V1SelfSubjectReview>(answer.body);
  const { userInfo } = readObject<V1SelfSubjectReviewStatus>(status);
  return readText(readObject<V1UserInfo>(userInfo).username);
}

/** `isLost`: the server did not answer at all. */
type Found =
  | { kind: "allowed" | "missing" }
  | { kind: "unknown"; message: string; isLost: boolean };

/** `allowed`, `missing`, or why it is unknown. */
async function review(
  api: KubeApi,
  permission: Permission,
  account: Account | null,
): Promise<Found> {
  const { group, verb, namespace, name } = permission;
  const [resource = "", subresource = ""] = permission.resource.split("/");
  const resourceAttributes = {
    ...{ group, resource, subresource, verb, namespace: namespace ?? "" },
    ...(name === undefined ? {} : { name }),
  };
  const question = {
    apiVersion: "authorization.k8s.io/v1",
    kind: account === null ? "SelfSubjectAccessReview" : "SubjectAccessReview",
    spec: { resourceAttributes, ...(account === null ? {} : subjectOf(account)) },
  };
  const answer = await askReview(api, question, TIMEOUT_MS);
  if (answer.kind !== "ok") {
    return { kind: "unknown", message: answer.message, isLost: answer.kind === "lost" };
  }
  const { status } = readObject<V1SelfSubjectAccessReview>(answer.body);
  const { allowed, evaluationError } = readObject<V1SubjectAccessReviewStatus>(status);
  if (allowed === true) return { kind: "allowed" };
  if (allowed === false && typeof evaluationError !== "string") return { kind: "missing" };
  const message = String(evaluationError ?? "the answer was no review").slice(0, 1_024);
  return { kind: "unknown", message, isLost: false };
}

/** As the API server names it, with the groups that it adds to its token. */
function subjectOf({ namespace, name }: Account) {
  const all = "system:serviceaccounts";
  const groups = [all, `${all}:${namespace}`, "system:authenticated"];
  return { user: `system:serviceaccount:${namespace}:${name}`, groups };
}

/** `patch nodes/status`, as in a role. */
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
const FORBIDDEN = ["cannot ", ' resource "', '" in API group "', '"'] as const;
const IN_NAMESPACE = ' in the namespace "';

/** The account in such a refusal. */
export const accountIn = (message: string): string | null =>
  /User "([^"]{1,300})" cannot /.exec(message)?.[1] ?? null;

/**
 * Names the account and the missing rule after a 403. Whether the role lacks the rule or is not
 * bound cannot be distinguished. `null`: not a refusal by RBAC; admission plugins use 403 too.
 */
export function explainForbidden(answer: KubeAnswer): string | null {
  if (answer.kind !== "refused" || answer.status !== 403) return null;
  const found = textsBetween(answer.message, ...FORBIDDEN);
  if (found === null) return null;
  const [verb = "", resource = "", group = "", rest = ""] = found;
  const isPlaced = rest.startsWith(IN_NAMESPACE);
  const namespace = isPlaced ? (rest.slice(IN_NAMESPACE.length).split('"')[0] ?? null) : null;
  const known = [...PERMISSIONS, ...JOIN_PERMISSIONS, ...POOL_PERMISSIONS].find(
    (one) => one.verb === verb && one.resource === resource && one.group === group,
  );
  const rule = formatPermission({ namespace, ...known, verb, resource, group });
  const account = accountIn(answer.message) ?? "the control plane's account";
  return `forbidden: ${account} may not ${rule}${known === undefined ? "" : ` (${known.use})`}`;
}
