/**
 * The Kubernetes cluster of a simulated world: an API server in memory, a kubelet on each machine
 * that the cloud runs, and controllers that start pods where the scheduler would put them. It lives
 * beside the control plane, as its cloud does: a crash of the one is none of the other.
 */
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import type { FakeControl } from "../../reconciler/provider/fake/memory.ts";
import type { KubeApi, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import type { KubeFault } from "../../simulator/cluster/fault.ts";
import { openFakeKube, type FakeKube } from "../../simulator/cluster/fake.ts";
import { readNode } from "../../reconciler/kubernetes/read-node.ts";
import { readPod } from "../../reconciler/kubernetes/read-pod.ts";
import type { KubeNode } from "../../reconciler/core/kubernetes/object.ts";
import type { InstanceId } from "../../schema/id.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import type { KubeCall } from "./observation.ts";
import { LEASES, renewLease } from "../../simulator/cluster/lease.ts";
import { seedNode } from "../fixture/kubernetes/node.ts";
import { Workload, type WorkloadOptions } from "./workload.ts";

/** How often kubelets and controllers look: half of what a lease is renewed in. */
const BEAT_MS = 5_000;

export type ClusterOptions = {
  /** The Node's name of an instance. */
  nameOf?: (instance: InstanceId) => string;
  /** Machines that join; all by default. */
  joins?: (instance: InstanceId) => boolean;
  /** More of a Node's first status; Ready with its GPUs by default. */
  status?: (instance: InstanceId) => Readonly<Record<string, unknown>>;
  /** How the server is from the start, and what the product's account may not do there. */
  fault?: Partial<KubeFault>;
  denied?: readonly string[];
  /** 0 ≤ x < 1, for the faults of the server. */
  random?: () => number;
};

/** `haunts`: renews its lease although its cloud lists the machine as gone. */
type Kubelet = { name: string; isUp: boolean; haunts: boolean };

/** What of a body is looked at, whatever is sent. */
type Ends = { preconditions?: { uid?: string }; gracePeriodSeconds?: number };
type Sent = Ends & { deleteOptions?: Ends; spec?: { unschedulable?: boolean } };

type Cloud = FakeControl & { entries(): readonly Entry[] };

export class VirtualCluster {
  readonly kube: FakeKube;
  /** The endpoint of processes: the server, unless a test wraps it. */
  api: KubeApi;
  /** Registered kubelets by instance. A deleted Node does not come back by itself. */
  readonly kubelets = new Map<InstanceId, Kubelet>();
  readonly workloads: Workload[] = [];
  /** Every write that the product asked for, done or not. */
  readonly calls: KubeCall[] = [];
  private readonly clock: Clock;
  private readonly cloud: Cloud;
  private readonly options: ClusterOptions;
  private beats = 0;

  constructor(clock: Clock, cloud: Cloud, options: ClusterOptions = {}) {
    const { random, fault = {}, denied = [] } = options;
    this.clock = clock;
    this.cloud = cloud;
    this.options = options;
    this.kube = openFakeKube({ clock, ...(random === undefined ? {} : { random }) });
    this.api = this.listening(this.kube);
    this.kube.setFault(fault);
    for (const one of denied) this.kube.denied.add(one);
    this.beat();
  }

  run(options: WorkloadOptions): Workload {
    const workload = new Workload(this.kube, this.clock, options);
    this.workloads.push(workload);
    workload.tend();
    return workload;
  }

  nodes(): KubeNode[] {
    return this.kube.list("nodes").flatMap((object) => readNode(object) ?? []);
  }

  node(name: string): KubeNode | null {
    return readNode(this.kube.get("nodes", "", name));
  }

  /** The Node's name of a machine. */
  nameOf(instance: InstanceId): string {
    return this.options.nameOf?.(instance) ?? `gpu-${instance}`;
  }

  /** The machine of a Node, by its provider id. */
  instanceOf(name: string): InstanceId | null {
    const id = this.node(name)?.providerId?.split("/").at(-1);
    return id === undefined ? null : (id as InstanceId);
  }

  /** The kubelet of a machine registers its Node, again if there is none any more. */
  register(instance: InstanceId): void {
    const name = this.nameOf(instance);
    this.kubelets.set(instance, { name, isUp: true, haunts: false });
    this.kube.cluster.setKubelet(name, true);
    if (this.node(name) === null) {
      const status = this.options.status?.(instance);
      seedNode(this.kube, name, {
        spec: { providerID: `navarch://fake/local/${instance}` },
        status: {
          conditions: [{ type: "Ready", status: "True" }],
          allocatable: { "nvidia.com/gpu": "2" },
          // The first boot of a simulated machine, as its agent reads it too.
          nodeInfo: { bootID: "boot-1" },
          ...status,
        },
      });
    }
    renewLease(this.kube, name, this.clock.wallMs());
  }

  /** A kubelet that is cut off from the API server: its lease runs out, its pods run on. */
  cut(instance: InstanceId): void {
    const kubelet = this.kubelets.get(instance);
    if (kubelet === undefined) return;
    kubelet.isUp = false;
    this.kube.cluster.setKubelet(kubelet.name, false);
  }

  /** From now on the machine keeps running although its cloud lists it as gone. */
  haunt(instance: InstanceId): void {
    const kubelet = this.kubelets.get(instance);
    if (kubelet !== undefined) kubelet.haunts = true;
  }

  /** Wall milliseconds of the last renewal; `null` = there is no lease. */
  renewedAt(name: string): number | null {
    const spec = this.kube.get("leases", LEASES, name)?.["spec"] as { renewTime?: string };
    return spec?.renewTime === undefined ? null : Date.parse(spec.renewTime);
  }

  /** Writes down what the product asks, and what was so when it did. */
  private listening(kube: FakeKube): KubeApi {
    return {
      call: (request) => {
        if (request.verb !== "get" && request.verb !== "list")
          this.calls.push(this.judgedAs(request));
        return kube.call(request);
      },
      watch: (...given) => kube.watch(...given),
      close: () => kube.close(),
    };
  }

  private judgedAs({ verb, path, body }: KubeRequest): KubeCall {
    const steps = path.split("/");
    const isEviction = steps.at(-1) === "eviction";
    const at = steps.findIndex((step) => step === "nodes" || step === "pods");
    const [plural = "", name = ""] = at === -1 ? [steps.at(-1)] : steps.slice(at, at + 2);
    const namespace = plural === "pods" ? (steps[at - 1] ?? "") : "";
    const pod = plural === "pods" ? readPod(this.kube.get("pods", namespace, name)) : null;
    const node = plural === "nodes" ? name : (pod?.node ?? "");
    const machine = this.instanceOf(node);
    const sent = (body ?? {}) as Sent;
    const { preconditions, gracePeriodSeconds } = isEviction ? (sent.deleteOptions ?? {}) : sent;
    const renewedAt = this.renewedAt(node);
    return {
      what: `${verb} ${isEviction ? "eviction" : plural}`,
      name,
      uid: preconditions?.uid ?? null,
      graceSeconds: gracePeriodSeconds ?? null,
      outOfService: JSON.stringify(body ?? null).includes("out-of-service"),
      cordons: sent.spec?.unschedulable === true,
      isLive: machine !== null && this.isBilled(machine),
      leaseAgeMs: renewedAt === null ? null : this.clock.wallMs() - renewedAt,
    };
  }

  private isBilled(machine: InstanceId): boolean {
    const state = this.cloud.world().instances.get(machine)?.instance.state;
    return state !== undefined && state !== "terminated";
  }

  private beat(): void {
    this.clock.after(BEAT_MS, () => this.beat());
    this.beats++;
    this.cloud.advance();
    const { instances } = this.cloud.world();
    for (const [id, { instance }] of instances) {
      const isRunning = instance.state === "running" || instance.state === "terminating";
      const kubelet = this.kubelets.get(id);
      if (kubelet === undefined && instance.state === "running") {
        if (this.options.joins?.(id) !== false) this.register(id);
      } else if (kubelet?.isUp === true && !isRunning && !kubelet.haunts) this.cut(id);
    }
    for (const [id, kubelet] of this.kubelets) {
      if (kubelet.isUp && !instances.has(id) && !kubelet.haunts) this.cut(id);
      else if (kubelet.isUp && this.beats % 2 === 0)
        renewLease(this.kube, kubelet.name, this.clock.wallMs());
    }
    for (const workload of this.workloads) workload.tend();
  }
}
