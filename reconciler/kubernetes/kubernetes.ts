/**
 * The scheduler port over Kubernetes: cordons, drains, status on Node objects, removal of Nodes
 * whose machine is gone, and the queue. Stale calls: a mark carries the UID and resource version
 * that it was decided from, and a deletion the UID, so the server refuses old ones. It cannot fence
 * an eviction, which therefore carries the pod's UID, is sent only within seconds of an activation
 * that wants it, and has a time limit of 7 s (docs/reference/safety.md#leadership).
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { DrainSight, QueueSight } from "../core/fleet.ts";
import type { Fence } from "../core/provider.ts";
import type { ClusterStatus, Join, PlanAnswer, PlanOptions } from "../core/kubernetes/scheduler.ts";
import type {
  QueuePool,
  Scheduler,
  SchedulerAnswer,
  SchedulerCluster,
} from "../core/kubernetes/scheduler.ts";
import type { ShownNode, DesiredState } from "../core/kubernetes/desired-state.ts";
import type { KubeApi } from "./api.ts";
import { Cleanup } from "./cleanup.ts";
import { type CordonAnswer, holdCordon, judgeMark, releaseCordon } from "./cordon.ts";
import { isAdrift, isNews, isOther, sessionOf } from "../core/kubernetes/mark.ts";
import { Drainers } from "./drainer.ts";
import { ClusterEvents } from "./cluster-event.ts";
import { Leaving, leavingOf } from "./leaving.ts";
import { type Limiter, roomOf } from "./limiter.ts";
import { briefly } from "./node-call.ts";
import { nameLabels, type NodeResources } from "../core/kubernetes/node-resource.ts";
import type { KubeNode, KubePod } from "../core/kubernetes/object.ts";
import { leftOver, leftPods, orphanedNames, withFormer } from "./orphaned.ts";
import { missingRules } from "./permission.ts";
import { PodHolds } from "./pod-hold.ts";
import { PodHosts, PodIndex } from "./pod-index.ts";
import { type CountedQueues, queueOf, showQueue } from "./pod-queue.ts";
import { readNode } from "./read-node.ts";
import { isWorkload, podReader } from "./read-pod.ts";
import { withAllocatable, withUses } from "./read-use.ts";
import { darkCopy, Reflector, STALE_MS } from "./reflector.ts";
import { viewResources } from "./resource-watch.ts";
import { SlurmPods } from "./slurm-pods.ts";
import { StatusMirror } from "./status-mirror.ts";
import type { DesiredStatus } from "./status-diff.ts";
import { desiredStatusOf } from "./desired-status.ts";
import { reviewPodToken } from "./token-review.ts";

export type KubernetesPorts = {
  api: KubeApi;
  limiter: Pick<Limiter, "status">;
  /** For display: the server's address and this process's name. */
  server: string;
  instance: string;
  config: KubernetesConfig;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Lets a machine join the cluster; `null`: none can. */
  join: Join | null;
  /** Called for each mark of a session, once the server has acknowledged it. */
  marked: (node: string) => void;
};

type Hands = {
  drainers: Drainers;
  status: StatusMirror;
  events: ClusterEvents;
  cleanup: Cleanup;
  leaving: Leaving;
};

type Bound = Pick<ShownNode, "name" | "uid" | "pool" | "formerNames">;

export class Kubernetes implements Scheduler {
  readonly name = "kubernetes";
  readonly cluster: SchedulerCluster;
  readonly #ports: KubernetesPorts;
  readonly #nodes: Reflector<KubeNode>;
  readonly #pods: Reflector<KubePod>;
  readonly #podsOn = new PodIndex();
  readonly #hosts = new PodHosts();
  readonly #holds = new PodHolds();
  readonly #slurm: SlurmPods;
  /** Created for each leadership term. */
  #hands: Hands;
  /** The object of each node, as of the last activation. */
  #bound = new Map<string, Bound>();
  /** Former object names that are gone, by node. */
  #orphaned: ReadonlyMap<string, string> = new Map();
  /** Count changes that the reconciler observes, and those that affect matching. */
  #news = 0;
  #identity = 0;
  /** `tend` ran in this leadership term. */
  #tended = false;
  #desired = new WeakMap<ShownNode, { object: KubeNode; desired: DesiredStatus }>();
  #draining: ReadonlySet<string> = new Set();
  #list: { version: number; nodes: readonly KubeNode[] } = { version: -1, nodes: [] };
  #queues: CountedQueues | null = null;
  #wakeUp: () => void = () => undefined;
  /** Only the leader does: a standby would show an old copy. */
  #looks = false;

