/**
 * Restarts and kills pods. Each effect is bound to the UID of the pod that was judged, so a call
 * that is repeated, or late, never hits the pod's successor.
 */
import { unreachable } from "../../../schema/unreachable.ts";
import type { PodFacts } from "../../../schema/console/cluster.ts";
import type { Asked, Failed, KillHow, PodRef } from "../../core/console/cluster.ts";
import { formatAdmission } from "../admission.ts";
import { deleteOptions, type KubeAnswer, type KubeApi } from "../api.ts";
import { type EvictionVerdict, judgeEviction } from "../eviction.ts";
import { explainForbidden } from "../permission.ts";
import { readIdentity, readObject } from "../read-field.ts";
import { failed, lostAnswer } from "./copies.ts";
import { readConsolePod } from "./read-pod.ts";

/** An action makes up to four calls, and a standby waits 15 s for the leader's answer. */
const CALL_MS = 3_500;

export const pathOf = ({ namespace, name }: PodRef): string =>
  `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;

const formatRef = ({ namespace, name }: PodRef): string => `${namespace}/${name}`;

/** What a refusal of the API server means to a person. */
export function refusal(answer: Exclude<KubeAnswer, { kind: "ok" }>, what: string): Failed {
  if (answer.kind === "lost") return lostAnswer(answer.message);
  const forbidden = explainForbidden(answer);
  const { status, message } = answer;
  if (status === 404) return failed("not_found", `${what}: ${message}`);
  // This control plane's own permission is no fault of the caller.
  if (status === 401 || status === 403) {
    return failed("cluster_unreachable", `${what}: ${forbidden ?? message}`);
  }
  if (status === 429) return failed("rate_limited", `${what}: the API server is busy: ${message}`);
  if (status >= 500) return failed("cluster_unreachable", `${what}: ${message}`);
  return failed("conflict", `${what}: ${message}`);
}

/** The pod as it is now. */
export async function readPodNow(api: KubeApi, ref: PodRef): Promise<Asked<PodFacts>> {
  const path = pathOf(ref);
  const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
  if (answer.kind !== "ok") {
    const isAbsent = answer.kind === "refused" && answer.status === 404;
    const message = `no pod ${formatRef(ref)}`;
    return isAbsent ? failed("not_found", message) : refusal(answer, formatRef(ref));
  }
  const pod = readConsolePod(answer.body);
  if (pod !== null) return { kind: "ok", value: pod.facts };
  return failed("cluster_unreachable", `${formatRef(ref)}: the answer is no pod`);
}

const STATIC = "is a static pod: its kubelet runs it from a file, and the API only mirrors it";

/** The pod's own grace period applies. */
export async function restartPod(
  api: KubeApi,
  ref: PodRef,
  { force }: { force: boolean },
): Promise<Asked<string>> {
  const found = await readPodNow(api, ref);
  if (found.kind === "failed") return found;
  const { owner, uid, isMirror, deletionTimestamp } = found.value;
  const what = formatRef(ref);
  if (isMirror) return failed("conflict", `${what} ${STATIC}; restart it on its node`);
  if (owner === null && !force) {
    const why = `${what} has no controller: nothing would start it again`;
    return failed("conflict", `${why}; force deletes it nevertheless`);
  }
  if (deletionTimestamp !== null) return { kind: "ok", value: `${what} is already being deleted` };
  const answer = await api.call({
    verb: "create",
    path: `${pathOf(ref)}/eviction`,
    body: {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { ...ref },
      deleteOptions: deleteOptions(uid),
    },
    timeoutMs: CALL_MS,
    lane: "evict",
  });
  const after = owner === null ? "nothing replaces it" : `${owner.kind} ${owner.name} replaces it`;
  const verdict = judgeEviction(answer, uid);
  if (verdict.kind === "unknown") return settle(api, ref, { uid, answer });
  return sayEviction(verdict, what, after, explainForbidden(answer));
}

function sayEviction(
  verdict: Exclude<EvictionVerdict, { kind: "unknown" }>,
  what: string,
  after: string,
  forbidden: string | null,
): Asked<string> {
  switch (verdict.kind) {
    case "begun":
      return { kind: "ok", value: `${what} is evicted; ${after}` };
    case "gone":
    case "otherPod":
      return { kind: "ok", value: `${what} is gone already; ${after}` };
    case "budget": {
      const name = verdict.budget ?? "";
      const why = `${what}: PodDisruptionBudget ${name} does not allow it now`;
      return failed("budget_blocked", `${why}: ${verdict.message}`);
    }
    case "controllerBehind": {
      const why = `the status of PodDisruptionBudget ${verdict.budget ?? ""} is out of date`;
      return failed("budget_blocked", `${what}: ${why}: ${verdict.message}`);
    }
    case "severalBudgets":
      return failed("conflict", `${what}: ${verdict.message}; leave one budget for the pod`);
    case "throttled":
      return failed("rate_limited", `${what}: the API server is busy; ask again`);
    case "namespaceTerminating":
      return failed("conflict", `${what}: its namespace is being deleted, which ends the pod`);
    case "admission":
      return failed("conflict", `${what}: ${formatAdmission(verdict.by)}`);
    case "forbidden":
      if (forbidden !== null) return failed("cluster_unreachable", `${what}: ${forbidden}`);
      return failed("conflict", `${what}: ${verdict.message}`);
    default:
      return unreachable(verdict);
  }
}

/** After an answer that was lost: whether the effect took place. */
async function settle(
  api: KubeApi,
  ref: PodRef,
  { uid, answer }: { uid: string; answer: KubeAnswer },
): Promise<Asked<string>> {
  const now = await readPodNow(api, ref);
  const isGone = now.kind === "failed" ? now.code === "not_found" : now.value.uid !== uid;
  if (isGone) return { kind: "ok", value: `${formatRef(ref)} is gone` };
  if (now.kind === "ok" && now.value.deletionTimestamp !== null) {
    return { kind: "ok", value: `${formatRef(ref)} is being deleted` };
  }
  const why = answer.kind === "ok" ? "an answer without content" : answer.message;
  const still = now.kind === "ok" ? "the pod is still there" : "its state is unknown";
  return failed("cluster_slow", `${formatRef(ref)}: ${why}; ${still}: ask again`);
}

export async function killPod(api: KubeApi, ref: PodRef, how: KillHow): Promise<Asked<string>> {
  const found = await readPodNow(api, ref);
  if (found.kind === "failed") return found;
  const { owner, uid, nodeName, isMirror } = found.value;
  const what = formatRef(ref);
  if (isMirror) return failed("conflict", `${what} ${STATIC}; end it on its node`);
  const isStateful = owner?.kind === "StatefulSet" && nodeName !== "";
  if (isStateful && !how.force && !(await isOver(api, nodeName, how))) {
    const why = `${what} belongs to a StatefulSet, and the machine of ${nodeName} may be alive`;
    const risk = "two pods of one identity could write at the same time";
    return failed("conflict", `${why}: ${risk}; end the machine first, or force`);
  }
  const answer = await api.call({
    verb: "delete",
    path: pathOf(ref),
    body: { ...deleteOptions(uid), gracePeriodSeconds: 0 },
    timeoutMs: CALL_MS,
    lane: "evict",
  });
  const after = owner === null ? "nothing replaces it" : `${owner.kind} ${owner.name} replaces it`;
  if (answer.kind === "ok") return { kind: "ok", value: `${what} is deleted; ${after}` };
  if (answer.kind === "lost") return settle(api, ref, { uid, answer });
  // Only this pod was meant; a name that another pod has by now is no failure.
  const isOther = answer.status === 409 && answer.message.includes(uid);
  if (answer.status === 404 || isOther) {
    return { kind: "ok", value: `${what} is gone already; ${after}` };
  }
  return refusal(answer, what);
}

/** In doubt its machine is alive. */
async function isOver(api: KubeApi, name: string, how: KillHow): Promise<boolean> {
  const path = `/api/v1/nodes/${encodeURIComponent(name)}`;
  const answer = await api.call({ verb: "get", path, timeoutMs: CALL_MS, lane: "read" });
  if (answer.kind === "refused" && answer.status === 404) return how.isEnded({ name, uid: null });
  if (answer.kind !== "ok") return false;
  const identity = readIdentity(readObject(readObject(answer.body)["metadata"]));
  return identity !== null && how.isEnded({ name, uid: identity.uid });
}
