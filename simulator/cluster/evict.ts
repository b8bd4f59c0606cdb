/**
 * `POST pods/NAME/eviction` with the semantics of policy/v1 (Kubernetes,
 * pkg/registry/core/pod/storage/eviction.go, 1.37): the budget is spent before the precondition on
 * the UID is looked at, and finished, pending and terminating pods need none.
 */
import type { KubeAnswer } from "../../reconciler/kubernetes/api.ts";
import { judgePreconditions, endObject } from "./delete.ts";
import { countOf, isObject, listOf, metaOf, nameOf, objectOf, formatInstant } from "./json.ts";
import { textOf, uidOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { resourceOf } from "./resource.ts";
import type { Target } from "./resource.ts";
import { matchesLabels } from "./selector.ts";
import * as say from "./status.ts";
import { conditionOf, note } from "./world.ts";
import type { Hand, World } from "./world.ts";

const PODS = resourceOf("pods");
const BUDGETS = resourceOf("poddisruptionbudgets");

/** Evictions that the budget's controller has not seen; beyond it the server refuses. */
const DISRUPTED_MAX = 2_000;
/** 20 tries of 500 ms: a conflict over a pod that needs no budget is tried again that long. */
export const CONFLICT_HOLD_MS = 10_000;

const VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget.";

export type EvictAnswer = KubeAnswer | "again";

/**
 * `again` = the server would try for `CONFLICT_HOLD_MS` before it answers; `isLast` = that is over.
 */
export function evictPod(
  world: World,
  { namespace, name }: Target,
  body: unknown,
  hand: Hand,
  isLast: boolean,
): EvictAnswer {
  const eviction = objectOf(body);
  if (nameOf(eviction) !== name) {
    return say.badRequest("name in URL does not match name in Eviction object");
  }
  const options = objectOf(eviction["deleteOptions"]);
  const pod = world.store.get(PODS, namespace, name);
  if (!isLast) count(world, textOf(objectOf(options["preconditions"])["uid"]), pod, "asked");
  if (pod === undefined) return say.notFound(PODS, name);
  if (!needsNoBudget(pod)) {
    const refusal = spend(world, namespace, pod);
    if (refusal !== null) return refusal;
  }
  const misfit = judgePreconditions("Pod", pod, options["preconditions"]);
  if (misfit !== null) {
    const hasVersion = textOf(objectOf(options["preconditions"])["resourceVersion"]) !== "";
    return needsNoBudget(pod) && !hasVersion && !isLast ? "again" : misfit;
  }
  begin(world, pod, options["gracePeriodSeconds"], hand);
  return say.success(201, { code: 201 });
}

function begin(world: World, pod: KubeObject, grace: unknown, hand: Hand): void {
  count(world, uidOf(pod), pod, "granted");
  const status = objectOf(pod["status"]);
  const target = {
    type: "DisruptionTarget",
    status: "True",
    lastTransitionTime: formatInstant(world.clock.wallMs()),
    reason: "EvictionByEvictionAPI",
    message: "Eviction API: evicting",
  };
  const isMarked = conditionOf(pod, target.type) === "True";
  const conditions = [...listOf(status["conditions"]), target];
  const marked = isMarked
    ? pod
    : world.store.put(PODS, { ...pod, status: { ...status, conditions } });
  if (!isMarked) note(world, hand, "evict", PODS, "eviction", marked);
  endObject(world, PODS, marked, typeof grace === "number" ? grace : null, hand);
}

function count(
  { evictions }: World,
  asked: string,
  pod: KubeObject | undefined,
  what: "asked" | "granted",
): void {
  const uid = asked === "" && pod !== undefined ? uidOf(pod) : asked;
  if (uid === "") return;
  const known = evictions.get(uid) ?? { asked: 0, granted: 0 };
  known[what] += 1;
  evictions.set(uid, known);
}

function needsNoBudget(pod: KubeObject): boolean {
  const phase = textOf(objectOf(pod["status"])["phase"]);
  const isIdle = phase === "Succeeded" || phase === "Failed" || phase === "Pending";
  return isIdle || metaOf(pod)["deletionTimestamp"] !== undefined;
}

/** Takes one disruption out of the pod's budget; `null` = none is needed, or it was spent. */
function spend(world: World, namespace: string, pod: KubeObject): say.Refused | null {
  const labels = objectOf(metaOf(pod)["labels"]);
  const budgets = world.store
    .list(BUDGETS, namespace)
    .filter((budget) => matchesLabels(objectOf(budget["spec"])["selector"], labels));
  const [budget, second] = budgets;
  if (second !== undefined) {
    const what = "This pod has more than one PodDisruptionBudget";
    return say.refused(500, "", `${what}, which the eviction subresource does not support.`);
  }
  if (budget === undefined) return null;
  const status = objectOf(budget["status"]);
  if (conditionOf(pod, "Ready") !== "True") {
    const [healthy, desired] = [
      countOf(status["currentHealthy"]),
      countOf(status["desiredHealthy"]),
    ];
    const policy = objectOf(budget["spec"])["unhealthyPodEvictionPolicy"];
    if (policy === "AlwaysAllow" || (healthy >= desired && desired > 0)) return null;
  }
  const refusal = judgeBudget(budget);
  if (refusal === null) decrement(world, budget, nameOf(pod));
  return refusal;
}

function judgeBudget(budget: KubeObject): say.Refused | null {
  const status = objectOf(budget["status"]);
  const name = nameOf(budget);
  const cause = (message: string) => ({ reason: "DisruptionBudget", message, field: "" });
  if (countOf(status["observedGeneration"]) < countOf(metaOf(budget)["generation"])) {
    const told = `The disruption budget ${name} is still being processed by the server.`;
    return say.refused(429, "TooManyRequests", VIOLATES, {
      causes: [cause(told)],
      retryAfterMs: 10_000,
    });
  }
  const closed = (why: string, told: string) =>
    say.refused(403, "Forbidden", `poddisruptionbudget.policy "${name}" is forbidden: ${why}`, {
      causes: [
        cause(`The disruption budget ${name} does not allow evicting pods currently: ${told}`),
      ],
    });
  const allowed = countOf(status["disruptionsAllowed"]);
  if (allowed < 0) {
    const why = "pdb disruptions allowed is negative";
    return closed(why, why);
  }
  if (Object.keys(objectOf(status["disruptedPods"])).length > DISRUPTED_MAX) {
    const why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
    return closed(why, "too many pending evictions not confirmed by PDB controller");
  }
  if (allowed > 0) return null;
  return say.refused(429, "TooManyRequests", VIOLATES, { causes: [cause(whyNone(budget))] });
}

function whyNone(budget: KubeObject): string {
  const status = objectOf(budget["status"]);
  const about = `The disruption budget ${nameOf(budget)}`;
  const condition = listOf(status["conditions"])
    .map(objectOf)
    .find(({ type }) => type === "DisruptionAllowed");
  const message = condition?.["status"] === "False" ? textOf(condition["message"]) : "";
  const reason = textOf(condition?.["reason"]);
  const [current, desired] = [countOf(status["currentHealthy"]), countOf(status["desiredHealthy"])];
  if (message !== "" && reason === "SyncFailed") {
    return `${about} does not allow evicting pods currently because it failed sync: ${message}`;
  }
  if (current <= desired)
    return `${about} needs ${desired} healthy pods and has ${current} currently`;
  const closed = `${about} does not allow evicting pods currently`;
  return message === "" ? closed : `${closed} (${reason}): ${message}`;
}

function decrement(world: World, budget: KubeObject, pod: string): void {
  const status = objectOf(budget["status"]);
  const at = formatInstant(world.clock.wallMs());
  const disrupted = isObject(status["disruptedPods"]) ? status["disruptedPods"] : {};
  world.store.put(BUDGETS, {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: countOf(status["disruptionsAllowed"]) - 1,
      disruptedPods: { ...disrupted, [pod]: at },
    },
  });
}
