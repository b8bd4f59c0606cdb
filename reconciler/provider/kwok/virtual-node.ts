/**
 * Makes the Node object of a virtual node: what KWOK keeps alive in place of a kubelet. Pure. It is
 * born Ready, so KWOK gives it no addresses (docs/reference/workflows.md#virtual-nodes).
 */
import type { Resources } from "./catalog.ts";

/** KWOK manages the Nodes with this annotation, and no other. */
export const KWOK_ANNOTATION = "kwok.x-k8s.io/node";
export const KWOK_TAINT = { key: KWOK_ANNOTATION, value: "fake", effect: "NoSchedule" } as const;

/** On every virtual node; what we ship keeps its own pods off Nodes with it. */
export const TYPE_LABEL = { key: "type", value: "kwok" } as const;

export type NodeCondition = { type: string; status: string; reason: string; message: string };

export type VirtualNodeSpec = {
  name: string;
  labels: Readonly<Record<string, string>>;
  annotations: Readonly<Record<string, string>>;
  /** Capacity and allocatable alike. */
  resources: Resources;
  /** One of a standard type replaces the standard one, until KWOK's next heartbeat. */
  conditions: readonly NodeCondition[];
  isTainted: boolean;
};

export type VirtualNode = {
  apiVersion: "v1";
  kind: "Node";
  metadata: {
    name: string;
    annotations: Record<string, string>;
    labels: Record<string, string>;
  };
  spec: { providerID: string; taints?: { key: string; value: string; effect: string }[] };
  status: {
    capacity: Resources;
    allocatable: Resources;
    conditions: NodeCondition[];
    nodeInfo: Record<string, string>;
    phase: "Running";
  };
};

const condition = (type: string, status: string, reason: string, message: string) => {
  return { type, status, reason, message };
};

/** What a kubelet reports of a healthy machine. */
const HEALTHY: readonly NodeCondition[] = [
  condition(
    "MemoryPressure",
    "False",
    "KubeletHasSufficientMemory",
    "kubelet has sufficient memory available",
  ),
  condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
  condition(
    "PIDPressure",
    "False",
    "KubeletHasSufficientPID",
    "kubelet has sufficient PID available",
  ),
  condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

/** KWOK's heartbeat rewrites the conditions of these types. */
export const STANDARD_CONDITIONS: readonly string[] = HEALTHY.map(({ type }) => type);

/** Labels of every virtual node; an operator's win over them, `type` apart. */
const standardLabels = (name: string): Record<string, string> => ({
  "beta.kubernetes.io/arch": "amd64",
  "beta.kubernetes.io/os": "linux",
  "kubernetes.io/arch": "amd64",
  "kubernetes.io/os": "linux",
  "kubernetes.io/hostname": name,
  "kubernetes.io/role": "agent",
  "node-role.kubernetes.io/agent": "",
});

/** Without a provider id, cloud controllers delete the Node. */
export const providerIdOf = (name: string): string => `kwok://${name}`;

export function virtualNode(spec: VirtualNodeSpec): VirtualNode {
  const { name, resources } = spec;
  const own = new Set(spec.conditions.map(({ type }) => type));
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      annotations: {
        "node.alpha.kubernetes.io/ttl": "0",
        [KWOK_ANNOTATION]: "fake",
        ...spec.annotations,
      },
      labels: { ...standardLabels(name), ...spec.labels, [TYPE_LABEL.key]: TYPE_LABEL.value },
    },
    spec: {
      providerID: providerIdOf(name),
      ...(spec.isTainted ? { taints: [{ ...KWOK_TAINT }] } : {}),
    },
    status: {
      capacity: resources,
      allocatable: resources,
      conditions: [...HEALTHY.filter(({ type }) => !own.has(type)), ...spec.conditions],
      nodeInfo: NODE_INFO,
      phase: "Running",
    },
  };
}

/** The API requires each key; KWOK's version is the one that says anything. */
const NODE_INFO: Readonly<Record<string, string>> = {
  architecture: "amd64",
  bootID: "",
  containerRuntimeVersion: "",
  kernelVersion: "",
  kubeProxyVersion: "fake",
  kubeletVersion: "fake",
  machineID: "",
  operatingSystem: "linux",
  osImage: "",
  systemUUID: "",
};
