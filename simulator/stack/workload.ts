/**
 * The pods of one group in a simulated cluster: the controller that makes what is missing, the
 * scheduler that finds a Node for it, and the kubelet's part until it is ready. All of them look
 * once a beat, which is about what they take in a cluster.
 */
import type { Clock } from "../../reconciler/clock.ts";
import type { FakeKube } from "../../reconciler/scheduler/kubernetes/fake.ts";
import type { KubeNode, KubePod } from "../../reconciler/scheduler/kubernetes/object.ts";
import { readPod } from "../../reconciler/scheduler/kubernetes/read-pod.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { PodGroup } from "../scenario/cluster.ts";

export const NAMESPACE = "default";
const GPU = "nvidia.com/gpu";

/** A Node on which something may be put, as one beat sees it; what is put there is taken off. */
export type Room = {
  node: KubeNode;
  /** `null` = a machine of no pool. */
  pool: string | null;
  /** Its kubelet works. */
  isUp: boolean;
  gpusFree: number;
  pods: number;
};

type Ports = {
  kube: FakeKube;
  clock: Clock;
  /** Of a pod that waits or runs for a pool. */
  podLabel: string;
};

export class Workload {
  readonly group: PodGroup;
  readonly #ports: Ports;
  readonly #ownerUid: string;
  #serial = 0;
  /** By UID: when the kubelet began with it, on the monotonic clock. */
  readonly #begun = new Map<string, number>();

