/**
 * How the loop looks at a Kubernetes cluster: what of it is news for the fold, and who cannot be
 * told apart in it. Memory of one process; the next one looks for itself.
 */
import type { KubernetesConfig } from "../schema/config.ts";
import type { NodeId } from "../schema/id.ts";
import type { Log } from "./clock.ts";
import type { Cluster } from "./fold/cluster.ts";
import type { FoldResult } from "./fold/everything.ts";
import type { SchedulerCluster } from "./scheduler/scheduler.ts";
import type { Change } from "./store/store.ts";

export class ClusterEye {
  private readonly cluster: SchedulerCluster | undefined;
  private readonly log: Log;
  private version = -1;
  private fleetMoved = true;
  private found: NonNullable<FoldResult["ambiguous"]> = { nodes: new Map(), alarms: [] };

  constructor(cluster: SchedulerCluster | undefined, log: Log) {
    this.cluster = cluster;
    this.log = log;
  }

  /** Told of each committed change of the fleet. */
  told(change: Change): void {
    if (change.nodes.length > 0 || change.removedNodes.length > 0) this.fleetMoved = true;
    this.cluster?.tell(change);
  }

  /** The cluster as it is, if it or the fleet has changed since it was last folded. */
  news({ onUncordon }: KubernetesConfig): Cluster | null {
    if (this.cluster === undefined) return null;
    const { version, known, list } = this.cluster.objects();
    // A gap is stale, not empty: what is old says nothing about who is gone.
    if (!known || this.cluster.dark() !== null) return null;
    if (version === this.version && !this.fleetMoved) return null;
    this.version = version;
    this.fleetMoved = false;
    return { objects: list, onUncordon };
  }

  note(found: FoldResult["ambiguous"]): void {
    if (found === null) return;
    for (const message of found.alarms) {
      if (!this.found.alarms.includes(message)) this.log("error", message);
    }
    this.found = found;
  }

  ambiguous(): ReadonlyMap<NodeId, string> {
    return this.found.nodes;
  }

  /** What cannot be told apart, for people. */
  alarms(): readonly string[] {
    return this.found.alarms;
  }
}
