/**
 * What CoreWeave adds to a cluster, for tests on a real API server: a NodePool resource and the
 * controller that turns pools into Nodes. The vendor's definition of the resource could not be
 * obtained: this one is written by hand after its documentation (docs/reference/coreweave.md).
 *
 * Adapter: network, random numbers.
 */
import type { Cluster } from "./cluster.ts";

const POOLS = "/apis/compute.coreweave.com/v1alpha1/nodepools";
const FINALIZER = "compute.coreweave.com/nodes";
const TYPES = ["gd-8xh100ib-i128", "gd-8xa100-i128", "h100x8"];

const text = { type: "string" };
const count = { type: "integer", minimum: 0 };
const texts = { type: "object", additionalProperties: text };
const open = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
const SPEC = {
  type: "object",
  required: ["instanceType"],
  "x-kubernetes-validations": [
    {
      rule: "has(self.targetNodes) != has(self.targetRacks)",
      message: "exactly one of targetNodes and targetRacks must be provided",
    },
  ],
  properties: {
    instanceType: {
      ...text,
      "x-kubernetes-validations": [{ rule: "self == oldSelf", message: "it is immutable" }],
    },
    computeClass: { ...text, enum: ["default", "spot"], default: "default" },
    targetNodes: count,
    targetRacks: count,
    minNodes: count,
    maxNodes: count,
    autoscaling: { type: "boolean" },
    nodeLabels: texts,
    nodeAnnotations: texts,
    nodeTaints: { type: "array", items: open },
    lifecycle: {
      type: "object",
      properties: { scaleDownStrategy: { ...text, enum: ["IdleOnly", "PreferIdle"] } },
    },
    image: open,
    gpu: open,
  },
};
const CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "nodepools.compute.coreweave.com" },
  spec: {
    group: "compute.coreweave.com",
    scope: "Cluster",
    names: { kind: "NodePool", plural: "nodepools", singular: "nodepool" },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: { openAPIV3Schema: { type: "object", properties: { spec: SPEC, status: open } } },
      },
    ],
  },
};

/** What the product's account needs besides its own role. */
export const COREWEAVE_RULES = [
  {
    apiGroups: ["compute.coreweave.com"],
    resources: ["nodepools"],
    verbs: ["get", "list", "create", "delete"],
  },
  { apiGroups: [""], resources: ["events"], verbs: ["list"] },
];

type Metadata = {
  name: string;
  uid: string;
  creationTimestamp: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
};
export type Pool = {
  metadata: Metadata;
  spec: {
    instanceType: string;
    targetNodes: number;
    nodeLabels?: Record<string, string>;
    nodeAnnotations?: Record<string, string>;
  };
};
type Node = { metadata: Metadata };

/** Why no Nodes come now; `null` = they come. */
export type Shortage = "CWInsufficientCapacity" | "CWOverQuota" | null;

export class CoreweaveCloud {
  shortage: Shortage = null;
  /** Boot id of the next Nodes, as their kubelet would report. */
  bootId: string = crypto.randomUUID();
  readonly #cluster: Cluster;
  #nodes = 0;

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  static async install(cluster: Cluster): Promise<CoreweaveCloud> {
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    await cluster.json(path, { body: CRD });
    while (!(await cluster.request(POOLS)).ok) await Bun.sleep(50);
    return new CoreweaveCloud(cluster);
  }

  async pools(): Promise<Pool[]> {
    return (await this.#cluster.json<{ items: Pool[] }>(POOLS)).items;
  }

  /** Nodes of NodePools, by the pool's UID. */
  async nodes(): Promise<Map<string, Node[]>> {
    const path = "/api/v1/nodes?labelSelector=compute.coreweave.com/node-pool-uid";
    const { items } = await this.#cluster.json<{ items: Node[] }>(path);
    return Map.groupBy(items, (node) => node.metadata.labels?.[UID] ?? "");
  }

  /** Brings the cluster to what its pools ask for. */
  async settle(): Promise<void> {
    while (await this.#round()) continue;
  }

  async #round(): Promise<boolean> {
    const nodes = await this.nodes();
    let isChanged = false;
    for (const pool of await this.pools()) {
      isChanged = (await this.#reconcile(pool, nodes.get(pool.metadata.uid) ?? [])) || isChanged;
    }
    return isChanged;
  }

  async #reconcile(pool: Pool, nodes: readonly Node[]): Promise<boolean> {
    const { name, finalizers = [], deletionTimestamp } = pool.metadata;
    if (deletionTimestamp !== undefined) {
      for (const node of nodes) await this.#delete(`/api/v1/nodes/${node.metadata.name}`);
      await this.#patch(`${POOLS}/${name}`, { metadata: { finalizers: null } });
      return true;
    }
    if (!finalizers.includes(FINALIZER)) {
      await this.#patch(`${POOLS}/${name}`, { metadata: { finalizers: [FINALIZER] } });
    }
    if (!TYPES.includes(pool.spec.instanceType)) return this.#invalidate(pool);
    if (nodes.length >= pool.spec.targetNodes) return false;
    if (this.shortage !== null) return this.#say(pool, this.shortage);
    await this.#addNode(pool);
    return true;
  }

  /** A wrong type is accepted, and found out later. */
  async #invalidate(pool: Pool): Promise<boolean> {
    const message = `instance type ${pool.spec.instanceType} does not exist in zone`;
    const now = new Date().toISOString();
    const condition = { type: "Validated", status: "False", reason: "Invalid", message };
    const conditions = [{ ...condition, lastTransitionTime: now }];
    await this.#patch(`${POOLS}/${pool.metadata.name}/status`, { status: { conditions } });
    return false;
  }

