/**
 * Cluster objects of the console's set: namespace, quota, limits, priority classes, and the rules
 * of an adapter for custom metrics. Pure.
 */
import { labelsOf, type Part } from "./part.ts";
import { equals, NAMESPACE, Ref, value } from "./ref.ts";

const LABELS = labelsOf("infrastructure");

/** The seed's name is mapped, because the API server refuses its prefix `system-`. */
export const SYSTEM_CRITICAL = { seed: "system-critical", here: "kai-system-critical" } as const;

/** The server takes no other value for a class that is there: it is deleted and created. */
const CLASSES = [
  [SYSTEM_CRITICAL.here, 1_000_000, "Components that are not preempted."],
  ["interactive", 100_000, "Requests of users that need low latency."],
  ["high-priority-batch", 50_000, "Important batch jobs."],
  ["medium-priority-batch", 10_000, "Batch jobs; the default of pods that name no class."],
  ["low-priority-batch", 1_000, "Batch jobs that can wait."],
  ["maintenance", 100, "Maintenance of the system."],
  ["preemptible", 0, "Jobs that may run on spot instances."],
] as const;
export const DEFAULT_CLASS = "medium-priority-batch";

export const PRIORITY_CLASSES = CLASSES.map(([name, priority, description]) => ({
  name,
  value: priority,
  globalDefault: name === DEFAULT_CLASS,
  description,
}));

/** As a values file of prometheus-adapter takes it. */
export const ADAPTER_RULES = `rules:
- seriesQuery: 'kai_coordinator_queue_depth{kubernetes_namespace!="",kubernetes_pod_name!=""}'
  resources:
    overrides:
      kubernetes_namespace: {resource: "namespace"}
      kubernetes_pod_name: {resource: "pod"}
  name:
    matches: "kai_coordinator_queue_depth"
    as: "coordinator_queue_depth"
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
- seriesQuery: 'kai_ml_processing_time_seconds{kubernetes_namespace!="",kubernetes_pod_name!=""}'
  resources:
    overrides:
      kubernetes_namespace: {resource: "namespace"}
      kubernetes_pod_name: {resource: "pod"}
  name:
    matches: "kai_ml_processing_time_seconds"
    as: "ml_processing_time_seconds"
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
`;

/** Text that templates would read as an expression. */
const rules = new Ref(JSON.stringify(ADAPTER_RULES), () => ADAPTER_RULES);

const namespace: Part = {
  chart: "infrastructure",
  file: "namespace.yaml",
  when: value("namespace.create"),
  object: {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: NAMESPACE,
      labels: {
        ...LABELS,
        environment: value("global.environment"),
        "pod-security.kubernetes.io/enforce": value("namespace.podSecurity"),
      },
      annotations: { "helm.sh/resource-policy": "keep" },
    },
  },
};

const quota: Part = {
  chart: "infrastructure",
  file: "quota.yaml",
  when: value("quota.enabled"),
  object: {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "kai-ml-quota", namespace: NAMESPACE, labels: LABELS },
    spec: { hard: value("quota.hard") },
  },
};

/** Part of the quota: without it the quota refuses every pod that has no limits. */
const limits: Part = {
  chart: "infrastructure",
  file: "quota.yaml",
  when: value("quota.enabled"),
  object: {
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: { name: "kai-ml-limits", namespace: NAMESPACE, labels: LABELS },
    spec: {
      limits: [
        {
          type: "Container",
          default: { cpu: "1", memory: "1Gi" },
          defaultRequest: { cpu: "100m", memory: "128Mi" },
        },
      ],
    },
  },
};

/** `helm template` looks nothing up, and finds none. */
const OTHER_DEFAULT =
  '{{- range (lookup "scheduling.k8s.io/v1" "PriorityClass" "" "").items }}' +
  `{{- if and .globalDefault (ne .metadata.name "${DEFAULT_CLASS}") ` +
  "$.Values.priorityClasses.create $.Values.priorityClasses.globalDefault }}" +
  "{{ fail (printf \"PriorityClass %s is the cluster's default already, and there can be one: " +
  "remove its globalDefault, or set infrastructure.priorityClasses.globalDefault to an empty " +
  'text" .metadata.name) }}{{ end }}{{- end }}\n';

const classes = PRIORITY_CLASSES.map(({ name, globalDefault, ...rest }): Part => ({
  ...(globalDefault ? { guard: OTHER_DEFAULT } : {}),
  chart: "infrastructure",
  file: "priority-class.yaml",
  when: value("priorityClasses.create"),
  object: {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name, labels: LABELS },
    ...rest,
    globalDefault: globalDefault ? equals(value("priorityClasses.globalDefault"), name) : false,
  },
}));

const adapter: Part = {
  chart: "infrastructure",
  file: "adapter-rules.yaml",
  object: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "coordinator-adapter-rules", namespace: NAMESPACE, labels: LABELS },
    data: { "config.yaml": rules },
  },
};

export const INFRASTRUCTURE: readonly Part[] = [namespace, quota, limits, ...classes, adapter];
