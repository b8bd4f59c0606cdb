/**
 * What a drain reports as Events: on the Node, what holds it up and what was deleted at its
 * deadline; on each pod, for its owner, that it was evicted, cannot be evicted or was deleted.
 * Reports what is new and what reads differently now; `kube-event.ts` limits how often it is sent.
 */
import type { How } from "./drain-ask.ts";
import { printGroup, sayToPod } from "./drain-sight.ts";
import type { DrainEvent, DrainGroup, PodEvent, SaidToPod } from "./drain-sight.ts";
import type { NodeDrain } from "./node-drain.ts";
import type { KubePod } from "./object.ts";

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

  groups(drain: NodeDrain, groups: readonly DrainGroup[]): void {
    const open = new Set<string>();
    for (const group of groups) {
      if (group.reason === null) continue;
      const key = `${group.reason} ${group.key}`;
      const message = printGroup(group);
      const [first] = group.pods;
      const isOne = group.isNamed && group.pods.length === 1 && first !== undefined;
      const before = drain.told.get(key);
      open.add(key);
      if (before !== message) {
        drain.told.set(key, message);
        const pod = isOne ? refOf(first) : null;
        const isNew = before === undefined;
        this.tell(drain, group.reason, { message, pod, key: group.key, isNew });
      }
      for (const pod of group.pods.slice(0, POD_EVENTS_MAX)) this.blocked(drain, pod, group, open);
    }
    for (const key of drain.told.keys()) if (!open.has(key)) drain.told.delete(key);
  }

  /** The server has begun to delete it. */
  begun(drain: NodeDrain, pod: KubePod, how: How): void {
    const { name, why } = drain.wish;
    const because = `Node ${name} is being drained${why === "" ? "" : `: ${why}`}`;
    const said: SaidToPod =
      how === "evict"
        ? { reason: "Evicted", message: `evicted because ${because}` }
        : {
            reason: "DeletedPastBudget",
            message: `deleted past its disruption budgets at the drain's deadline: ${because}`,
          };
    this.tellPod(drain, pod, said);
  }

  /** It is about to be deleted past its budgets. */
  deadline(drain: NodeDrain, pod: KubePod, message: string): void {
    this.tell(drain, "DrainDeadline", { message, pod: refOf(pod), key: pod.uid, isNew: true });
  }

  private blocked(drain: NodeDrain, pod: KubePod, group: DrainGroup, open: Set<string>): void {
    const said = sayToPod(drain.wish.name, group);
    if (said === null) return;
    const key = `${pod.uid} ${said.reason}`;
    open.add(key);
    if (drain.told.get(key) === said.message) return;
    drain.told.set(key, said.message);
    this.tellPod(drain, pod, said);
  }

  private tell(
    { wish }: NodeDrain,
    reason: DrainEvent["reason"],
    what: Pick<DrainEvent, "message" | "pod" | "key" | "isNew">,
  ): void {
    const { node, name, uid } = wish;
    this.to.tell({ node, name, uid, reason, ...what });
  }

  private tellPod({ wish }: NodeDrain, pod: KubePod, said: SaidToPod): void {
    const { node, name, uid } = wish;
    this.to.tellPod({ node, name, uid, pod: refOf(pod), ...said });
  }
}

const refOf = ({ namespace, name, uid }: KubePod): PodEvent["pod"] => ({ namespace, name, uid });
