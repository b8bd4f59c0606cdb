/**
 * Plans which pods leave a node that drains, and why. Pure. Filters and order are those of `kubectl
 * drain --ignore-daemonsets --delete-emptydir-data` (kubernetes/kubectl v0.37
 * `pkg/drain/filters.go`). Four are added: pods that tolerate the drain, a rule on the pod, a pod
 * that may not be interrupted yet, and one that asks other programs not to disturb it. kubectl
 * stops the whole drain for one pod that it may not touch; here only that pod is `blocked`.
 */
import { unreachable } from "../../../schema/unreachable.ts";
import type { DesiredDrain } from "./desired-drain.ts";
import { DOMAIN, TAINT } from "./object.ts";
import type { KubePod } from "./object.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** The taint of a node that drains; a pod that tolerates it by name stays. */
const DRAINING = TAINT.draining.key;
/** On a pod, as label or annotation: `skip`, `wait-completed` or `evict`. */
export const DRAIN_RULE = `${DOMAIN}/drain`;
/** On a pod: an RFC 3339 instant before which only the deadline may end it. */
export const UNTIL = `${DOMAIN}/do-not-interrupt-until`;

export type DrainVerdict =
  /** It stays, and the node counts as drained with it. */
  | "keep"
  | "evict"
  /** It must leave, and leaves by itself: no eviction. */
  | "wait"
  /** It must leave and may not be evicted: a person or the deadline has to act. */
  | "blocked";

/** The category of the reason. */
export type DrainReason =
  | "daemonset"
  | "daemonset-missing"
  | "mirror"
  | "tolerates"
  | "rule"
  | "rule-unreadable"
  | "returns"
  | "terminating"
  | "finished"
  | "completion"
  | "until"
  | "undisturbed"
  | "emptydir"
  | "unmanaged"
  | "mode"
  | "slurm"
  | "owned";

export type PlannedPod = {
  namespace: string;
  name: string;
  uid: string;
  verdict: DrainVerdict;
  reason: DrainReason;
  /** The reason as a clause, for one pod and for several. */
  why: string;
  whys: string;
  /** 0 leaves before 1: what the node and the cluster need leaves last. */
  tier: 0 | 1;
  /** The pod's own grace period; a request may override it. */
  graceMs: number;
};

/** In the order in which they leave: by tier, then by name. */
export type DrainPlan = readonly PlannedPod[];

export type PlanRequest = Pick<
  DesiredDrain,
  "force" | "ignoreDaemonsets" | "deleteEmptydirData" | "mode"
>;

type Judged = Pick<PlannedPod, "verdict" | "reason" | "why" | "whys">;

/**
 * `daemonsets`: existing DaemonSets as `namespace/name`. `now`: wall milliseconds. `returned`: UIDs
 * of pods that their controller started again on the draining node; they stay, because the next one
 * would return as well.
 */
