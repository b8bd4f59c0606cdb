/**
 * What scales and guards a workload by the queue's depth: HorizontalPodAutoscaler and
 * PodDisruptionBudget. The control plane has one writer and is never scaled: its replicas beyond
 * the first only stand by. Pure.
 */
import { labelsOf, type Part } from "./part.ts";
import { and, equals, isGiven, join, NAMESPACE, Ref, value } from "./ref.ts";

export const COORDINATOR = "coordinator-service";
const TARGET = value("autoscaling.target");

const resource = (name: string, percent: number) => ({
  type: "Resource",
  resource: { name, target: { type: "Utilization", averageUtilization: percent } },
});

const pods = (name: string, average: string) => ({
  type: "Pods",
  pods: { metric: { name }, target: { type: "AverageValue", averageValue: average } },
});

const behavior = (windowS: number, percent: number, count: number, selectPolicy: string) => ({
  stabilizationWindowSeconds: windowS,
  policies: [
    { type: "Percent", value: percent, periodSeconds: 60 },
    { type: "Pods", value: count, periodSeconds: 60 },
  ],
  selectPolicy,
});

const isControlPlane = new Ref(
  `(or (eq ${TARGET.helm} "navarch-control-plane") ` +
    `${and(value("controlPlane.enabled"), equals(TARGET, COORDINATOR)).helm})`,
  (scope) => {
    const target = TARGET.read(scope);
    if (target === "navarch-control-plane") return true;
    return target === COORDINATOR && value("controlPlane.enabled").read(scope) === true;
  },
);

const autoscaler: Part = {
  chart: "coordinator",
  file: "hpa.yaml",
  when: isGiven(TARGET),
  refuse: {
    when: isControlPlane,
    message:
      "coordinator.autoscaling.target names the control plane, which has one writer and is not " +
      "scaled: name the Deployment of a workload, or set coordinator.controlPlane.enabled=false",
  },
  object: {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: {
      name: join(TARGET, "-hpa"),
      namespace: NAMESPACE,
      labels: { ...labelsOf("orchestration"), app: TARGET },
    },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: TARGET },
      minReplicas: value("minReplicas"),
      maxReplicas: value("maxReplicas"),
      metrics: [
        resource("cpu", 70),
        resource("memory", 80),
        pods("coordinator_queue_depth", "10"),
        pods("ml_processing_time_seconds", "5"),
      ],
      behavior: { scaleUp: behavior(60, 100, 4, "Max"), scaleDown: behavior(300, 10, 2, "Min") },
    },
  },
};

/** A pod that never becomes ready must not block a drain; healthy ones do as the budget says. */
const budget: Part = {
  chart: "coordinator",
  file: "pdb.yaml",
  object: {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: {
      name: "coordinator-pdb",
      namespace: NAMESPACE,
      labels: { ...labelsOf("orchestration"), app: COORDINATOR },
    },
    spec: {
      minAvailable: value("pdbMinAvailable"),
      unhealthyPodEvictionPolicy: "AlwaysAllow",
      selector: { matchLabels: { app: COORDINATOR } },
    },
  },
};

export const SCALING: readonly Part[] = [autoscaler, budget];
