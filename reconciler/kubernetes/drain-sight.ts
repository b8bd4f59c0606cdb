/**
 * Reports a draining node for people: its pods grouped by what they wait for, pure. Groups that may
 * need a person have a reason, which is reported once when it appears.
 */
import type { NodeId } from "../../schema/id.ts";
import { formatAdmission } from "./admission.ts";
import type { Ask, Asks } from "./drain-ask.ts";
import { type DrainEnd, formatEnd, formatOwnEnd } from "./drain-end.ts";
import type { DrainPlan, PlannedPod } from "../core/kubernetes/drain-plan.ts";
import type { EvictionVerdict } from "./eviction.ts";
import type { Instant, NodeDrain } from "./node-drain.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

/** In CamelCase, as reasons of Kubernetes events are. */
export type DrainEventReason =
  | "DrainWaitsForBudget"
  | "DrainSeveralBudgets"
  | "DrainBudgetBehind"
  | "DrainBlocked"
  | "DrainRefused"
  /** The API server does not answer an eviction, or answers with an error of its own. */
  | "DrainFailing"
  | "DrainStuck"
  /** A pod is deleted at the deadline of its node's drain. */
  | "DrainDeadline";

type PodRef = { namespace: string; name: string; uid: string };

/** Sent when it appears and when its text changes; for the deadline once per pod. */
export type DrainEvent = {
  node: NodeId;
  /** Of the Node object. */
  name: string;
  uid: string;
  reason: DrainEventReason;
  message: string;
  /** If it is about one pod. */
  pod: PodRef | null;
  /** Distinguishes two of one reason. */
  key: string;
  /** It appeared; otherwise only its text changed. */
  isNew: boolean;
};

/** An event on the pod, for its owner. */
export type PodEvent = {
  node: NodeId;
  /** Of the Node object. */
  name: string;
  uid: string;
  pod: PodRef;
  reason:
    | "Evicted"
    | "EvictionBlocked"
    | "DeletedPastBudget"
    | "DeletedAtDeadline"
    | "DeletionStuck"
    /** A hold has an effect only on the Node. */
    | "HoldIgnored";
  message: string;
};

export type PodNote = Pick<PodEvent, "reason" | "message">;

export type DrainGroup = {
  reason: DrainEventReason | null;
  /** Distinguishes groups of one reason. */
  key: string;
  /** Follows "1 pod" and "this pod is". */
  text: string;
  /** Follows "3 pods". */
  texts: string;
  /** For the owner, instead of "this pod is" and the text. */
  own: string | null;
  pods: KubePod[];
  isNamed: boolean;
  /** Owners are informed of the deadline although nothing blocks the drain. */
  isWaiting: boolean;
};

/** A working kubelet confirms within seconds after the grace period. */
const STUCK_MS = 60_000;
const NAMED_MAX = 3;
const SAID_CHARS_MAX = 300;
export const MESSAGE_CHARS_MAX = 1_000;

type Kind = Omit<DrainGroup, "pods">;

const kind = (text: string, reason: DrainEventReason | null = null, isNamed = false): Kind => ({
  reason,
  key: text,
  text,
  texts: text,
  own: null,
  isNamed,
  isWaiting: false,
});

/** `what` and the plan's reason, for one pod and for several. */
function plannedKind(what: string, { why, whys }: PlannedPod): Kind {
  return { ...kind(`${what}: ${why}`, null, true), texts: `${what}: ${whys}` };
}

