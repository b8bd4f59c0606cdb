/**
 * Accounts and permissions of the set: what the console reads and does in the cluster, and the
 * workflows that a coordinator runs. Never here: secrets, exec, impersonation, and the deletion of
 * Nodes. Pure.
 */
import { type ChartName, labelsOf, type Part, RELEASE } from "./part.ts";
import { isGiven, join, NAMESPACE, orElse, type Ref, value } from "./ref.ts";

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] };

const READ = ["get", "list", "watch"];
const FLUX: readonly Omit<Rule, "verbs">[] = [
  { apiGroups: ["helm.toolkit.fluxcd.io"], resources: ["helmreleases"] },
  { apiGroups: ["kustomize.toolkit.fluxcd.io"], resources: ["kustomizations"] },
  { apiGroups: ["source.toolkit.fluxcd.io"], resources: ["gitrepositories", "helmrepositories"] },
];

export const CONSOLE_RULES: readonly Rule[] = [
  {
    apiGroups: [""],
    resources: [
      ...["nodes", "pods", "pods/log", "services", "events"],
      ...["persistentvolumeclaims", "persistentvolumes"],
    ],
    verbs: READ,
  },
  { apiGroups: ["apps"], resources: ["deployments"], verbs: READ },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: READ },
  { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: READ },
  // What is used, where metrics-server answers.
  { apiGroups: ["metrics.k8s.io"], resources: ["nodes", "pods"], verbs: ["get", "list"] },
  { apiGroups: [""], resources: ["pods/eviction"], verbs: ["create"] },
  { apiGroups: [""], resources: ["pods"], verbs: ["delete"] },
  { apiGroups: [""], resources: ["nodes"], verbs: ["patch"] },
  ...FLUX.map((kinds) => ({ ...kinds, verbs: [...READ, "patch"] })),
];

const RBAC = "rbac.authorization.k8s.io";
const CONSOLE = "fleet-console";
const COORDINATOR = "coordinator-service";
const MANAGER = "coordinator-workflow-manager";

const account = (chart: ChartName, name: string, component: string): Part => ({
  chart,
  file: "rbac.yaml",
  object: {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name, namespace: NAMESPACE, labels: labelsOf(component) },
  },
});

const bindingTo = (kind: "ClusterRole" | "Role", name: string | Ref, account: string) => ({
  roleRef: { apiGroup: RBAC, kind, name },
  subjects: [{ kind: "ServiceAccount", name: account, namespace: NAMESPACE }],
});

const wide = join(`${CONSOLE}.`, NAMESPACE, `.${RELEASE}`);
const console: readonly object[] = [
  {
    apiVersion: `${RBAC}/v1`,
    kind: "ClusterRole",
    metadata: { name: wide, labels: labelsOf("console") },
    rules: CONSOLE_RULES,
  },
  {
    apiVersion: `${RBAC}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name: wide, labels: labelsOf("console") },
    ...bindingTo("ClusterRole", wide, CONSOLE),
  },
];

/** The control plane serves the console, and calls the cluster by its own account. */
const server: Part = {
  chart: "infrastructure",
  file: "rbac.yaml",
  when: isGiven(value("console.account")),
  object: {
    apiVersion: `${RBAC}/v1`,
    kind: "ClusterRoleBinding",
    metadata: {
      name: join(`${CONSOLE}-server.`, NAMESPACE, `.${RELEASE}`),
      labels: labelsOf("console"),
    },
    roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: wide },
    subjects: [
      {
        kind: "ServiceAccount",
        name: value("console.account"),
        namespace: orElse(value("console.namespace"), NAMESPACE),
      },
    ],
  },
};

const workflows: readonly object[] = [
  {
    apiVersion: `${RBAC}/v1`,
    kind: "Role",
    metadata: { name: MANAGER, namespace: NAMESPACE, labels: labelsOf("orchestration") },
    rules: [
      {
        apiGroups: ["argoproj.io"],
        resources: ["workflows", "workflows/finalizers", "workflowtemplates"],
        verbs: ["create", "delete", "get", "list", "patch", "update", "watch"],
      },
    ],
  },
  {
    apiVersion: `${RBAC}/v1`,
    kind: "RoleBinding",
    metadata: { name: MANAGER, namespace: NAMESPACE, labels: labelsOf("orchestration") },
    ...bindingTo("Role", MANAGER, COORDINATOR),
  },
];

export const ACCOUNTS: readonly Part[] = [
  account("infrastructure", CONSOLE, "console"),
  ...console.map((object): Part => ({ chart: "infrastructure", file: "rbac.yaml", object })),
  server,
  account("coordinator", COORDINATOR, "orchestration"),
  ...workflows.map((object): Part => ({ chart: "coordinator", file: "rbac.yaml", object })),
];
