/**
 * How the loop looks at a Kubernetes cluster: what of it is news for the fold, and who cannot be
 * told apart in it. Memory of one process; the next one looks for itself.
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Permit } from "./act/run.ts";
import type { Log } from "../core/clock.ts";
import { type Cluster, identityKeyOf, type Known } from "../core/fold/cluster.ts";
import type { SchedulerCluster } from "../core/scheduler.ts";
import type { DesiredState } from "../core/desired-state.ts";
import type { Change } from "../core/store.ts";

/** Lines for a person; one says as much as a thousand of its kind. */
const CLAIMS_MAX = 100;

export class ClusterInformer {
  private readonly cluster: SchedulerCluster | null;
  private readonly log: Log;
  /** Of the objects, and of what tells them apart, as last folded. */
  private seen = { version: -1, identity: -1 };
  private fleetMoved = true;
  /** Identities of nodes as last told: matching thousands again is worth it only for these. */
  private readonly keys = new Map<NodeId, string>();
  private known: Known | null = null;
  private doubted: Known["doubted"] = new Map();
  private unbound: Known["unbound"] = new Map();
  private alarmed: readonly string[] = [];

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

  /** What was folded may not have been written: all of it is news once more. */
  doubt(): void {
    this.seen = { version: -1, identity: -1 };
    this.known = null;
  }

  /** The cluster as it is, if it or the fleet has changed since it was last folded. */
  news({ onUncordon }: KubernetesConfig, fleet: string): Cluster | null {
    if (this.cluster === null) return null;
    const { version, identity, known, list, hosts } = this.cluster.objects();
    // A gap is stale, not empty: what is old says nothing about who is gone.
    if (!known || this.cluster.dark() !== null) return null;
    if (version === this.seen.version && !this.fleetMoved) return null;
    if (identity !== this.seen.identity) this.known = null;
    this.seen = { version, identity };
    this.fleetMoved = false;
    const { known: same, unbound } = this;
    return { objects: list, ...(hosts ? { hosts } : {}), known: same, fleet, unbound, onUncordon };
  }

  /** Before the fold's change is committed: what that tells of identities then counts. */
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

  /** A process that woke up and is no longer the leader must not publish a desired state. */
  tend(desired: () => DesiredState, permit: Permit): void {
    if (this.cluster === null || !permit.leads()) return;
    this.cluster.tend(desired());
  }

  ambiguous(): ReadonlyMap<NodeId, string> {
    return this.doubted;
  }

  /** Nodes that name an object without a proof: no fault of theirs is shown in Kubernetes. */
  unproven(): Known["unbound"] {
    return this.unbound;
  }

  /** Objects that several nodes claim, and claims without a proof, for people. */
  alarms(): readonly string[] {
    const claims = [...this.unbound].slice(0, CLAIMS_MAX);
    return [...this.alarmed, ...claims.map(([node, message]) => `${node}: ${message}`)];
  }
}
