/**
 * Which Event objects the product's own record and its drains become, and on which object.
 */
import type { Log } from "../core/clock.ts";
import type { Change } from "../core/store.ts";
import type { DrainEvent, PodEvent } from "./drain-sight.ts";
import { eventOf } from "./event-text.ts";
import { KubeEvents } from "./kube-event.ts";
import type { NodePorts } from "./node-call.ts";
import type { StatusNote } from "./status-mirror.ts";

/** As the log says it; the reason is the event's text. */
const DRAIN_WORDS: Record<DrainEvent["reason"], string> = {
  DrainWaitsForBudget: "drain waits for a disruption budget",
  DrainSeveralBudgets: "drain blocked by several disruption budgets",
  DrainBudgetBehind: "drain waits for the disruption controller",
  DrainBlocked: "drain blocked",
  DrainRefused: "eviction refused",
  DrainFailing: "evictions fail",
  DrainStuck: "pod stuck in deletion",
  DrainDeadline: "pod deleted at the drain's deadline",
};

/** The Node object of a node, as it is matched now. */
type Bound = { name: string; uid: string; pool: string | null };

export class ClusterEvents {
  readonly #onNodes: KubeEvents;
  /** Apart, so that thousands of pods do not displace what is reported on Nodes. */
  readonly #onPods: KubeEvents;
  readonly #boundOf: (node: string) => Bound | undefined;
  readonly #log: Log;

  constructor(
    ports: NodePorts & { log: Log },
    instance: string,
    boundOf: (node: string) => Bound | undefined,
  ) {
    this.#onNodes = new KubeEvents(ports, instance);
    this.#onPods = new KubeEvents(ports, instance);
    this.#boundOf = boundOf;
    this.#log = ports.log;
  }

  /** Of each committed change, what is worth an Event; events of no object are left out. */
  change({ events }: Change): void {
    for (const event of events) {
      const bound = event.node === null ? undefined : this.#boundOf(event.node);
      const told = bound === undefined ? null : eventOf(event);
      if (bound === undefined || told === null) continue;
      this.#onNodes.tell({ ...told, name: bound.name, uid: bound.uid, pool: bound.pool });
    }
  }

  drain({ node, name, uid, reason, message, pod, key, isNew }: DrainEvent): void {
    const pool = this.#boundOf(node)?.pool ?? null;
    const about = { event: reason, node, kube_node: name, reason: message };
    if (isNew) this.#log("warn", DRAIN_WORDS[reason], about);
    // A group of pods may be another one by the next text, and `related` cannot change.
    const isAboutPod = pod !== null && key === pod.uid;
    const related = isAboutPod ? { related: { kind: "Pod" as const, ...pod } } : {};
    this.#onNodes.tell({
      ...{ name, uid, pool, type: "Warning", reason, action: "Drain", note: message },
      ...{ about: key, ...related },
    });
  }

  pod({ node, name, uid, pod, reason, message }: PodEvent): void {
    this.#onPods.tell({
      ...pod,
      pool: this.#boundOf(node)?.pool ?? null,
      type: reason === "Evicted" ? "Normal" : "Warning",
      reason,
      action: reason === "HoldIgnored" ? "Hold" : "Drain",
      note: message,
      related: { kind: "Node", namespace: null, name, uid },
    });
  }

  /** What is shown on a Node is taken away again and again. */
  contested(one: StatusNote): void {
    this.#onNodes.tell({ ...one, type: "Warning", reason: "Contested", action: "Show" });
  }

  /** Another client's value under one of our names was removed. */
  removed(one: StatusNote): void {
    this.#onNodes.tell({ ...one, type: "Warning", reason: "TaintRemoved", action: "Show" });
  }

  close(): void {
    this.#onNodes.close();
    this.#onPods.close();
  }
}
