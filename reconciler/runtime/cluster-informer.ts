/**
 * The loop's view of a Kubernetes cluster: changes for the fold, and ambiguous matches. Memory
 * only, because a new process observes for itself.
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Permit } from "./act/run.ts";
import type { Log } from "../core/clock.ts";
import { type Cluster, identityKeyOf, type Known } from "../core/fold/cluster.ts";
import type { SchedulerCluster } from "../core/kubernetes/scheduler.ts";
import type { DesiredState } from "../core/kubernetes/desired-state.ts";
import type { Change } from "../core/store.ts";

/** Claims that are listed for people. */
const CLAIMS_MAX = 100;

export class ClusterInformer {
  private readonly cluster: SchedulerCluster | null;
  private readonly log: Log;
  /** Versions of the objects and of their identities, as last folded. */
  private seen = { version: -1, identity: -1 };
  private fleetMoved = true;
  /** Identities of nodes as last committed; only a change of these needs a new match. */
  private readonly keys = new Map<NodeId, string>();
  private known: Known | null = null;
  private doubted: Known["doubted"] = new Map();
  private unbound: Known["unbound"] = new Map();
  private alarmed: readonly string[] = [];
  /** Monotonic; `null` = the cluster is not seen. */
  private watchedSince: number | null = null;

  constructor(cluster: SchedulerCluster | null, log: Log) {
    this.cluster = cluster;
    this.log = log;
  }

  /** Called after each committed change of the fleet. */
  told(change: Change): void {
    if (this.cluster === null) return;
    if (change.nodes.length > 0 || change.removedNodes.length > 0) this.fleetMoved = true;
    for (const id of change.removedNodes) if (this.keys.delete(id)) this.known = null;
    for (const node of change.nodes) {
      const key = identityKeyOf(node);
      if (this.keys.get(node.id) === key) continue;
      this.keys.set(node.id, key);
      this.known = null;
    }
    this.cluster.tell(change);
  }

  /** The last fold may not have been written, so everything is folded again. */
  doubt(): void {
    this.seen = { version: -1, identity: -1 };
    this.known = null;
  }

  /** The cluster, if it or the fleet has changed since the last fold. */
  news({ onUncordon }: KubernetesConfig, fleet: string): Cluster | null {
    if (this.cluster === null) return null;
    const { version, identity, known, list, hosts } = this.cluster.objects();
    // A stale list does not prove that an object is gone.
    if (!known || this.cluster.dark() !== null) return null;
    if (version === this.seen.version && !this.fleetMoved) return null;
    if (identity !== this.seen.identity) this.known = null;
    this.seen = { version, identity };
    this.fleetMoved = false;
    const { known: same, unbound } = this;
    return { objects: list, ...(hosts ? { hosts } : {}), known: same, fleet, unbound, onUncordon };
  }

  /** For how long the cluster has been seen without a break. Called by each activation. */
  watchedMs(mono: number): number {
    const isSeen = this.cluster?.dark() === null && this.cluster.objects().known;
    this.watchedSince = isSeen ? (this.watchedSince ?? mono) : null;
    return mono - (this.watchedSince ?? mono);
  }

  /** Called before the fold's change is committed, whose new identities then count. */
  note(known: Known | null): void {
    if (known === null) return;
    for (const message of known.alarms) {
      if (!this.alarmed.includes(message)) this.log("error", message);
    }
    this.alarmed = known.alarms;
    this.unbound = known.unbound;
    this.doubted = known.doubted;
    this.known = known;
  }

  /** A former leader that wakes up must not publish a desired state. */
  tend(desired: () => DesiredState, permit: Permit): void {
    if (this.cluster === null || !permit.leads()) return;
    this.cluster.tend(desired());
  }

  ambiguous(): ReadonlyMap<NodeId, string> {
    return this.doubted;
  }

  /** Nodes that claim an object without a proof: their faults are not shown in Kubernetes. */
  unproven(): Known["unbound"] {
    return this.unbound;
  }

  /** Ambiguous objects and claims without a proof, for people. */
  alarms(): readonly string[] {
    const claims = [...this.unbound].slice(0, CLAIMS_MAX);
    return [...this.alarmed, ...claims.map(([node, message]) => `${node}: ${message}`)];
  }
}
