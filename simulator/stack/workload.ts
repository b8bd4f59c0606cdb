/**
 * One pod group of a simulated cluster: its controller, the scheduler that places its pods, and
 * the kubelet until a pod is ready. Each acts once a beat, about as fast as in a real cluster.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { FakeKube } from "../cluster/fake.ts";
import type { KubeNode, KubePod } from "../../reconciler/core/kubernetes/object.ts";
import { readPod } from "../../reconciler/kubernetes/read-pod.ts";
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

/** A pod as one beat sees it; one that is on its way out may still be ready. */
export type Seen = { pod: KubePod; isReady: boolean };

/** By Node: how many of the group are there. */
type Counts = Map<string, number>;

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

  /** `mine` are its pods as they are now, `rooms` the Nodes by name. */
  beat(mine: readonly Seen[], rooms: ReadonlyMap<string, Room>): void {
    const names = new Set(mine.map(({ pod }) => pod.name));
    const uids = new Set(mine.map(({ pod }) => pod.uid));
    for (const uid of this.#begun.keys()) if (!uids.has(uid)) this.#begun.delete(uid);
    const counts = new Map<string, number>();
    for (const { pod } of mine) counts.set(pod.node, (counts.get(pod.node) ?? 0) + 1);
    for (const one of mine) this.#serve(one, rooms, counts);
    for (const name of this.#missing(mine, rooms)) if (!names.has(name)) this.#make(name);
  }

  #missing(mine: readonly Seen[], rooms: ReadonlyMap<string, Room>): string[] {
    const { kind, name, replicas } = this.group;
    const staying = mine.filter(({ pod }) => pod.deletionAt === null).length;
    switch (kind) {
      case "Deployment":
        return Array.from({ length: Math.max(0, replicas - staying) }, () => this.#next());
      // Pods without a controller are created once.
      case "none":
        return Array.from({ length: Math.max(0, replicas - this.#serial) }, () => this.#next());
      case "StatefulSet":
        return Array.from({ length: replicas }, (_, i) => `${name}-${i}`);
      case "DaemonSet":
        return [...rooms.values()]
          .filter((room) => this.#fits(room))
          .map(({ node }) => `${name}-${node.name}`);
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

  #serve({ pod, isReady }: Seen, rooms: ReadonlyMap<string, Room>, counts: Counts): void {
    if (pod.deletionAt !== null) return;
    if (pod.node === "") return this.#place(pod, rooms, counts);
    if (rooms.get(pod.node)?.isUp !== true || isReady) return void this.#begun.delete(pod.uid);
    const mono = this.#ports.clock.monoMs();
    const begunMono = this.#begun.get(pod.uid) ?? mono;
    this.#begun.set(pod.uid, begunMono);
    if (mono - begunMono >= this.group.startMs) this.#setReady(pod);
  }

  /** The Node with the fewest of them, and of those the emptiest. */
  #place(pod: KubePod, rooms: ReadonlyMap<string, Room>, counts: Counts): void {
    const { kube } = this.#ports;
    const count = ({ node }: Room): number => counts.get(node.name) ?? 0;
    let best: Room | null = null;
    for (const room of rooms.values()) {
      if (!this.#isOpen(room, pod)) continue;
      const isBetter =
        best === null ||
        count(room) < count(best) ||
        (count(room) === count(best) && room.pods < best.pods);
      if (isBetter) best = room;
    }
    if (best === null) return;
    best.gpusFree -= this.group.gpus;
    best.pods += 1;
    counts.set(best.node.name, count(best) + 1);
    const spec = { nodeName: best.node.name };
    kube.person.edit("pods", NAMESPACE, pod.name, { spec }, { manager: "kube-scheduler" });
    this.#begun.set(pod.uid, this.#ports.clock.monoMs());
  }

  #isOpen(room: Room, pod: KubePod): boolean {
    const { kind, gpus, name } = this.group;
    if (!this.#fits(room) || room.gpusFree < gpus) return false;
    if (kind === "DaemonSet") return pod.name === `${name}-${room.node.name}`;
    const { unschedulable, taints } = room.node;
    return room.isUp && !unschedulable && taints.every(({ effect }) => !KEEPS.has(effect));
  }

  #setReady({ name, uid }: KubePod): void {
    const { kube } = this.#ports;
    this.#begun.delete(uid);
    const status = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
    kube.person.edit("pods", NAMESPACE, name, { status }, { manager: "kubelet", sub: "status" });
  }
}

const KEEPS: ReadonlySet<string> = new Set(["NoSchedule", "NoExecute"]);

/** `null` for what is no pod. */
export function seePod(object: unknown): Seen | null {
  const pod = readPod(object);
  if (pod === null) return null;
  const { status } = object as { status?: { conditions?: { type: string; status: string }[] } };
  const conditions = status?.conditions ?? [];
  const isReady = conditions.some((one) => one.type === "Ready" && one.status === "True");
  return { pod, isReady };
}
