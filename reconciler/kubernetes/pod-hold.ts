/**
 * Warns, on the pod and in `doctor`, of pods with `navarch.dev/hold`, which has an effect only on a
 * Node: a pod's owner cannot keep a broken machine. `navarch.dev/drain` and
 * `navarch.dev/do-not-interrupt-until` on the pod are honoured until the drain's deadline.
 * Memory of one process.
 */
import type { ShownNode } from "../core/kubernetes/desired-state.ts";
import type { PodEvent } from "./drain-sight.ts";
import { readHold } from "../core/kubernetes/hold.ts";
import { ANNOTATION, type KubePod } from "../core/kubernetes/object.ts";
import { isOver } from "./read-pod.ts";

/** Reports in one activation; the rest follows in the next ones. */
const REPORTS_MAX = 20;
const LINES_MAX = 20;

type Host = Pick<ShownNode, "node" | "name" | "uid">;

export class PodHolds {
  readonly #held = new Map<string, KubePod>();
  /** By UID of the pod, the Node for which it was reported. */
  readonly #reported = new Map<string, string>();
  #lines: string[] = [];

  /** One pod before and after a change; `null`: it did not, or does not, exist. */
  note(before: KubePod | null, after: KubePod | null): void {
    if (before !== null && before.uid !== after?.uid) this.#forget(before.uid);
    if (after === null) return;
    if (after.node !== "" && !isOver(after.phase) && readHold(after).held) {
      this.#held.set(after.uid, after);
    } else this.#forget(after.uid);
  }

  /** Reports the pods on these Nodes, each once. */
  tend(hosts: readonly Host[], tell: (event: PodEvent) => void): void {
    this.#lines = [];
    if (this.#held.size === 0) return;
    const byName = new Map(hosts.map((host) => [host.name, host]));
    let reports = 0;
    for (const { namespace, name, uid, node } of this.#held.values()) {
      const host = byName.get(node);
      if (host === undefined) continue;
      const message = formatIgnored(`${namespace}/${name}`, node);
      if (this.#lines.length < LINES_MAX) this.#lines.push(message);
      if (this.#reported.get(uid) === host.uid || reports === REPORTS_MAX) continue;
      reports += 1;
      this.#reported.set(uid, host.uid);
      const about = { node: host.node, name: host.name, uid: host.uid };
      tell({ ...about, pod: { namespace, name, uid }, reason: "HoldIgnored", message });
    }
  }

  /** For `doctor`, a line each. */
  lines(): readonly string[] {
    return this.#lines;
  }

  #forget(uid: string): void {
    this.#held.delete(uid);
    this.#reported.delete(uid);
  }
}

function formatIgnored(pod: string, node: string): string {
  const what = `${ANNOTATION.hold} on pod ${pod} has no effect: it counts on the Node alone`;
  return `${what}. To hold the Node: kubectl annotate node ${node} ${ANNOTATION.hold}=true`;
}
