/**
 * The cluster under a story of AgentPools: an API server in memory, a scheduler and kubelets that
 * start pods, the collector of pods whose owner is gone, and an agent in each pod that runs. It
 * lives beside the control plane: a crash of the one is none of the other.
 */
import type { WorkerReport } from "../../../schema/agentpool.ts";
import type { NodeId } from "../../../schema/id.ts";
import { type FakeKube, openFakeKube } from "../../../simulator/cluster/fake.ts";
import type { KubeObject } from "../../../simulator/cluster/json.ts";
import { listOf, metaOf, nameOf, objectOf } from "../../../simulator/cluster/json.ts";
import { textOf, uidOf } from "../../../simulator/cluster/json.ts";
import type { KubeWrite } from "../../../simulator/cluster/world.ts";
import type { VirtualClock } from "../../../simulator/engine/clock.ts";
import type { Stream } from "../swarm/stream.ts";
import type { Autoscaler } from "./fault.ts";
import type { Leader } from "./plane.ts";

export const NAMESPACE = "default";
const GRACE_S = 30;

type Agent = {
  uid: string;
  joined: boolean;
  isBusyJoining: boolean;
  isDead: boolean;
  silentUntil: number;
  isFatal: boolean;
};

export class Ground {
  readonly kube: FakeKube;
  /** By name of the pod. */
  readonly agents = new Map<string, Agent>();
  cordonedUntil = 0;
  unpulledUntil = 0;
  private readonly clock: VirtualClock;
  private readonly r: Stream;
  /** When a pod runs, by UID. */
  private readonly starts = new Map<string, number>();
  private serial = 0;

  constructor(clock: VirtualClock, r: Stream, wrote: (write: KubeWrite) => void) {
    this.clock = clock;
    this.r = r;
    this.kube = openFakeKube({ clock, random: r.next, wrote });
  }

  get now(): number {
    return this.clock.monoMs();
  }

  pools(): KubeObject[] {
    return this.kube.list("agentpools", NAMESPACE);
  }

  pods(): KubeObject[] {
    return this.kube.list("pods", NAMESPACE);
  }

  applyPool(name: string, autoscaler: Autoscaler): boolean {
    if (this.kube.get("agentpools", NAMESPACE, name) !== undefined) return false;
    this.kube.seed("agentpools", {
      ...{ apiVersion: "velda.io/v1", kind: "AgentPool" },
      metadata: { name, namespace: NAMESPACE, generation: 1 },
      spec: {
        autoscaler,
        // Two pools may have equal labels.
        template: {
          metadata: { labels: { app: "agent" } },
          spec: {
            containers: [{ name: "agent", image: "agent:1" }],
            terminationGracePeriodSeconds: GRACE_S,
          },
        },
      },
    });
    return true;
  }

  editPool(name: string, patch: KubeObject): void {
    if (this.kube.get("agentpools", NAMESPACE, name) === undefined) return;
    this.kube.person.edit("agentpools", NAMESPACE, name, patch);
  }

  status(pod: KubeObject, status: KubeObject): void {
    const how = { manager: "kubelet", sub: "status" } as const;
    this.kube.person.edit("pods", NAMESPACE, nameOf(pod), { status }, how);
  }

  remove(pod: KubeObject, isAtOnce: boolean): void {
    if (isAtOnce) this.kube.cluster.setStopMs(NAMESPACE, nameOf(pod), 0);
    this.kube.person.remove("pods", NAMESPACE, nameOf(pod));
  }

  addStranger(owner: KubeObject | null): string {
    const name = `stranger-${(this.serial += 1)}`;
    const labels = { app: "agent", group: "velda-agent" };
    const owned = owner === null ? {} : { ownerReferences: [owner] };
    this.kube.seed("pods", {
      metadata: { name, namespace: NAMESPACE, labels, ...owned },
      spec: { containers: [{ name: "agent" }], nodeName: "node-1" },
    });
    return name;
  }

