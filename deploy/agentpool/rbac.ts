/**
 * Renders what a control plane may do with AgentPools and their pods, as YAML with the reasons.
 * Not here on purpose: `update` of anything, deletion of nodes, secrets, and any wildcard. Pure.
 */
import { AGENT_POOL } from "../../schema/agentpool-resource.ts";

export type RbacOptions = {
  /** Account of the control plane. */
  namespace: string;
  account: string;
  /** The account is there already, with its namespace. */
  isThere: boolean;
  /** Namespaces of the pools; empty = all, by a ClusterRole. */
  pools: readonly string[];
};

export const RBAC_DEFAULTS: RbacOptions = {
  namespace: "velda",
  account: "velda-apiserver",
  isThere: false,
  pools: [],
};

type Rule = { why: string; groups: readonly string[]; resources: string; verbs: string };

const { group, plural } = AGENT_POOL;

/** In the namespaces of the pools. */
const POOLS: readonly Rule[] = [
  {
    why: "The pools. The patch adds and removes a finalizer; the spec is never written.",
    groups: [group],
    resources: plural,
    verbs: "get, list, watch, patch",
  },
  {
    why: "What `kubectl get ap -o wide` and `kubectl describe ap` show.",
    groups: [group],
    resources: `${plural}/status`,
    verbs: "get, patch",
  },
  {
    why: "A pod's owner reference blocks the deletion of its pool: some clusters ask for this.",
    groups: [group],
    resources: `${plural}/finalizers`,
    verbs: "update",
  },
  {
    why: "The workers.",
    groups: [""],
    resources: "pods",
    verbs: "get, list, watch, create, delete",
  },
  {
    why: "What was created and deleted, and why not.",
    groups: ["", "events.k8s.io"],
    resources: "events",
    verbs: "create, patch",
  },
  {
    why: "Whether a ConfigMap that a template names is there.",
    groups: [""],
    resources: "configmaps",
    verbs: "get",
  },
];

/** Of no namespace. */
const CLUSTER: readonly Rule[] = [
  {
    why: "The token by which a worker's agent proves its pod.",
    groups: ["authentication.k8s.io"],
    resources: "tokenreviews",
    verbs: "create",
  },
  {
    why: "The machines that workers run on. Looked at alone.",
    groups: [""],
    resources: "nodes",
    verbs: "get, list, watch",
  },
];

/** Each verb of the rules by itself, for who asks whether it is granted. */
export const POOL_RIGHTS = [
  ...POOLS.map((rule) => ({ ...rule, isOfCluster: false })),
  ...CLUSTER.map((rule) => ({ ...rule, isOfCluster: true })),
].flatMap(({ groups, resources: resource, verbs, isOfCluster }) =>
  groups.flatMap((of) =>
    verbs.split(", ").map((verb) => ({ group: of, resource, verb, isOfCluster })),
  ),
);

/** All documents as one stream for `kubectl apply -f -`. */
export function renderRbac(options: RbacOptions): string {
  const { namespace, account, isThere, pools } = options;
  // A cluster's names are called after the account, so that two installations do not share one.
  const whole = `${account}.${namespace}.agentpools`;
  const isWide = pools.length === 0;
  const places = pools.flatMap((pool) => [
    role({ kind: "Role", name: whole, namespace: pool, rules: POOLS }),
    binding({ kind: "RoleBinding", name: whole, namespace: pool, role: "Role", options }),
  ]);
  const documents = [
    ...(isThere ? [] : [namespaceOf(namespace), accountOf(namespace, account)]),
    role({
      kind: "ClusterRole",
      name: whole,
      namespace: null,
      rules: isWide ? [...POOLS, ...CLUSTER] : CLUSTER,
    }),
    binding({
      kind: "ClusterRoleBinding",
      name: whole,
      namespace: null,
      role: "ClusterRole",
      options,
    }),
    ...places,
    aggregated("view", [{ resources: plural, verbs: "get, list, watch" }]),
    aggregated("edit", [
      { resources: plural, verbs: "create, update, patch, delete, deletecollection" },
    ]),
  ];
  return documents.join("---\n");
}

const LABELS = "  labels:\n    app.kubernetes.io/name: navarch\n";

const namespaceOf = (name: string): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ${name}\n`;

const accountOf = (namespace: string, name: string): string =>
  "# The control plane speaks to the cluster as this account.\n" +
  `apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: ${name}\n` +
  `  namespace: ${namespace}\n${LABELS}`;

type Role = {
  kind: "ClusterRole" | "Role";
  name: string;
  namespace: string | null;
  rules: readonly Rule[];
};

const head = (kind: string, name: string, namespace: string | null): string =>
  `apiVersion: rbac.authorization.k8s.io/v1\nkind: ${kind}\nmetadata:\n  name: ${name}\n` +
  (namespace === null ? "" : `  namespace: ${namespace}\n`);

function role({ kind, name, namespace, rules }: Role): string {
  const lines = rules.map(({ why, groups, resources, verbs }) => {
    const quoted = groups.map((one) => (one === "" ? '""' : one)).join(", ");
    return (
      `# ${why}\n- apiGroups: [${quoted}]\n` + `  resources: [${resources}]\n  verbs: [${verbs}]\n`
    );
  });
  return `${head(kind, name, namespace)}${LABELS}rules:\n${lines.join("")}`;
}

type Binding = {
  kind: "ClusterRoleBinding" | "RoleBinding";
  name: string;
  namespace: string | null;
  role: Role["kind"];
  options: RbacOptions;
};

function binding({ kind, name, namespace, role: to, options }: Binding): string {
  return (
    `${head(kind, name, namespace)}${LABELS}` +
    `roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ${to}\n  name: ${name}\n` +
    `subjects:\n- kind: ServiceAccount\n  name: ${options.account}\n` +
    `  namespace: ${options.namespace}\n`
  );
}

type Seen = { resources: string; verbs: string };

/** What people may do who have the cluster's own role of this name; `admin` contains `edit`. */
function aggregated(to: "view" | "edit", rules: readonly Seen[]): string {
  const lines = rules.map(({ resources, verbs }) => {
    return `- apiGroups: [${group}]\n  resources: [${resources}]\n  verbs: [${verbs}]\n`;
  });
  const name = `agentpools.${group}-${to}`;
  return (
    `# The cluster adds this to its role ${to}.\n${head("ClusterRole", name, null)}` +
    `${LABELS}    rbac.authorization.k8s.io/aggregate-to-${to}: "true"\nrules:\n${lines.join("")}`
  );
}
