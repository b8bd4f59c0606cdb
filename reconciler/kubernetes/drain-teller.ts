/**
 * Reports drains as Events: on the Node, what blocks the drain and what was deleted at its
 * deadline; on each pod, for its owner, that it was evicted, cannot be evicted or was deleted.
 * Reports new and changed texts; `kube-event.ts` limits how often they are sent.
 */
import type { How } from "./drain-ask.ts";
import type { Cut } from "./drain-end.ts";
import { formatForPod, formatGroup } from "./drain-sight.ts";
import type { DrainEvent, DrainGroup, PodEvent, PodNote } from "./drain-sight.ts";
import type { NodeDrain } from "./node-drain.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

export type DrainListener = {
  tell(event: DrainEvent): void;
  /** For the owner of one pod. */
  tellPod(event: PodEvent): void;
};

/** Pods of one group that get an event of their own; a kubelet runs 110 at most by default. */
const POD_EVENTS_MAX = 110;

export class DrainTeller {
  private readonly to: DrainListener;

  constructor(to: DrainListener) {
    this.to = to;
  }

  groups(drain: NodeDrain, groups: readonly DrainGroup[], now: number): void {
    const open = new Set<string>();
    for (const group of groups) {
      this.owners(drain, group, open, now);
      const soonest = group.pods.toSorted((a, b) => b.graceMs - a.graceMs)[0];
      if (group.reason === null || soonest === undefined) continue;
      const key = `${group.reason} ${group.key}`;
      // Pods with the longest grace period are deleted first.
      const message = formatGroup(group, drain.endFor(soonest, now));
      const [first] = group.pods;
      const isOne = group.isNamed && group.pods.length === 1 && first !== undefined;
      const before = drain.reported.get(key);
      open.add(key);
      if (before !== message) {
        drain.reported.set(key, message);
        const pod = isOne ? refOf(first) : null;
        const isNew = before === undefined;
        this.tell(drain, group.reason, { message, pod, key: group.key, isNew });
      }
    }
    for (const key of drain.reported.keys()) if (!open.has(key)) drain.reported.delete(key);
  }

  /** The server has begun to delete the pod. */
  begun(drain: NodeDrain, pod: KubePod, how: How, cut: Cut | null, now: number): void {
    const { name, why } = drain.desired;
    const because = `Node ${name} is being drained${why === "" ? "" : `: ${why}`}`;
    if (how === "evict" || cut === null) {
      const message = `evicted because ${because}`;
      return this.tellPod(drain, pod, { reason: "Evicted", message });
    }
    const reason = cut.isPastBudget ? "DeletedPastBudget" : "DeletedAtDeadline";
    const message = `deleted because ${endOf(drain, cut, now)}. ${because}`;
    this.tellPod(drain, pod, { reason, message });
  }

  /** The pod is about to be deleted. */
  deadline(drain: NodeDrain, pod: KubePod, cut: Cut, now: number): void {
    const message = `${pod.namespace}/${pod.name} is deleted because ${endOf(drain, cut, now)}`;
    this.tell(drain, "DrainDeadline", { message, pod: refOf(pod), key: pod.uid, isNew: true });
  }

  private owners(drain: NodeDrain, group: DrainGroup, open: Set<string>, now: number): void {
    for (const pod of group.pods.slice(0, POD_EVENTS_MAX)) {
      const note = formatForPod(drain.desired.name, group, drain.endFor(pod, now));
      if (note === null) continue;
      const key = `${pod.uid} ${note.reason}`;
      open.add(key);
      if (drain.reported.get(key) === note.message) continue;
      drain.reported.set(key, note.message);
      this.tellPod(drain, pod, note);
    }
  }

  private tell(
    { desired }: NodeDrain,
    reason: DrainEvent["reason"],
    what: Pick<DrainEvent, "message" | "pod" | "key" | "isNew">,
  ): void {
    const { node, name, uid } = desired;
    this.to.tell({ node, name, uid, reason, ...what });
  }

  private tellPod({ desired }: NodeDrain, pod: KubePod, note: PodNote): void {
    const { node, name, uid } = desired;
    this.to.tellPod({ node, name, uid, pod: refOf(pod), ...note });
  }
}

/** `the drain of Node n ends at 16:19:00 UTC and …`. */
const endOf = (drain: NodeDrain, { why }: Cut, now: number): string =>
  `the drain of Node ${drain.desired.name} ends at ${drain.formatDeadline(now)} and ${why}`;

const refOf = ({ namespace, name, uid }: KubePod): PodEvent["pod"] => ({ namespace, name, uid });
