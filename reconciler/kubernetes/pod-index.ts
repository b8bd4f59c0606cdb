/**
 * The pods of each node, kept up to date by what a watch changes: a drain asks for them every
 * second, and a cluster has 150,000.
 */
import type { KubePod } from "../core/kubernetes/object.ts";

const NONE: ReadonlyMap<string, KubePod> = new Map();

export class PodIndex {
  private readonly nodes = new Map<string, Map<string, KubePod>>();

  /** One pod before and after a change; `null` = it was, or is, not there. */
  note(before: KubePod | null, after: KubePod | null): void {
    if (before !== null && (before.uid !== after?.uid || before.node !== after.node)) {
      const pods = this.nodes.get(before.node);
      pods?.delete(before.uid);
      if (pods?.size === 0) this.nodes.delete(before.node);
    }
    if (after === null || after.node === "") return;
    const pods = this.nodes.get(after.node);
    if (pods === undefined) this.nodes.set(after.node, new Map([[after.uid, after]]));
    else pods.set(after.uid, after);
  }

  /** Pods bound to the node, by UID. */
  on(node: string): ReadonlyMap<string, KubePod> {
    return this.nodes.get(node) ?? NONE;
  }
}