/** Pods that must leave and have not, by reason; those that may need a person first. */
export function groupPods(
  drain: NodeDrain,
  plan: DrainPlan,
  asks: Asks,
  at: Instant,
): DrainGroup[] {
  const groups = new Map<string, DrainGroup>();
  for (const planned of plan) {
    const pod = drain.listing?.pods.get(planned.uid);
    if (pod === undefined || !drain.isOpen(planned, asks)) continue;
    const one = kindOf(drain, planned, pod, asks, at);
    const key = `${one.reason ?? ""} ${one.key}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { ...one, pods: [pod] });
    else group.pods.push(pod);
  }
  const rank = ({ reason }: DrainGroup): number => (reason === null ? 1 : 0);
  return [...groups.values()].sort((a, b) => rank(a) - rank(b));
}

function kindOf(
  drain: NodeDrain,
  planned: PlannedPod,
  pod: KubePod,
  asks: Asks,
  at: Instant,
): Kind {
  const ask = asks.get(pod.uid);
  if (pod.deletionAt !== null) return leavingKind(pod, at.wall);
  if (ask !== null && drain.isWithoutEffect(ask))
    return kind("accepted for eviction and not leaving", "DrainStuck", true);
  if (ask?.state === "begun") return kind("terminating");
  if (ask?.state === "checking") return unansweredKind(ask);
  const said = ask?.verdict == null ? null : verdictKind(pod, ask.verdict, ask, at.mono);
  if (planned.verdict === "blocked")
    return { ...plannedKind("not evicted", planned), reason: "DrainBlocked" };
  if (planned.verdict === "wait")
    return { ...plannedKind("left alone for now", planned), isWaiting: true };
  if (said !== null) return said;
  if (ask?.state === "asking") return kind("being asked to leave");
  if (ask !== null && asks.isTaken(ask))
    return kind("waiting until another pod of the same StatefulSet is gone", null, true);
  return kind("yet to be asked");
}

function leavingKind(pod: KubePod, now: number): Kind {
  const overdueMs = now - (pod.deletionAt ?? now);
  const held = pod.finalizers.length === 0 ? null : `finalizer ${pod.finalizers.join(", ")}`;
  if (overdueMs <= STUCK_MS)
    return kind(held === null ? "terminating" : `terminating with ${held}`);
  const why = held ?? "its kubelet does not respond";
  const volumes = pod.claims ? ", with volumes" : "";
  return kind(`stuck in deletion: ${why}${volumes}`, "DrainStuck", true);
}

/** Failures in a row before they are reported. */
const FAILURES_REPORTED = 3;

function unansweredKind({ verdict, tries }: Ask): Kind {
  const why = verdict?.kind === "unknown" ? `: ${verdict.message.slice(0, SAID_CHARS_MAX)}` : "";
  const reason = tries >= FAILURES_REPORTED ? "DrainFailing" : null;
  const text = `asked to leave, without a known result${why}`;
  const own = `the result of its eviction is unknown${why}`;
  return { ...kind(text, reason, true), key: "unanswered", own };
}

function verdictKind(pod: KubePod, verdict: EvictionVerdict, ask: Ask, mono: number): Kind | null {
  switch (verdict.kind) {
    case "budget": {
      const name = `${pod.namespace}/${verdict.budget ?? "?"}`;
      const { needs, has } = verdict;
      const why = needs === null ? verdict.message : `needs ${needs} healthy, has ${has}`;
      const text = `waiting for PodDisruptionBudget ${name} (${why})`;
      return { ...kind(text, "DrainWaitsForBudget"), key: name };
    }
    case "severalBudgets":
      return kind(
        "covered by more than one PodDisruptionBudget, so that no waiting helps",
        "DrainSeveralBudgets",
        true,
      );
    case "controllerBehind":
      return kind(`waiting for the disruption controller: ${verdict.message}`, "DrainBudgetBehind");
    case "namespaceTerminating":
      return kind(`waiting for the deletion of namespace ${pod.namespace}`);
    case "forbidden":
      return kind(`refused by the server: ${verdict.message}`, "DrainRefused", true);
    case "admission": {
      const key = `${verdict.by.by} ${verdict.by.name}`;
      return { ...kind(formatAdmission(verdict.by), "DrainRefused", true), key };
    }
    case "unknown":
      return unansweredKind(ask);
    case "throttled":
      return mono < ask.retryMono ? kind("waiting because the server is short of room") : null;
    default:
      return null;
  }
}

/** The event on a pod of the group; `null`: nothing that concerns its owner. */
export function formatForPod(node: string, group: DrainGroup, end: DrainEnd): PodNote | null {
  const { reason, text, own, isWaiting } = group;
  if (reason === null && !(isWaiting && end.kind === "deletes")) return null;
  const what = own ?? `this pod is ${text}`;
  const message = `Node ${node} is being drained; ${what}${formatOwnEnd(end, node)}`;
  return { reason: reason === "DrainStuck" ? "DeletionStuck" : "EvictionBlocked", message };
}

/** `3 pods waiting for …. Deleted at … unless they end before`; `end` of the first pod. */
export function formatGroup(group: DrainGroup, end: DrainEnd): string {
  return `${formatPods(group)}${formatEnd(end, group.pods.length)}`;
}

/** `3 pods waiting for …; 1 pod terminating`. */
export function formatGroups(groups: readonly DrainGroup[]): string {
  return groups.map(formatPods).join("; ").slice(0, MESSAGE_CHARS_MAX);
}

export function formatPods({ pods, text, texts, isNamed }: DrainGroup): string {
  const count = pods.length === 1 ? `1 pod ${text}` : `${pods.length} pods ${texts}`;
  if (!isNamed) return count;
  const names = pods.slice(0, NAMED_MAX).map(({ namespace, name }) => `${namespace}/${name}`);
  const more = pods.length > NAMED_MAX ? ` and ${pods.length - NAMED_MAX} more` : "";
  return `${count} (${names.join(", ")}${more})`;
}