  async #say({ metadata: { name, uid } }: Pool, reason: string): Promise<boolean> {
    const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const involvedObject = { apiVersion: "v1alpha1", kind: "NodePool", name, uid };
    const body = {
      metadata: { name: `${name}.${reason.toLowerCase()}.${uid.slice(0, 8)}` },
      ...{ involvedObject, reason, message: `no Node for ${name}`, type: "Warning" },
      ...{ firstTimestamp: now, lastTimestamp: now, count: 1 },
    };
    await this.#cluster.request("/api/v1/namespaces/default/events", { body });
    return false;
  }

  async #addNode({ metadata: { name, uid }, spec }: Pool): Promise<void> {
    this.#nodes += 1;
    const node = `g${crypto.randomUUID().slice(0, 8)}`;
    const labels = {
      ...spec.nodeLabels,
      [NAME]: name,
      [UID]: uid,
      "node.kubernetes.io/instance-type": spec.instanceType,
    };
    const metadata = { name: node, labels, annotations: spec.nodeAnnotations ?? {} };
    const providerID = `coreweave://zone/${node}`;
    await this.#cluster.json("/api/v1/nodes", { body: { metadata, spec: { providerID } } });
    const ip = `10.7.${this.#nodes >> 8}.${this.#nodes & 255}`;
    const now = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const times = { lastHeartbeatTime: now, lastTransitionTime: now };
    const resources = { cpu: "128", memory: "2048Gi", pods: "110", "nvidia.com/gpu": "8" };
    const status = {
      capacity: resources,
      allocatable: resources,
      conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", ...times }],
      addresses: [
        { type: "InternalIP", address: ip },
        { type: "Hostname", address: node },
      ],
      nodeInfo: { bootID: this.bootId, ...NODE_INFO },
    };
    await this.#patch(`/api/v1/nodes/${node}/status`, { status });
    // Nothing else here takes away what the API server puts on each new Node.
    await this.#patch(`/api/v1/nodes/${node}`, { spec: { taints: null } });
  }

  async #patch(path: string, body: unknown): Promise<void> {
    const contentType = "application/merge-patch+json";
    const answer = await this.#cluster.request(path, { method: "PATCH", contentType, body });
    // It went meanwhile.
    if (!answer.ok && answer.status !== 404) throw new Error(`${path}: ${await answer.text()}`);
  }

  async #delete(path: string): Promise<void> {
    await this.#cluster.request(path, { method: "DELETE" });
  }

  /** The pool goes and leaves its Node. */
  async forget(name: string): Promise<void> {
    await this.#patch(`${POOLS}/${name}`, { metadata: { finalizers: null } });
    await this.#delete(`${POOLS}/${name}`);
  }

  async clear(): Promise<void> {
    this.shortage = null;
    await this.#delete(POOLS);
    await this.settle();
    const left = "/api/v1/nodes?labelSelector=compute.coreweave.com/node-pool-uid";
    await this.#delete(left);
    await this.#delete("/api/v1/namespaces/default/events");
  }
}

const NAME = "compute.coreweave.com/node-pool";
const UID = "compute.coreweave.com/node-pool-uid";
const NODE_INFO = {
  machineID: "",
  systemUUID: "",
  kernelVersion: "6.8.0",
  osImage: "Linux",
  containerRuntimeVersion: "containerd://2.0.0",
  kubeletVersion: "v1.33.0",
  kubeProxyVersion: "",
  operatingSystem: "linux",
  architecture: "amd64",
};
