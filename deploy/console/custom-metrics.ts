/**
 * What brings the control plane's own custom metrics behind the API server: APIService, Service,
 * and the permissions to know its front proxy, to count pods, and to write its certificate's
 * authority into that one APIService. Pure.
 */
import { labelsOf, type Part, RELEASE } from "./part.ts";
import { constant, join, NAMESPACE, orElse, type Ref, ternary, value } from "./ref.ts";
import { COORDINATOR } from "./scaling.ts";

const NAME = "navarch-custom-metrics";
const PLAIN = "navarch-control-plane";
const ENABLED = value("customMetrics.enabled");
const IS_HERE = value("controlPlane.enabled");
const VERSION = "v1beta2";
const GROUP = "custom.metrics.k8s.io";
const API_SERVICE = `${VERSION}.${GROUP}`;
const RBAC = "rbac.authorization.k8s.io";

/** Where the control plane runs. */
const namespace = orElse(
  value("customMetrics.namespace"),
  ternary(IS_HERE, NAMESPACE, constant("navarch")),
);
const plane = ternary(IS_HERE, constant(COORDINATOR), constant(PLAIN));
const account = orElse(value("customMetrics.account"), plane);
const wide = join(`${NAME}.`, namespace, `.${RELEASE}`);
const labels = labelsOf("custom-metrics");

const bindingTo = (kind: "ClusterRole" | "Role", name: string | Ref) => ({
  roleRef: { apiGroup: RBAC, kind, name },
  subjects: [{ kind: "ServiceAccount", name: account, namespace }],
});

const OBJECTS: readonly object[] = [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: NAME, namespace, labels },
    spec: {
      selector: { app: plane },
      ports: [{ port: 443, targetPort: value("customMetrics.port"), name: "https" }],
    },
  },
  {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: API_SERVICE, labels },
    // The control plane fills in `caBundle`.
    spec: {
      service: { namespace, name: NAME, port: 443 },
      group: GROUP,
      version: VERSION,
      groupPriorityMinimum: 100,
      versionPriority: 200,
    },
  },
  {
    apiVersion: `${RBAC}/v1`,
    kind: "RoleBinding",
    metadata: { name: wide, namespace: "kube-system", labels },
    ...bindingTo("Role", "extension-apiserver-authentication-reader"),
  },
  {
    apiVersion: `${RBAC}/v1`,
    kind: "ClusterRole",
    metadata: { name: wide, labels },
    rules: [
      { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
      {
        apiGroups: ["apiregistration.k8s.io"],
        resources: ["apiservices"],
        resourceNames: [API_SERVICE],
        verbs: ["get", "patch"],
      },
    ],
  },
  {
    apiVersion: `${RBAC}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name: wide, labels },
    ...bindingTo("ClusterRole", wide),
  },
];

export const CUSTOM_METRICS: readonly Part[] = OBJECTS.map((object) => ({
  chart: "coordinator",
  file: "custom-metrics.yaml",
  when: ENABLED,
  object,
}));

/** A line of `server` in the chart's own configuration; without a port of its own, nothing. */
export const customMetricsLine: Ref = ternary(
  ENABLED,
  join(
    "  custom_metrics: { port: ",
    value("customMetrics.port"),
    ", service: ",
    namespace,
    `/${NAME} }\n`,
  ),
  constant(""),
);
