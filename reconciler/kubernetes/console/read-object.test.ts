/** The console's shapes of objects as an API server sends them, and of ones that are odd. */
import { expect, test } from "bun:test";
import { readConsoleNode, readDeployment } from "./read-object.ts";

const AT = "2026-11-23T12:00:00Z";
const metadata = { name: "web-a", namespace: "kai-ml", uid: "u", resourceVersion: "7" };

test("C3: a Node has its roles, addresses, system, conditions, sizes and GPUs", () => {
  const labels = {
    "node-role.kubernetes.io/worker": "",
    "node-role.kubernetes.io/gpu": "",
    a: "b",
  };
  const condition = {
    type: "Ready",
    status: "True",
    lastHeartbeatTime: AT,
    reason: "KubeletReady",
  };
  const amounts = { cpu: "8", memory: "16Gi", pods: "110", "nvidia.com/gpu": "8" };
  const nodeInfo = {
    ...{ kubeletVersion: "v1.37.1", osImage: "Ubuntu 24.04", kernelVersion: "6.8" },
    containerRuntimeVersion: "containerd://2.1",
  };
  const found = readConsoleNode({
    metadata: { ...metadata, namespace: undefined, labels, creationTimestamp: AT },
    spec: { unschedulable: true, taints: [{ key: "a", value: "b", effect: "NoSchedule" }] },
    status: {
      ...{ capacity: amounts, allocatable: { ...amounts, cpu: "7500m", "nvidia.com/gpu": "7" } },
      ...{ nodeInfo, conditions: [condition, { status: "True" }, null] },
      addresses: [
        { type: "InternalIP", address: "10.0.0.1" },
        { type: "ExternalIP", address: "198.51.100.1" },
      ],
    },
  });
  expect(found?.view).toMatchObject({
    ...{ name: "web-a", status: "Ready,SchedulingDisabled", roles: ["gpu", "worker"] },
    ...{ version: "v1.37.1", internalIP: "10.0.0.1", externalIP: "198.51.100.1" },
    ...{ osImage: "Ubuntu 24.04", kernelVersion: "6.8", containerRuntime: "containerd://2.1" },
    conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: AT, reason: "KubeletReady" }],
    capacity: { cpu: 8, memory: 16 * 2 ** 30, pods: 110 },
    allocatable: { cpu: 7.5, memory: 16 * 2 ** 30, pods: 110 },
    ...{ unschedulable: true, gpus: { count: 8, allocatable: 7 } },
    taints: [{ key: "a", value: "b", effect: "NoSchedule" }],
  });
});

test("C4: a Deployment has its replicas, strategy, conditions, labels and selector", () => {
  const condition = {
    type: "Available",
    status: "True",
    lastUpdateTime: AT,
    reason: "R",
    message: "m",
  };
  const found = readDeployment({
    metadata: { ...metadata, labels: { app: "web" }, creationTimestamp: AT },
    spec: {
      ...{ replicas: 3, strategy: { type: "RollingUpdate" } },
      selector: { matchLabels: { app: "web" } },
    },
    status: {
      ...{ availableReplicas: 2, updatedReplicas: 3, readyReplicas: 1 },
      conditions: [condition],
    },
  });
  expect(found?.view).toEqual({
    ...{ name: "web-a", namespace: "kai-ml", replicas: 3, availableReplicas: 2 },
    ...{ updatedReplicas: 3, readyReplicas: 1, strategy: "RollingUpdate", conditions: [condition] },
    ...{ labels: { app: "web" }, selector: { app: "web" }, creationTimestamp: AT },
  });
});

test("C4: an object without a status is one of nothing, and one without a name is none", () => {
  expect(readDeployment({ metadata })?.view).toMatchObject({
    ...{ replicas: 0, readyReplicas: 0, strategy: "", conditions: [], selector: {} },
  });
  for (const odd of [null, [], "x", {}, { metadata: { ...metadata, name: 7 } }]) {
    expect([odd, readDeployment(odd), readConsoleNode(odd)]).toEqual([odd, null, null]);
  }
});
