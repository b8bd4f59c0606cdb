/**
 * The Kubernetes cluster of a simulated run: an API server in memory, a kubelet on each running
 * machine, and the scenario's pods. It is independent of the control plane's crashes. A Node
 * outlives its machine until it is deleted, as in a cluster without a cloud controller.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { type FakeKube, openFakeKube } from "../cluster/fake.ts";
import { NO_FAULT } from "../cluster/fault.ts";
import type { KubeFault as ServerFault } from "../cluster/fault.ts";
import type { KubeWrite } from "../cluster/world.ts";
import { ANNOTATION } from "../../reconciler/core/kubernetes/object.ts";
import { readNode } from "../../reconciler/kubernetes/read-node.ts";
import { isWorkload } from "../../reconciler/kubernetes/read-pod.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { ClusterSpec } from "../scenario/cluster.ts";
import type { KubectlWord, KubeFault } from "../scenario/scenario.ts";
import type { KubeNodeWord } from "../scenario/scenario.ts";
import type { Member } from "./population.ts";
import { Kubelet } from "./kubelet.ts";
import { NAMESPACE, type Room, type Seen, seePod, Workload } from "./workload.ts";

/** How often kubelets, controllers and the scheduler look. */
const BEAT_MS = 1_000;

export type SimKubeOptions = {
  clock: Clock;
  random: () => number;
  spec: ClusterSpec;
  podLabel: string;
  members: () => Iterable<Member>;
  wrote: (write: KubeWrite) => void;
};

export class SimKube {
  readonly server: FakeKube;
  /** What processes connect to. */
  readonly api: KubeApi;
  /** What the product did to pods, over the whole run. */
  readonly taken = { evictions: 0, deletions: 0, violations: 0 };
  readonly #options: SimKubeOptions;
  readonly #kubelets = new Map<string, Kubelet>();
  readonly #workloads: Workload[] = [];
  /** UIDs of pods that are counted: the deletion after an eviction is a part of it. */
  readonly #counted = new Set<string>();
  #cancel: (() => void) | null = null;
  #fault: KubeFault | null = null;

  constructor(options: SimKubeOptions) {
    const { clock, random } = options;
    this.#options = options;
    const wrote = (write: KubeWrite): void => this.#wrote(write);
    this.server = openFakeKube({ clock, random, wrote });
    this.api = this.#front();
  }

  start(): void {
    const { spec, clock, podLabel } = this.#options;
    const ports = { kube: this.server, clock, podLabel };
    for (const [at, group] of spec.pods.entries()) {
      this.#workloads.push(new Workload(group, ports, at));
    }
    for (const { name, pods, minAvailable, maxUnavailable } of spec.budgets) {
      const selector = { matchLabels: { app: pods } };
      const rule = minAvailable === null ? { maxUnavailable } : { minAvailable };
      const metadata = { name, namespace: NAMESPACE };
      this.server.seed("poddisruptionbudgets", { metadata, spec: { selector, ...rule } });
      const replicas = spec.pods.find((one) => one.name === pods)?.replicas ?? 0;
      this.server.cluster.manage(NAMESPACE, name, replicas);
    }
    this.#beatSoon();
  }

  close(): void {
    this.#cancel?.();
    this.server.close();
  }

  /** The trouble that the scenario ordered, until the next one; `null` ends it. */
  setFault(fault: KubeFault | null): void {
    this.#fault = fault;
    this.server.setFault({ ...NO_FAULT, ...(fault === null ? {} : troubleOf(fault)) });
  }

  /** Ends it, unless another one came since. */
  endFault(fault: KubeFault): void {
    if (this.#fault === fault) this.setFault(null);
  }

  /** What a person did; a message if there is nothing to do it to. */
  kubectl(step: KubectlWord, target: string, member: Member | null): string | null {
    const { person } = this.server;
    if (step === "delete_budget") {
      if (this.server.get("poddisruptionbudgets", NAMESPACE, target) === undefined) {
        return `there is no budget ${target}`;
      }
      person.remove("poddisruptionbudgets", NAMESPACE, target);
      return null;
    }
    const name = member === null ? null : this.nodeOf(member);
    if (name === null) return `${target} has no Node`;
    switch (step) {
      case "cordon":
        person.cordon(name);
        return null;
      case "uncordon":
        person.uncordon(name);
        return null;
      case "hold":
      case "unhold":
        person.annotate("nodes", "", name, { [ANNOTATION.hold]: step === "hold" ? "true" : null });
        return null;
      case "delete_node":
        // A kubelet that runs registers again, under the same name and as another object.
        person.remove("nodes", "", name);
        return null;
      default:
        return unreachable(step);
    }
  }

  /** The name of a machine's Node; `null` = it has none, or none any more. */
  nodeOf(member: Member): string | null {
    const name = nameOf(member);
    return this.server.get("nodes", "", name) === undefined ? null : name;
  }

  stateOf(member: Member): KubeNodeWord {
    const node = readNode(this.server.get("nodes", "", nameOf(member)));
    if (node === null) return "absent";
    return node.unschedulable ? "unschedulable" : "schedulable";
  }

  /** Pods of a group that are ready and stay. */
  readyPods(group: string): number {
    const pods = this.#pods().get(group) ?? [];
    return pods.filter(({ pod, isReady }) => isReady && pod.deletionAt === null).length;
  }

  /** What is left on a machine, but for what a drain leaves alone. */
  podsOn(member: Member): number {
    const name = nameOf(member);
    const pods = [...this.#pods().values()].flat();
    return pods.filter(({ pod }) => pod.node === name && isWorkload(pod)).length;
  }

  /** By the group that they are of. */
  #pods(): Map<string, Seen[]> {
    const pods = new Map<string, Seen[]>();
    for (const object of this.server.list("pods")) {
      const seen = seePod(object);
      if (seen === null) continue;
      const group = seen.pod.labels["app"] ?? "";
      const known = pods.get(group);
      if (known === undefined) pods.set(group, [seen]);
      else known.push(seen);
    }
    return pods;
  }

  #front(): KubeApi {
    const { server } = this;
    const lease = /\/leases\/([^/?]+)$/;
    return {
      call: (request) => {
        const [, name = null] = lease.exec(request.path) ?? [];
        // Renewed on read: thousands of unread renewals a second would cost more than the run.
        if (name !== null) this.#kubelets.get(decodeURIComponent(name))?.renew();
        return server.call(request);
      },
      watch: (...what) => server.watch(...what),
      // A process that hangs up ends its own line, not the server.
      close: () => undefined,
    };
  }