  /** Scheduler, kubelets and the collector of what no owner keeps. */
  tend(): void {
    const { now } = this;
    const owners = new Set(this.pools().map(uidOf));
    const pods = this.pods();
    for (const pod of pods) {
      const metadata = metaOf(pod);
      if (metadata["deletionTimestamp"] !== undefined) continue;
      const owner = ownerOf(pod);
      if (owner?.["kind"] === "AgentPool" && !owners.has(textOf(owner["uid"]))) {
        this.remove(pod, false);
        continue;
      }
      if (phaseOf(pod) === "" || phaseOf(pod) === "Pending") this.start(pod, now);
    }
    const live = new Set(pods.map(nameOf));
    for (const name of this.agents.keys()) if (!live.has(name)) this.agents.delete(name);
  }

  private start(pod: KubeObject, now: number): void {
    const uid = uidOf(pod);
    const isBound = textOf(objectOf(pod["spec"])["nodeName"]) !== "";
    if (!isBound && this.cordonedUntil > now) {
      const why = { reason: "Unschedulable", message: "0/3 nodes are available" };
      const conditions = [{ type: "PodScheduled", status: "False", ...why }];
      this.status(pod, { phase: "Pending", conditions });
      return;
    }
    if (!isBound) {
      const name = nameOf(pod);
      this.kube.person.edit("pods", NAMESPACE, name, { spec: { nodeName: "node-1" } });
      this.starts.set(uid, now + this.r.whole(0, 20) * 1_000);
    }
    if ((this.starts.get(uid) ?? 0) > now) {
      if (phaseOf(pod) === "") this.status(pod, { phase: "Pending", conditions: [] });
      return;
    }
    if (this.unpulledUntil > now) {
      const waiting = { reason: "ImagePullBackOff", message: "no such image" };
      const containerStatuses = [{ name: "agent", state: { waiting } }];
      this.status(pod, { phase: "Pending", conditions: [], containerStatuses });
    } else this.status(pod, { phase: "Running", conditions: [], containerStatuses: [] });
  }

  /** Each agent that is alive joins, or reports, and hears what it is told. */
  report(leader: Leader | null): void {
    const { now } = this;
    for (const pod of this.pods()) {
      const [name, uid] = [nameOf(pod), uidOf(pod)];
      if (phaseOf(pod) !== "Running" || ownerOf(pod)?.["kind"] !== "AgentPool") continue;
      let agent = this.agents.get(name);
      if (agent === undefined || agent.uid !== uid) {
        const fresh = { isDead: name.startsWith("stranger"), silentUntil: 0, isFatal: false };
        agent = { uid, joined: false, isBusyJoining: false, ...fresh };
        this.agents.set(name, agent);
      }
      if (leader === null || agent.isDead || agent.silentUntil > now) continue;
      if (agent.joined) hear(leader, name, uid, now);
      else this.join(leader, name, agent);
    }
  }

  private join({ actor }: Leader, name: string, agent: Agent): void {
    const { uid } = agent;
    void actor.desk.admit({ namespace: NAMESPACE, name, uid }, null).then((answer) => {
      agent.joined ||= answer.kind === "ok";
    });
  }
}

function hear({ actor, heard }: Leader, name: string, uid: string, now: number): void {
  heard.set(name, { at: now, uid });
  const word = actor.desk.wordOf(name as NodeId);
  let stop: WorkerReport["stop"] = "no";
  if (word?.stop === true) stop = word.claims > 0 ? "busy" : "stopped";
  actor.desk.heard(name as NodeId, { slots: null, stop, ignored: [] });
}

export const phaseOf = (pod: KubeObject): string => textOf(objectOf(pod["status"])["phase"]);

export const ownerOf = (pod: KubeObject): KubeObject | null => {
  const [owner] = listOf(metaOf(pod)["ownerReferences"]);
  return owner === undefined ? null : objectOf(owner);
};