export function planDrain(
  pods: readonly KubePod[],
  desired: PlanRequest,
  daemonsets: ReadonlySet<string>,
  now: number,
  returned: ReadonlySet<string> = new Set(),
): DrainPlan {
  return pods
    .map((pod): PlannedPod => {
      const { namespace, name, uid, graceMs } = pod;
      const judged = judgePod(pod, desired, daemonsets, now, returned);
      return { namespace, name, uid, ...judged, tier: pod.critical ? 1 : 0, graceMs };
    })
    .sort(
      (a, b) => a.tier - b.tier || compare(a.namespace, b.namespace) || compare(a.name, b.name),
    );
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const say = (
  verdict: DrainVerdict,
  reason: DrainReason,
  why: string,
  whys: string = why,
): Judged => ({ verdict, reason, why, whys });

/** The first rule that applies decides. */
function judgePod(
  pod: KubePod,
  desired: PlanRequest,
  daemonsets: ReadonlySet<string>,
  now: number,
  returned: ReadonlySet<string>,
): Judged {
  const slurm = judgeSlurm(pod);
  if (slurm !== null) return slurm;
  const rule = ruleOf(pod);
  const stays = judgeStaying(pod, desired, daemonsets, rule, returned);
  if (stays !== null) return stays;
  if (pod.deletionAt !== null) return say("wait", "terminating", "it is being deleted already");
  // Mode `wait` evicts nothing, and a finished pod does not delay the drain.
  if (isFinished(pod)) {
    return say(desired.mode === "wait" ? "keep" : "evict", "finished", "it has finished");
  }
  if (rule === "wait-completed")
    return say("wait", "completion", ...says(`${DRAIN_RULE}: wait-completed`));
  const until = judgeUntil(pod, now);
  if (until !== null) return until;
  const isOptedIn = rule === "evict";
  if (pod.undisturbed !== undefined && !isOptedIn) {
    return say("wait", "undisturbed", ...says(pod.undisturbed));
  }
  if (pod.emptyDir && !desired.deleteEmptydirData && !isOptedIn)
    return say(
      "blocked",
      "emptydir",
      "it would lose the data of its emptyDir volume",
      "they would lose the data of their emptyDir volumes",
    );
  if (pod.controller === null && !desired.force && !isOptedIn)
    return say(
      "blocked",
      "unmanaged",
      "it has no controller that would recreate it",
      "they have no controller that would recreate them",
    );
  if (desired.mode === "wait") return say("wait", "mode", "the drain waits until its deadline");
  return say("evict", pod.controller === null ? "unmanaged" : "owned", becauseOf(pod));
}

/** A NodeSet's pod is never evicted: the cordon drains its node in Slurm, where jobs end. */
function judgeSlurm({ slurm, deletionAt, phase }: KubePod): Judged | null {
  if (slurm === undefined || deletionAt !== null || phase === "Succeeded" || phase === "Failed") {
    return null;
  }
  switch (slurm.state) {
    case "busy":
      return say("wait", "slurm", "Slurm runs jobs in it", "Slurm runs jobs in them");
    case "closed":
      return say("keep", "slurm", "Slurm has drained it, and it ends with its machine");
    case "open":
    case "unknown":
      return say("wait", "slurm", "Slurm has not drained it yet", "Slurm has not drained them yet");
    default:
      return unreachable(slurm.state);
  }
}

const says = (what: string): [string, string] => [`it says ${what}`, `they say ${what}`];

/** Pods that stay in any case, and unreadable rules. */
function judgeStaying(
  pod: KubePod,
  desired: PlanRequest,
  daemonsets: ReadonlySet<string>,
  rule: Rule,
  returned: ReadonlySet<string>,
): Judged | null {
  if (isDaemon(pod) && !isFinished(pod) && daemonsets.has(daemonOf(pod))) {
    const set = `to DaemonSet ${daemonOf(pod)}`;
    const verdict = desired.ignoreDaemonsets ? "keep" : "blocked";
    return say(verdict, "daemonset", `it belongs ${set}`, `they belong ${set}`);
  }
  // A toleration with an empty key tolerates every taint and is no decision to stay.
  if (pod.tolerations.some(({ key }) => key === DRAINING))
    return say("keep", "tolerates", `it tolerates ${DRAINING}`);
  if (rule === "skip") return say("keep", "rule", `it says ${DRAIN_RULE}: skip`);
  if (returned.has(pod.uid))
    return say("keep", "returns", "its controller starts it on this node again and again");
  const isLeaving = pod.deletionAt !== null || isFinished(pod);
  if (isDaemon(pod) && !isLeaving && !desired.force && rule !== "evict") {
    const missing = `DaemonSet ${daemonOf(pod)} does not exist`;
    return say("blocked", "daemonset-missing", `its ${missing}`, `their ${missing}`);
  }
  if (pod.mirror) return say("keep", "mirror", "the kubelet runs it from a file of its own");
  if (isLeaving || rule === null || typeof rule !== "object") return null;
  const known = "skip, wait-completed or evict";
  const read = `${DRAIN_RULE}: ${JSON.stringify(rule.unreadable)}, not ${known}`;
  return say("blocked", "rule-unreadable", ...says(read));
}

const isFinished = (pod: KubePod): boolean => pod.phase === "Succeeded" || pod.phase === "Failed";

/** Whether a DaemonSet controls the pod; like kubectl, by kind and exact version of the owner. */
export function isDaemon(pod: KubePod): boolean {
  return pod.controller?.kind === "DaemonSet" && pod.controller.apiVersion === "apps/v1";
}

/** `namespace/name` of the DaemonSet that controls the pod; only meaningful if `isDaemon`. */
export function daemonOf(pod: KubePod): string {
  return `${pod.namespace}/${pod.controller?.name ?? ""}`;
}

type Rule = "skip" | "wait-completed" | "evict" | { unreadable: string } | null;

/** The annotation wins: it can be set on a running pod without touching what selects it. */
function ruleOf(pod: KubePod): Rule {
  const text = pod.annotations[DRAIN_RULE] ?? pod.labels[DRAIN_RULE];
  if (text === undefined) return null;
  if (text === "skip" || text === "wait-completed" || text === "evict") return text;
  // An unreadable rule asks for something other than the default: to block is the safe reading.
  return { unreadable: text.slice(0, 40) };
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

function judgeUntil(pod: KubePod, now: number): Judged | null {
  const text = pod.annotations[UNTIL];
  if (text === undefined) return null;
  const untilAt = RFC_3339.test(text) ? parseInstant(text) : Number.NaN;
  if (Number.isNaN(untilAt)) {
    const read = `${UNTIL}: ${JSON.stringify(text.slice(0, 40))}, which is no RFC 3339 time`;
    return say("wait", "until", ...says(read));
  }
  const until = `may not be interrupted until ${text}`;
  return untilAt > now ? say("wait", "until", `it ${until}`, `they ${until}`) : null;
}

function becauseOf(pod: KubePod): string {
  if (pod.controller === null) return "no controller owns it, and it may be evicted nevertheless";
  return `${pod.controller.kind} ${pod.namespace}/${pod.controller.name} starts it elsewhere`;
}
