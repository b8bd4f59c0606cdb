/**
 * Indexes of the watched pods, updated with each change: by Node, because a drain reads a Node's
 * pods every second and a cluster has 150,000, and by address.
 */
import type { KubePod } from "../core/kubernetes/object.ts";

const NONE: ReadonlyMap<string, never> = new Map<string, never>();

/** Pods by Node. */
export class PodIndex<T extends Pick<KubePod, "uid" | "node"> = KubePod> {
  private readonly nodes = new Map<string, Map<string, T>>();

  /** One pod before and after a change; `null`: it did not, or does not, exist. */
  note(before: T | null, after: T | null): void {
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
  on(node: string): ReadonlyMap<string, T> {
    return this.nodes.get(node) ?? NONE;
  }
}

/**
 * Nodes by the address of a DaemonSet's pod: an agent in such a pod reports from the pod's address.
 * Other pods do not count: many people may start one on a Node of their choice.
 */
export class PodHosts {
  readonly #byAddress = new Map<string, Map<string, string>>();
  #view: ReadonlyMap<string, string> | null = null;

  /** Like `PodIndex.note`; true if an address moved. */
  note(before: KubePod | null, after: KubePod | null): boolean {
    const was = before?.ips ?? [];
    const is = after?.ips ?? [];
    const same = before?.uid === after?.uid && before?.node === after?.node;
    if (same && was.join() === is.join()) return false;
    for (const address of was) {
      const pods = this.#byAddress.get(address);
      if (before !== null) pods?.delete(before.uid);
      if (pods?.size === 0) this.#byAddress.delete(address);
    }
    for (const address of is) {
      if (after === null || after.node === "") continue;
      const pods = this.#byAddress.get(address) ?? new Map<string, string>();
      this.#byAddress.set(address, pods.set(after.uid, after.node));
    }
    const moved = was.length > 0 || is.length > 0;
    if (moved) this.#view = null;
    return moved;
  }

  /** Without addresses that pods on several Nodes have, as in separate networks. */
  byAddress(): ReadonlyMap<string, string> {
    if (this.#view !== null) return this.#view;
    const view = new Map<string, string>();
    for (const [address, pods] of this.#byAddress) {
      const nodes = new Set(pods.values());
      const [only] = nodes;
      if (nodes.size === 1 && only !== undefined) view.set(address, only);
    }
    this.#view = view;
    return view;
  }
}