  constructor(group: PodGroup, ports: Ports, at: number) {
    this.group = group;
    this.#ports = ports;
    this.#ownerUid = `00000000-0000-4000-9000-${String(at).padStart(12, "0")}`;
    if (group.kind !== "DaemonSet") return;
    const metadata = { name: group.name, namespace: NAMESPACE, uid: this.#ownerUid };
    ports.kube.seed("daemonsets", { metadata, spec: {} });
  }

  /** Those that count for the group: what is on its way out does not. */
  ready(): number {
    return this.#own(this.#list()).filter(({ isReady }) => isReady).length;
  }

  /** `all` are the cluster's pods, as objects. */
  beat(all: readonly unknown[], rooms: readonly Room[]): void {
    const mine = this.#own(all);
    for (const uid of this.#begun.keys()) {
      if (!mine.some(({ pod }) => pod.uid === uid)) this.#begun.delete(uid);
    }
    const names = new Set(mine.map(({ pod }) => pod.name));
    for (const name of this.#missing(mine, rooms)) if (!names.has(name)) this.#make(name);
    for (const one of this.#own(this.#list())) this.#serve(one.pod, one.isReady, rooms);
  }

  #list(): readonly unknown[] {
    return this.#ports.kube.list("pods", NAMESPACE);
  }

  #own(all: readonly unknown[]): { pod: KubePod; isReady: boolean }[] {
    return all.flatMap((object) => {
      const pod = readPod(object);
      if (pod === null || pod.labels["app"] !== this.group.name) return [];
      return [{ pod, isReady: pod.deletionAt === null && isReady(object) }];
    });
  }

  #missing(mine: readonly { pod: KubePod }[], rooms: readonly Room[]): string[] {
    const { kind, name, replicas } = this.group;
    const staying = mine.filter(({ pod }) => pod.deletionAt === null).length;
    switch (kind) {
      case "Deployment":
        return Array.from({ length: Math.max(0, replicas - staying) }, () => this.#next());
      // Those of nobody are made once.
      case "none":
        return Array.from({ length: Math.max(0, replicas - this.#serial) }, () => this.#next());
      case "StatefulSet":
        return Array.from({ length: replicas }, (_, i) => `${name}-${i}`);
      case "DaemonSet":
        return rooms.filter((room) => this.#fits(room)).map(({ node }) => `${name}-${node.name}`);
      default:
        return unreachable(kind);
    }
  }

  #next(): string {
    return `${this.group.name}-${++this.#serial}`;
  }

  #fits({ pool }: Room): boolean {
    return this.group.pool === null || this.group.pool === pool;
  }

  #make(name: string): void {
    const { kube, podLabel } = this.#ports;
    const { group } = this;
    const isDaemon = group.kind === "DaemonSet";
    // A Deployment's pods belong to its ReplicaSet.
    const kind = group.kind === "Deployment" ? "ReplicaSet" : group.kind;
    const owner = { apiVersion: "apps/v1", kind, name: group.name, uid: this.#ownerUid };
    const pool = group.pool === null ? {} : { [podLabel]: group.pool };
    const requests = group.gpus === 0 ? {} : { [GPU]: String(group.gpus) };
    kube.seed("pods", {
      metadata: {
        name,
        namespace: NAMESPACE,
        labels: { app: group.name, ...pool },
        annotations: group.annotations,
        ...(group.kind === "none" ? {} : { ownerReferences: [{ ...owner, controller: true }] }),
      },
      spec: {
        terminationGracePeriodSeconds: Math.ceil(group.graceMs / 1_000),
        containers: [{ name: "main", resources: { requests } }],
        ...(isDaemon ? { tolerations: [{ operator: "Exists" }] } : {}),
      },
      status: { phase: "Pending" },
    });
    kube.cluster.setStopMs(NAMESPACE, name, group.stopMs);
  }

  #serve(pod: KubePod, isReady: boolean, rooms: readonly Room[]): void {
    if (pod.deletionAt !== null) return;
    const { clock } = this.#ports;
    if (pod.node === "") return this.#place(pod, rooms);
    const room = rooms.find(({ node }) => node.name === pod.node);
    if (room?.isUp !== true || isReady) return void this.#begun.delete(pod.uid);
    const begunMono = this.#begun.get(pod.uid);
    if (begunMono === undefined) this.#begun.set(pod.uid, clock.monoMs());
    const waitedMs = clock.monoMs() - (begunMono ?? clock.monoMs());
    if (waitedMs >= this.group.startMs) this.#setReady(pod);
  }

  /** The Node with the fewest of them, and of those the emptiest. */
  #place(pod: KubePod, rooms: readonly Room[]): void {
    const { kube } = this.#ports;
    const { kind, gpus, name } = this.group;
    const isDaemon = kind === "DaemonSet";
    const counts = new Map<string, number>();
    for (const one of this.#own(this.#list())) {
      counts.set(one.pod.node, (counts.get(one.pod.node) ?? 0) + 1);
    }
    const count = ({ node }: Room): number => counts.get(node.name) ?? 0;
    const open = rooms.filter((room) => {
      if (!this.#fits(room) || room.gpusFree < gpus) return false;
      if (isDaemon) return pod.name === `${name}-${room.node.name}`;
      const { unschedulable, taints } = room.node;
      return room.isUp && !unschedulable && taints.every(({ effect }) => !KEEPS.has(effect));
    });
    const [best] = open.sort((a, b) => count(a) - count(b) || a.pods - b.pods);
    if (best === undefined) return;
    best.gpusFree -= gpus;
    best.pods += 1;
    const spec = { nodeName: best.node.name };
    kube.person.edit("pods", NAMESPACE, pod.name, { spec }, { manager: "kube-scheduler" });
    this.#begun.set(pod.uid, this.#ports.clock.monoMs());
  }

  #setReady({ name, uid }: KubePod): void {
    const { kube } = this.#ports;
    this.#begun.delete(uid);
    const status = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
    kube.person.edit("pods", NAMESPACE, name, { status }, { manager: "kubelet", sub: "status" });
  }
}

const KEEPS: ReadonlySet<string> = new Set(["NoSchedule", "NoExecute"]);

/** Of a pod's object. */
export function isReady(object: unknown): boolean {
  const { status } = object as { status?: { conditions?: { type: string; status: string }[] } };
  return status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") === true;
}
