/** What the console derives of a pod from its facts and the time: age, stuck, scaling. Pure. */
import type { Pod, PodFacts, Stuck } from "../../../schema/console/cluster.ts";
import { suggestForPod } from "./suggestion.ts";
import { parseInstant } from "../../../schema/instant.ts";

const MINUTE_MS = 60_000;
const PENDING_MS = 10 * MINUTE_MS;
const CREATING_MS = 5 * MINUTE_MS;
const SCALING_MS = 30 * MINUTE_MS;
/** The label of a Deployment's ReplicaSets (Kubernetes, "Deployments"). */
const TEMPLATE_HASH = "pod-template-hash";

/** A kubelet that cannot pull alternates between the two. */
const PULLING = new Set(["ImagePullBackOff", "ErrImagePull"]);

export function viewPod(facts: PodFacts, now: number): Pod {
  const stuck = stuckOf(facts, now);
  const ageMs = ageOf(facts, now);
  return {
    ...facts,
    age: Math.floor(ageMs / 1_000),
    stuck,
    scaling: Object.hasOwn(facts.labels, TEMPLATE_HASH) && ageMs < SCALING_MS,
    suggestions: suggestForPod(facts, stuck),
  };
}

/** Milliseconds; 0 if the cluster's clock is ahead. */
function ageOf({ creationTimestamp }: PodFacts, now: number): number {
  return creationTimestamp === null ? 0 : Math.max(0, now - parseInstant(creationTimestamp));
}

export function stuckOf(facts: PodFacts, now: number): Stuck | null {
  // `Init:CrashLoopBackOff`.
  const status = facts.status.replace(/^Init:/, "");
  if (status === "CrashLoopBackOff") return "CrashLoopBackOff";
  if (PULLING.has(status)) return "ImagePullBackOff";
  if (facts.phase !== "Pending" || status === "Terminating") return null;
  const creating = status === "ContainerCreating" || status === "PodInitializing";
  if (creating && now - scheduledAt(facts, now) > CREATING_MS) return "ContainerCreating";
  return ageOf(facts, now) > PENDING_MS ? "Pending" : null;
}

/** Since when a kubelet has had the pod. */
function scheduledAt({ conditions, startTime, creationTimestamp }: PodFacts, now: number): number {
  const scheduled = conditions.find(({ type, status }) => {
    return type === "PodScheduled" && status === "True";
  });
  const since = startTime ?? scheduled?.lastTransitionTime ?? creationTimestamp;
  return since === null ? now : parseInstant(since);
}
