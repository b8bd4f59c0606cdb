/**
 * Nodes and pods in numbers: objects as a kubelet with GPUs would register them, created many at a
 * time.
 */
import type { Access } from "./access.ts";
import { DEAD_NODE, KWOK_NODE, POD_ACT } from "./kwok.ts";

/** What a caller may want otherwise; `i` counts from 0. */
export type NodeTemplate = {
  name?: (i: number) => string;
  providerId?: (i: number) => string;
  /** `nvidia.com/gpu`; 8 unless told. */
  gpus?: number;
  labels?: Readonly<Record<string, string>> | ((i: number) => Readonly<Record<string, string>>);
  annotations?: Readonly<Record<string, string>>;
  taints?: readonly { key: string; value?: string; effect: string }[];
  /** `false`: nobody renews it, as if its kubelet were dead. */
  isKwok?: boolean;
};

export type PodTemplate = {
  name?: (i: number) => string;
  namespace?: string;
  /** Bound to it at once; `null` leaves it to the scheduler. */
  node?: (i: number) => string | null;
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
  owners?: readonly unknown[];
  /** `nvidia.com/gpu` of its one container; 0 unless told. */
  gpus?: number;
  graceS?: number;
  /** Merged over the i-th pod's metadata. */
  metadata?: (i: number) => Readonly<Record<string, unknown>>;
  /** Merged over the pod's spec. */
  spec?: Readonly<Record<string, unknown>>;
};

export type Made = { metadata: { name: string; uid: string; resourceVersion: string } };

/** Requests at once: the server's own limit for changes is 200, others want to get through too. */
const PARALLEL = 48;

/** Creates nodes `gpu-0` … Ready from the first moment; answers them as the server has them. */
export async function addNodes(
  access: Access,
  count: number,
  template: NodeTemplate = {},
  nowMs: number,
): Promise<Made[]> {
  const at = new Date(nowMs).toISOString().replace(/\.\d+/, "");
  return inParallel(count, async (i) => {
    const body = nodeOf(i, template, at);
    return access.json<Made>("/api/v1/nodes", { method: "POST", body });
  });
}

function nodeOf(i: number, template: NodeTemplate, at: string): unknown {
  const name = template.name?.(i) ?? `gpu-${i}`;
  const { labels = {}, annotations = {}, gpus = 8, isKwok = true } = template;
  const room = {
    cpu: "96",
    memory: "1Ti",
    "ephemeral-storage": "1Ti",
    pods: "110",
    "nvidia.com/gpu": String(gpus),
  };
  const condition = (type: string, status: string, reason: string): unknown => {
    return { type, status, reason, lastHeartbeatTime: at, lastTransitionTime: at };
  };
  return {
    metadata: {
      name,
      labels: {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        ...(typeof labels === "function" ? labels(i) : labels),
      },
      annotations: { ...(isKwok ? KWOK_NODE : {}), ...annotations },
    },
    spec: {
      providerID: template.providerId?.(i) ?? `fake://test/${name}`,
      ...(template.taints === undefined ? {} : { taints: template.taints }),
    },
    status: {
      capacity: room,
      allocatable: room,
      conditions: [
        condition("Ready", "True", "KubeletReady"),
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
      ],
      addresses: [
        { type: "InternalIP", address: "127.0.0.1" },
        { type: "Hostname", address: name },
      ],
    },
  };
}

/** Creates pods `pod-0` … in `default`; with KWOK they run soon. */
export async function addPods(
  access: Access,
  count: number,
  template: PodTemplate = {},
): Promise<Made[]> {
  const path = `/api/v1/namespaces/${template.namespace ?? "default"}/pods`;
  return inParallel(count, async (i) => {
    return access.json<Made>(path, { method: "POST", body: podOf(i, template) });
  });
}

function podOf(i: number, template: PodTemplate): unknown {
  const { gpus = 0, graceS = 30 } = template;
  const node = template.node?.(i) ?? null;
  const limits = gpus === 0 ? {} : { limits: { "nvidia.com/gpu": String(gpus) } };
  return {
    metadata: {
      name: template.name?.(i) ?? `pod-${i}`,
      labels: template.labels ?? {},
      annotations: template.annotations ?? {},
      ...(template.owners === undefined ? {} : { ownerReferences: template.owners }),
      ...template.metadata?.(i),
    },
    spec: {
      ...(node === null ? {} : { nodeName: node }),
      terminationGracePeriodSeconds: graceS,
      containers: [{ name: "main", image: "example.test/nothing", resources: limits }],
      ...template.spec,
    },
  };
}

/** Sets a pod's status by hand, where no KWOK runs. */
export async function markRunning(access: Access, namespace: string, name: string): Promise<void> {
  const conditions = ["Ready", "ContainersReady"].map((type) => ({ type, status: "True" }));
  await access.json(`/api/v1/namespaces/${namespace}/pods/${name}/status`, {
    method: "PATCH",
    contentType: "application/strategic-merge-patch+json",
    body: { status: { phase: "Running", conditions } },
  });
}

const MERGE = "application/merge-patch+json";
const leaseOf = (node: string): string =>
  `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node}`;

/**
 * Its lease is renewed no more. KWOK must have it already; somebody else holds it from here on,
 * which is how KWOK lets go.
 */
export async function stopPulse(access: Access, node: string): Promise<void> {
  await access.json(leaseOf(node), {
    method: "PATCH",
    contentType: MERGE,
    body: { spec: { holderIdentity: "nobody", leaseDurationSeconds: 7 * 24 * 3_600 } },
  });
}

/**
 * The node's kubelet dies: its lease is renewed no more, its status is not refreshed, and the pods
 * that it has now neither start nor end. The node controller notices after its grace period.
 */
export async function silenceNode(access: Access, node: string): Promise<void> {
  await stopPulse(access, node);
  await annotate(access, `/api/v1/nodes/${node}`, { [DEAD_NODE]: "true" });
  await actPods(access, node, "true");
}

/** It comes back, and its pods go on. */
export async function reviveNode(access: Access, node: string): Promise<void> {
  await actPods(access, node, null);
  await annotate(access, `/api/v1/nodes/${node}`, { [DEAD_NODE]: null });
  await access.json(leaseOf(node), { method: "DELETE" });
}

async function actPods(access: Access, node: string, value: "true" | null): Promise<void> {
  type Pods = { items: { metadata: { namespace: string; name: string } }[] };
  const { items } = await access.json<Pods>(`/api/v1/pods?fieldSelector=spec.nodeName%3D${node}`);
  const acts = { [POD_ACT.lingers]: value, [POD_ACT.pending]: value };
  await inParallel(items.length, async (i) => {
    const { namespace = "", name = "" } = items[i]?.metadata ?? {};
    await annotate(access, `/api/v1/namespaces/${namespace}/pods/${name}`, acts);
  });
}

async function annotate(access: Access, path: string, annotations: object): Promise<void> {
  const body = { metadata: { annotations } };
  await access.json(path, { method: "PATCH", contentType: MERGE, body });
}

/** Results in the order of `i`; the first failure ends it. */
export async function inParallel<T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const i = next++;
      results[i] = await work(i);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, count) }, worker));
  return results;
}
