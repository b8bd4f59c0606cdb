/**
 * One machine's kubelet in a simulated cluster: registers the Node, renews its lease and ends pods
 * while the machine runs and is connected. It also plays the node controller: after 40 s of
 * silence Ready becomes Unknown and pods become not ready. Taint-based eviction (5 min later) is
 * not simulated.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { FakeKube } from "../cluster/fake.ts";
import { renewLease } from "../cluster/lease.ts";
import { readPod } from "../../reconciler/kubernetes/read-pod.ts";
import type { Member } from "./population.ts";

/** Of a lease (docs/reference/kubernetes.md#timings). */
const RENEW_MS = 10_000;
const GRACE_MS = 40_000;
const GPU = "nvidia.com/gpu";

export class Kubelet {
  readonly pool: string | null;
  readonly #name: string;
  readonly #member: Member;
  readonly #kube: FakeKube;
  readonly #clock: Clock;
  #isUp = false;
  #bootId: string | null = null;
  /** Since when it is up or down, monotonic and as the lease records it. */
  #since = { mono: 0, wall: 0 };
  /** Wall milliseconds of the last renewal. */
  #renewedAt = 0;
  #isGivenUp = false;

  constructor(name: string, member: Member, kube: FakeKube, clock: Clock) {
    this.pool = member.node.pool;
    this.#name = name;
    this.#member = member;
    this.#kube = kube;
    this.#clock = clock;
  }

  /** The machine is booted, does not hang, and has a network. */
  static canRun({ live, machine }: Member): boolean {
    if (!live || machine.bootId() === null || machine.isCut()) return false;
    for (const { type } of machine.failures()) if (type === "hang") return false;
    return true;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  beat(): void {
    const isUp = Kubelet.canRun(this.#member);
    if (isUp !== this.#isUp) this.#turn(isUp);
    const isNews = this.#bootId !== this.#member.machine.bootId() || this.#node() === undefined;
    if (isUp && isNews) this.#register();
    const silentMs = isUp ? 0 : this.#clock.monoMs() - this.#since.mono;
    if (silentMs < GRACE_MS || this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#setReady("Unknown");
    this.#doubtPods();
  }

  /** Brings the lease up to the last renewal that has happened by now. */
  renew(): void {
    if (this.#isUp) this.#renewedAt = this.#lastRenewal();
    renewLease(this.#kube, this.#name, this.#renewedAt);
  }

  #node() {
    return this.#kube.get("nodes", "", this.#name);
  }

  #lastRenewal(): number {
    const { mono, wall } = this.#since;
    const periods = Math.floor((this.#clock.monoMs() - mono) / RENEW_MS);
    return wall + periods * RENEW_MS;
  }

  #turn(isUp: boolean): void {
    if (!isUp) this.#renewedAt = this.#lastRenewal();
    this.#isUp = isUp;
    this.#since = { mono: this.#clock.monoMs(), wall: this.#clock.wallMs() };
    this.#kube.cluster.setKubelet(this.#name, isUp);
    if (!isUp) return;
    this.#isGivenUp = false;
    if (this.#bootId !== null) this.#setReady("True");
  }

  /** Creates its Node, or updates the Node's boot id. */
  #register(): void {
    const { node, instanceId, machine } = this.#member;
    this.#bootId = machine.bootId();
    const nodeInfo = { bootID: this.#bootId };
    if (this.#node() !== undefined) {
      const sub = "status" as const;
      const change = { status: { nodeInfo } };
      this.#kube.person.edit("nodes", "", this.#name, change, { ...KUBELET, sub });
      return;
    }
    const region = node.region === "" ? "none" : node.region;
    const gpus = String(node.gpuCount);
    this.#kube.seed("nodes", {
      metadata: { name: this.#name, labels: node.labels },
      spec: { providerID: `navarch://${node.provider}/${region}/${instanceId}` },
      status: {
        nodeInfo,
        conditions: [{ type: "Ready", status: "True", reason: "KubeletReady" }],
        allocatable: { [GPU]: gpus },
      },
    });
  }

  /** Keeps the other conditions of the Node. */
  #setReady(status: "True" | "Unknown"): void {
    const object = this.#node();
    if (object === undefined) return;
    const { status: old } = object as { status?: { conditions?: { type: string }[] } };
    const others = (old?.conditions ?? []).filter(({ type }) => type !== "Ready");
    const reason = status === "True" ? "KubeletReady" : "NodeStatusUnknown";
    const conditions = [...others, { type: "Ready", status, reason }];
    const manager = status === "True" ? "kubelet" : "node-controller";
    const how = { manager, sub: "status" as const };
    this.#kube.person.edit("nodes", "", this.#name, { status: { conditions } }, how);
  }

  #doubtPods(): void {
    for (const object of this.#kube.list("pods")) {
      const pod = readPod(object);
      if (pod === null || pod.node !== this.#name) continue;
      const conditions = [{ type: "Ready", status: "False", reason: "NodeNotReady" }];
      const how = { manager: "node-controller", sub: "status" as const };
      const change = { status: { conditions } };
      this.#kube.person.edit("pods", pod.namespace, pod.name, change, how);
    }
  }
}

const KUBELET = { manager: "kubelet" };