  #beatSoon(): void {
    this.#cancel = this.#options.clock.after(BEAT_MS, () => {
      this.#beat();
      this.#beatSoon();
    });
  }

  #beat(): void {
    for (const member of this.#options.members()) {
      const name = nameOf(member);
      let kubelet = this.#kubelets.get(name);
      if (kubelet === undefined) {
        if (!Kubelet.canRun(member)) continue;
        kubelet = new Kubelet(name, member, this.server, this.#options.clock);
        this.#kubelets.set(name, kubelet);
      }
      kubelet.beat();
    }
    if (this.#workloads.length === 0) return;
    const pods = this.#pods();
    const rooms = this.#rooms(pods);
    for (const one of this.#workloads) one.beat(pods.get(one.group.name) ?? [], rooms);
  }

  #rooms(pods: ReadonlyMap<string, Seen[]>): Map<string, Room> {
    const rooms = new Map<string, Room>();
    for (const object of this.server.list("nodes")) {
      const node = readNode(object);
      const kubelet = node === null ? undefined : this.#kubelets.get(node.name);
      if (node === null || kubelet === undefined) continue;
      const { isUp, pool } = kubelet;
      rooms.set(node.name, { node, pool, isUp, gpusFree: node.gpus ?? 0, pods: 0 });
    }
    for (const { pod } of [...pods.values()].flat()) {
      const room = rooms.get(pod.node);
      if (room === undefined) continue;
      room.gpusFree -= pod.gpus;
      room.pods += 1;
    }
    return rooms;
  }

  #wrote(write: KubeWrite): void {
    if (write.by === "api" && write.namespace === NAMESPACE) this.#countTaken(write);
    // The cluster's own controllers write through the same interface as people.
    const isOwn = write.by === "person" && write.manager !== "kubectl";
    this.#options.wrote(isOwn ? { ...write, by: "cluster" } : write);
  }

  #countTaken({ verb, resource, name, uid }: KubeWrite): void {
    if (verb === "evict" && resource === "pods/eviction") {
      this.#counted.add(uid);
      this.taken.evictions += 1;
      return;
    }
    if (verb !== "delete" || resource !== "pods" || this.#counted.has(uid)) return;
    this.#counted.add(uid);
    this.taken.deletions += 1;
    const seen = seePod(this.server.get("pods", NAMESPACE, name));
    if (seen?.isReady !== true) return;
    const app = seen.pod.labels["app"];
    const over = this.#options.spec.budgets.filter(({ pods }) => pods === app);
    if (over.some((budget) => this.#isShort(budget.name))) this.taken.violations += 1;
  }

  /** Fewer are healthy than the budget wants. */
  #isShort(budget: string): boolean {
    const object = this.server.get("poddisruptionbudgets", NAMESPACE, budget);
    const { status } = (object ?? {}) as { status?: Record<string, number> };
    return (status?.["currentHealthy"] ?? 0) < (status?.["desiredHealthy"] ?? 0);
  }
}

/** Names of Nodes are those of hosts: lower case (RFC 1123). */
function nameOf({ name, machine }: Member): string {
  if (/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return `n-${plain.replace(/-$/, "")}-${machine.identity.ordinal}`;
}

function troubleOf({ kind, rate, latencyMs }: KubeFault): Partial<ServerFault> {
  const storm = (status: 401 | 429 | 500 | 503): Partial<ServerFault> => {
    return { storms: [{ status, probability: rate }] };
  };
  switch (kind) {
    case "down":
      return { down: true };
    case "latency":
      return { latencyMs: latencyMs ?? 0 };
    case "watch":
      return { frozenWatch: true };
    case "throttle":
      return storm(429);
    // The account's share is used up: it may look, and write no more.
    case "quota":
      return { ...storm(429), concerns: ({ verb }) => verb !== "get" && verb !== "list" };
    case "capacity":
      return storm(503);
    case "auth":
      return storm(401);
    case "error":
      return storm(500);
    // As of a provider: it is done, and the answer does not come.
    case "timeout":
      return { lostAnswers: rate };
    default:
      return unreachable(kind);
  }
}
