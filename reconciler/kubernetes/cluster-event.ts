/**
 * Maps the product's own events and its drains to Kubernetes Events, and to their objects.
 */
import type { EventDraft, EventKind } from "../../schema/event.ts";
import type { Log } from "../core/clock.ts";
import type { Change } from "../core/store.ts";
import type { DrainEvent, PodEvent } from "./drain-sight.ts";
import { KubeEvents } from "./kube-event.ts";
import type { NodePorts } from "./node-call.ts";
import type { StatusNote } from "./status-mirror.ts";

export type EventText = {
  reason: string;
  action: string;
  note: string;
  type: "Normal" | "Warning";
};

/** Reason (what was seen or done), action (the part of the product) and type. */
const REASON: Partial<Record<EventKind, readonly [string, string, EventText["type"]]>> = {
  "node.unhealthy": ["GPUUnhealthy", "Watch", "Warning"],
  "node.suspect": ["GPUSuspect", "Watch", "Warning"],
  "node.silent": ["AgentSilent", "Watch", "Warning"],
  "node.cordoned": ["Cordoned", "Isolate", "Normal"],
  "node.uncordoned": ["Uncordoned", "Isolate", "Normal"],
  "node.draining": ["Draining", "Drain", "Normal"],
  "node.drained": ["Drained", "Drain", "Normal"],
  "node.repairing": ["Repairing", "Repair", "Normal"],
  "node.terminating": ["Terminating", "Replace", "Normal"],
  "node.recovered": ["Recovered", "Watch", "Normal"],
  "node.held": ["Held", "Hold", "Warning"],
  "kube.not_ready": ["NotReadyBesideAgent", "Watch", "Warning"],
  "kube.ready": ["ReadyAgain", "Watch", "Normal"],
  "kube.refused": ["CordonRefused", "Isolate", "Warning"],
  "kube.hold": ["HoldSeen", "Hold", "Normal"],
  "kube.hold_unclear": ["HoldUnclear", "Hold", "Warning"],
  "kube.uncordoned_broken": ["BrokenNodeUncordoned", "Isolate", "Warning"],
  "kube.uncordon_loop": ["UncordonLoop", "Isolate", "Warning"],
  "kube.uncordoned": ["UncordonSeen", "Isolate", "Normal"],
};

/** `null`: not shown on the object. */
export function eventOf({ kind, message, emptied }: EventDraft): EventText | null {
  // "Drained" means that the node is empty; work that was cut off is a warning.
  if (kind === "node.drained" && emptied !== true) {
    return { reason: "DrainIncomplete", action: "Drain", type: "Warning", note: message };
  }
  const known = REASON[kind];
  if (known === undefined) return null;
  const [reason, action, type] = known;
  return { reason, action, type, note: message };
}

/** Log lines; their `reason` is the event's text. */
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
  /** Separate, so that thousands of pods do not displace events on Nodes. */
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

  /** Reports a committed change; events without an object are left out. */
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
    // `related` is immutable, and a group's pods may change with its next text.
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

  /** Another client removes our values repeatedly. */
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
