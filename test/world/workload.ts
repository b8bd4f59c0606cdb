/**
 * A workload of a simulated cluster: its controller starts missing pods, its scheduler places
 * them. A pod without room is not started at all, unless `pends`.
 */
import type { FakeKube } from "../../simulator/cluster/fake.ts";
import type { KubeObject } from "../../simulator/cluster/json.ts";
import type { KubeNode, KubePod } from "../../reconciler/core/kubernetes/object.ts";
import { readNode } from "../../reconciler/kubernetes/read-node.ts";
import { readPod } from "../../reconciler/kubernetes/read-pod.ts";
import type { Clock } from "../../reconciler/core/clock.ts";

export type WorkloadOptions = {
  name: string;
  /** Ignored for a DaemonSet, which has one on each Node. */
  replicas: number;
  kind?: "ReplicaSet" | "StatefulSet" | "DaemonSet";
  /** How many of them find room on one Node. */
  perNode?: number;
  graceSeconds?: number;
  /** How long a pod takes to stop; `Infinity` = its whole grace. */
  stopMs?: number;
  /** A budget over them that leaves so many healthy. */
  minAvailable?: number;
  /** Nodes that they may be put on. */
  fits?: (node: KubeNode) => boolean;
  /** Those that find no room are there and wait for it. */
  pends?: boolean;
  /** More of the pod. */
  annotations?: Record<string, string>;
  labels?: Record<string, string>;
};

const NAMESPACE = "work";

export class Workload {
  readonly options: WorkloadOptions;
  private readonly kube: FakeKube;
  private readonly clock: Clock;
  private serial = 0;
  /** Where each pod ever was, by UID: what it was called, and on which Node. */
  readonly born = new Map<string, { name: string; node: string; at: number }>();

  constructor(kube: FakeKube, clock: Clock, options: WorkloadOptions) {
    this.kube = kube;
    this.clock = clock;
    this.options = options;
    const { name, kind, minAvailable, replicas } = options;
    if (kind === "DaemonSet") {
      kube.seed("daemonsets", { metadata: { name, namespace: NAMESPACE }, spec: {} });
    }
    if (minAvailable === undefined) return;
    kube.seed("poddisruptionbudgets", {
      metadata: { name, namespace: NAMESPACE },
      spec: { minAvailable, selector: { matchLabels: { app: name } } },
    });
    kube.cluster.manage(NAMESPACE, name, replicas);
  }

  pods(): KubePod[] {
    return this.kube
      .list("pods", NAMESPACE)
      .flatMap(podsOf)
      .filter(({ labels }) => labels["app"] === this.options.name);
  }

  bound(): KubePod[] {
    return this.pods().filter(({ node }) => node !== "");
  }

  on(node: string): KubePod[] {
    return this.pods().filter((pod) => pod.node === node);
  }

  /** Surplus pods run on until they are deleted. */
  scale(replicas: number): void {
    this.options.replicas = replicas;
  }

  /** Starts what is missing and finds room. */
  tend(): void {
    const { kind = "ReplicaSet", replicas } = this.options;
    const nodes = this.kube.list("nodes").flatMap(nodesOf);
    if (kind === "DaemonSet") {
      const taken = new Set(this.pods().map(({ node }) => node));
      for (const { name } of nodes) if (!taken.has(name)) this.start(this.next(), name);
      return;
    }
    this.bind(nodes);
    const pods = this.pods();
    const names = new Set(pods.map(({ name }) => name));
    const wanted =
      kind === "StatefulSet"
        ? Array.from({ length: replicas }, (_, i) => `${this.options.name}-${i}`)
        : Array.from({ length: Math.max(0, replicas - running(pods).length) }, () => this.next());
    for (const name of wanted) {
      if (names.has(name)) continue;
      const node = this.place(nodes);
      if (node === null && this.options.pends !== true) return;
      this.start(name, node ?? "");
    }
  }

  /** A pod on this Node even if it is cordoned: the scheduler decided a moment before. */
  startOn(node: string): void {
    this.start(this.next(), node);
  }

  private bind(nodes: readonly KubeNode[]): void {
    for (const pod of this.pods()) {
      const node = pod.node === "" ? this.place(nodes) : null;
      if (node === null) continue;
      const { namespace, name } = pod;
      const how = { manager: "scheduler" };
      this.kube.person.edit("pods", namespace, name, { spec: { nodeName: node } }, how);
      const status = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
      this.kube.person.edit("pods", namespace, name, { status }, { ...how, sub: "status" });
      this.born.set(pod.uid, { name, node, at: this.clock.wallMs() });
    }
  }

  private next(): string {
    return `${this.options.name}-x${++this.serial}`;
  }

  /** The emptiest Node on which it may be. */
  private place(nodes: readonly KubeNode[]): string | null {
    const { perNode = 4, fits = () => true } = this.options;
    const pods = this.pods();
    let best: { name: string; count: number } | null = null;
    for (const node of nodes) {
      const isOpen =
        !node.unschedulable && node.taints.every(({ effect }) => effect !== "NoSchedule");
      if (!isOpen || !fits(node)) continue;
      const count = pods.filter((pod) => pod.node === node.name).length;
      if (count < perNode && (best === null || count < best.count))
        best = { name: node.name, count };
    }
    return best?.name ?? null;
  }

  private start(name: string, node: string): void {
    const {
      kind = "ReplicaSet",
      graceSeconds = 30,
      stopMs,
      annotations = {},
      labels,
    } = this.options;
    const owner = { apiVersion: "apps/v1", kind, name: this.options.name, controller: true };
    const made = readPod(
      this.kube.seed("pods", {
        metadata: {
          name,
          namespace: NAMESPACE,
          labels: { ...labels, app: this.options.name },
          annotations,
          ownerReferences: [{ ...owner, uid: `u-${this.options.name}` }],
        },
        spec: {
          ...(node === "" ? {} : { nodeName: node }),
          terminationGracePeriodSeconds: graceSeconds,
        },
        ...(node === "" ? { status: { phase: "Pending" } } : {}),
      }),
    );
    if (made === null) throw new Error(`${name} is no pod`);
    this.born.set(made.uid, { name, node, at: this.clock.wallMs() });
    if (stopMs !== undefined) this.kube.cluster.setStopMs(NAMESPACE, name, stopMs);
  }
}

/** What `read` makes of an object, once: a stored object is never changed in place. */
function readOnce<T>(read: (object: unknown) => T | null): (object: KubeObject) => T[] {
  const known = new WeakMap<object, T[]>();
  return (object) => {
    const found = known.get(object) ?? listed(read(object));
    known.set(object, found);
    return found;
  };
}

const listed = <T>(value: T | null): T[] => (value === null ? [] : [value]);

const podsOf = readOnce(readPod);
const nodesOf = readOnce(readNode);

/** Those that count for their controller: what is being deleted is replaced at once. */
function running(pods: readonly KubePod[]): KubePod[] {
  return pods.filter(({ deletionAt }) => deletionAt === null);
}