  constructor(ports: KubernetesPorts) {
    this.#ports = ports;
    const { api, clock, random, log } = ports;
    const { nodeResources, slinky } = ports.config;
    this.#slurm = new SlurmPods(ports.config);
    this.#nodes = new Reflector<KubeNode>({
      ...{ api, clock, random, log, path: "/api/v1/nodes", query: {} },
      read: withAllocatable(readNode, nodeResources),
      changed: (before, after) => {
        if (isOther(before, after)) this.#identity += 1;
        if (!isNews(before, after)) return;
        this.#news += 1;
        this.#wakeUp();
      },
    });
    this.#pods = new Reflector<KubePod>({
      ...{ api, clock, random, log, path: "/api/v1/pods", query: {} },
      read: withUses(podReader(slinky !== false), nodeResources),
      changed: (before, after) => this.#podChanged(before, after),
    });
    this.#hands = this.#openHands();
    this.cluster = this.#openCluster();
  }

  #podChanged(before: KubePod | null, after: KubePod | null): void {
    this.#podsOn.note(before, after);
    this.#holds.note(before, after);
    this.#slurm.note(before, after);
    if (this.#hosts.note(before, after)) {
      this.#identity += 1;
      this.#news += 1;
      this.#wakeUp();
    }
    if (this.#draining.has(after?.node ?? before?.node ?? "")) this.#wakeUp();
  }

  #openHands(): Hands {
    const { api, clock, random, log, instance, config } = this.#ports;
    const common = { api, clock, random, log, slinky: config.slinky !== false };
    const drainers = new Drainers({
      ...common,
      pods: {
        byNode: (name) => this.#podsOn.on(name).values(),
        ageMs: () => this.#pods.ageMs(),
        synced: () => this.#pods.synced(),
      },
      wakeUp: () => this.#wakeUp(),
      tell: (event) => this.#hands.events.drain(event),
      tellPod: (event) => this.#hands.events.pod(event),
      room: () => roomOf(this.#ports.limiter.status()),
    });
    const events = new ClusterEvents(common, instance, (node) => this.#bound.get(node));
    return {
      drainers,
      status: new StatusMirror({
        ...common,
        contested: (one) => events.contested(one),
        removed: (one) => events.removed(one),
      }),
      events,
      cleanup: new Cleanup(common),
      leaving: new Leaving(common),
    };
  }

  async cordon(node: string, why: string, fence: Fence, again = false): Promise<SchedulerAnswer> {
    if (!this.#ports.config.mirror.cordon) return { kind: "ok" };
    const bound = this.#bound.get(node);
    if (bound === undefined) return this.#unbound();
    const { name, uid, pool } = bound;
    const session = sessionOf(fence);
    const slurm = this.#slurm.cordon(this.#podsOn.on(name).values(), fence, why);
    const options = { session, why, pool, again, cached: this.#nodes.get(name), ...slurm };
    const answer = await holdCordon(briefly(this.#ports), name, uid, options);
    if (answer.kind === "held" && fence.sessionId !== null) this.#ports.marked(node);
    return this.#judge(answer, uid);
  }

  /** Also with `mirror.cordon: false`: earlier marks must be removed. */
  async uncordon(node: string, _why: string, _fence: Fence): Promise<SchedulerAnswer> {
    const bound = this.#bound.get(node);
    if (bound === undefined) return this.#unbound();
    const { name, uid, pool } = bound;
    const options = { pool, cached: this.#nodes.get(name) };
    return this.#judge(await releaseCordon(briefly(this.#ports), name, uid, options), uid);
  }

  /** Every activation passes all drains to `tend`. */
  async drain(): Promise<SchedulerAnswer> {
    return { kind: "ok" };
  }

  left(node: string): DrainSight | null {
    if (!this.#ports.config.mirror.drain) return null;
    const bound = this.#bound.get(node);
    if (bound === undefined) {
      // Matches are unknown before the first activation. An agent's list of GPU processes must not
      // make a node count as empty: not all work of a pod uses a GPU.
      if (!this.#tended) return { kind: "dark", message: "the cluster has not been observed yet" };
      return this.#leftOfOrphaned(node);
    }
    const names = bound.formerNames.filter((name) => this.#nodes.get(name) === undefined);
    return withFormer(this.#leftOn(node, bound.name), names, (name) => this.#working(name));
  }

  #working(name: string): number {
    let working = 0;
    for (const pod of this.#podsOn.on(name).values()) if (isWorkload(pod)) working++;
    return working;
  }

  /**
   * Removing a Node object ends no pod: pods bound to the name count until the cluster ends them.
   * `null`: the agent's report decides.
   */
  #leftOfOrphaned(node: string): DrainSight | null {
    const name = this.#orphaned.get(node);
    if (name === undefined) return null;
    const left = this.#leftOn(node, name);
    return left.kind === "empty" ? null : left;
  }

  #leftOn(node: string, name: string): DrainSight {
    if (this.#draining.has(name)) return this.#hands.drainers.left(node as NodeId);
    const dark = this.#dark();
    if (dark !== null) return { kind: "dark", message: dark };
    const working = this.#working(name);
    if (working > 0) return { kind: "busy", remaining: working, message: leftPods(working) };
    // A watch shows no pod; a drain needs a list as proof.
    return { kind: "empty", seenAt: 0 };
  }

  /** A node outside the cluster has no mark there; before the first list this is unknown. */
  #unbound(): SchedulerAnswer {
    if (this.#nodes.synced() || this.#isForbidden()) {
      return { kind: "ok", message: "it has no object in Kubernetes" };
    }
    return { kind: "ambiguous", message: "the cluster's nodes are not known yet" };
  }

  #judge(answer: CordonAnswer, uid: string): SchedulerAnswer {
    if ("object" in answer) this.#nodes.ingest(answer.object);
    return judgeMark(answer, uid);
  }

  #openCluster(): SchedulerCluster {
    return {
      objects: () => this.#objects(),
      dark: () => this.#dark(),
      sight: (ambiguous) => ({
        dark: this.#dark(),
        known: this.#nodes.synced() && this.#pods.synced(),
        forbidden: this.#isForbidden(),
        mirrorsCordon: this.#ports.config.mirror.cordon,
        ambiguous,
      }),
      queue: (pool, pools) => this.#queue(pool, pools),
      resources: () => this.#resources(),
      knows: (node) =>
        !this.#ports.config.mirror.drain || this.#bound.has(node) || this.#orphaned.has(node),
      stays: (uid) => this.#stays(uid),
      tend: (desired) => this.#tend(desired),
      tell: (change) => this.#hands.events.change(change),
      start: (wakeUp) => {
        this.#wakeUp = wakeUp;
        this.#looks = true;
        this.#hands = this.#openHands();
        this.#nodes.start();
        this.#pods.start();
      },
      stop: () => {
        this.#wakeUp = () => undefined;
        this.#looks = false;
        this.#nodes.stop();
        this.#pods.stop();
        this.#hands.drainers.tend([]);
        this.#hands.cleanup.close();
        this.#hands.events.close();
        this.#hands.leaving.close();
        this.#hands.status.close();
        this.#bound = new Map();
        this.#tended = false;
      },
      plan: (node, options) => this.#plan(node, options),
      status: () => this.#status(),
      join: this.#ports.join,
      review: (token) => reviewPodToken(this.#ports.api, token, this.#ports.config.agentAccount),
      missing: (joins = false, pods = null) => missingRules(this.#ports.api, joins, pods),
    };
  }

  #objects(): ReturnType<SchedulerCluster["objects"]> {
    const { version } = this.#nodes;
    if (this.#list.version !== version) {
      this.#list = { version, nodes: [...this.#nodes.values()] };
    }
    const known = this.#nodes.synced();
    const { nodes: list } = this.#list;
    const hosts = this.#hosts.byAddress();
    return { version: this.#news, identity: this.#identity, known, list, hosts };
  }

  #dark(): string | null {
    return darkCopy("nodes", this.#nodes) ?? darkCopy("pods", this.#pods);
  }

  /** `enabled: auto` found the cluster, and it grants Navarch no permission. */
  #isForbidden(): boolean {
    const { enabled } = this.#ports.config;
    return enabled === "auto" && !this.#nodes.synced() && this.#nodes.forbidden;
  }

  #queue(pool: PoolName, pools: readonly QueuePool[]): QueueSight | null {
    if (!this.#pods.synced()) return null;
    const { version } = this.#pods;
    if (this.#queues?.version !== version || this.#queues.pools !== pools) {
      const byPool = queueOf(this.#pods.values(), this.#ports.config.podLabel, pools);
      this.#queues = { version, pools, byPool };
    }
    // An open watch is current between two bookmarks: the queue of a quiet minute is known.
    const ageMs = this.#pods.ageMs();
    const isOpen = this.#pods.problem === null && ageMs <= STALE_MS;
    const observedAt = this.#ports.clock.wallMs() - (isOpen ? 0 : ageMs);
    return showQueue(this.#queues.byPool.get(pool), observedAt);
  }

  #resources(): NodeResources | null {
    const { enabled, resources, labels } = this.#ports.config.nodeResources;
    if (!enabled || !this.#looks) return null;
    const named = nameLabels(labels);
    const copies = { nodes: this.#nodes, pods: this.#pods, podsOn: this.#podsOn };
    return viewResources({ ...copies, resources, labels: named.ok ? named.labels : [] });
  }

  #tend(desired: DesiredState): void {
    const { config } = this.#ports;
    this.#bound = new Map<string, Bound>(desired.shown.map((one) => [one.node, one]));
    this.#orphaned = orphanedNames(desired, (name) => this.#nodes.get(name)?.uid);
    this.#tended = true;
    const isHere = (node: string): boolean => this.#bound.has(node) || this.#orphaned.has(node);
    const drains = desired.drains
      .filter(({ node }) => isHere(node))
      .map((one) => ({
        ...one,
        unreachable: one.unreachable && isAdrift(this.#nodes.get(one.name)),
        orphaned: this.#orphaned.has(one.node),
      }));
    this.#draining = new Set(drains.map(({ name }) => name));
    this.#hands.drainers.tend(config.mirror.drain ? drains : []);
    if (this.#dark() !== null) return;
    this.#holds.tend(desired.shown, (event) => this.#hands.events.pod(event));
    const statuses: DesiredStatus[] = [];
    for (const shown of desired.shown) {
      const object = this.#nodes.get(shown.name);
      if (object?.uid !== shown.uid) continue;
      statuses.push(this.#desiredStatusOf(shown, object, desired.fleet));
    }
    const leaving = leavingOf(desired, (name) => this.#nodes.get(name));
    const former = leaving.map(({ object }) => object);
    this.#hands.status.tend(statuses, former);
    this.#hands.leaving.tend(leaving);
    if (config.mirror.deleteNode) this.#hands.cleanup.tend(leftOver(desired));
  }

  #desiredStatusOf(shown: ShownNode, object: KubeNode, fleet: string): DesiredStatus {
    const known = this.#desired.get(shown);
    if (known !== undefined && known.object === object) return known.desired;
    const desired = desiredStatusOf(shown, object, this.#ports.config.mirror, fleet);
    this.#desired.set(shown, { object, desired });
    return desired;
  }

  #stays(uid: string): string | null {
    if (this.#ports.config.mirror.deleteNode) return this.#hands.cleanup.reason(uid);
    return "kubernetes.mirror.delete_node is false, so Navarch does not delete it";
  }

  async #plan(node: { name: string }, options: PlanOptions): Promise<PlanAnswer> {
    return this.#hands.drainers.plan(node.name, { ...options, mode: "evict" });
  }

  #status(): ClusterStatus {
    const ageMs = Math.max(this.#nodes.ageMs(), this.#pods.ageMs());
    const copies = [this.#nodes, this.#pods];
    return {
      server: this.#ports.server,
      nodes: this.#nodes.size,
      pods: this.#pods.size,
      ageMs: Number.isFinite(ageMs) ? ageMs : null,
      writesPerSecond: this.#ports.limiter.status().perSecond,
      draining: this.#draining.size,
      forbidden: copies.flatMap((one) => (one.forbidden ? (one.problem ?? []) : [])),
      blocked: this.#hands.drainers.blocked(),
      unshown: this.#hands.status.troubles(),
      doubts: [
        ...this.#hands.cleanup.doubts(),
        ...this.#hands.cleanup.troubles(),
        ...this.#hands.leaving.troubles(),
      ],
      ignoredHolds: this.#holds.lines(),
    };
  }
}
