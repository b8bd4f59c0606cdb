/**
 * Creates, checks and deletes pods of AgentPools, and interprets the answers. Each call may be
 * repeated: the name of a pod is in a committed row, and a deletion names the UID.
 */
import type { Worker } from "../../schema/agentpool.ts";
import type { AgentPool, DeleteAnswer, PodAnswer, WorkerPod } from "../core/agentpool/model.ts";
import type { Clock } from "../core/clock.ts";
import { readAdmission } from "../kubernetes/admission.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "../kubernetes/api.ts";
import { bounded, failureOf } from "../kubernetes/node-call.ts";
import { readObject, readText } from "../kubernetes/read-field.ts";
import { podCheckRequest, podCreateRequest } from "./pod-request.ts";
import { podDeleteRequest, podReadRequest } from "./pod-request.ts";
import { readWorkerPod } from "./read-worker-pod.ts";
import type { HeldPod } from "./read-worker-pod.ts";
import { blocked, judgeRefusal, type Refused } from "./refusal.ts";

export type PodPorts = {
  api: KubeApi;
  clock: Clock;
  /** Takes the pod that the server answered. */
  seen: (pod: HeldPod) => void;
};

/** A process that was suspended must not send later what a newer leader may have taken back. */
const UNSENT_MS = 7_000;

export function callSoon({ api, clock }: Pick<PodPorts, "api" | "clock">, request: KubeRequest) {
  const endMono = clock.monoMs() + UNSENT_MS;
  return api.call({ ...request, isWanted: () => clock.monoMs() <= endMono });
}

export async function createPod(
  ports: PodPorts,
  pool: AgentPool,
  worker: Pick<Worker, "name" | "generation">,
): Promise<PodAnswer> {
  const answer = await callSoon(ports, podCreateRequest(pool, worker));
  if (answer.kind === "ok") return take(ports, pool, answer.body);
  if (answer.kind === "lost") return answer;
  const isThere = answer.status === 409 && answer.reason === "AlreadyExists";
  // A 5xx may follow its effect.
  const isDoubtful = answer.status >= 500 && readAdmission(answer.message) === null;
  if (!isThere && !isDoubtful) return judgeRefusal(answer);
  const { namespace } = pool;
  const found = await ports.api.call(podReadRequest({ namespace, name: worker.name }));
  if (found.kind === "ok") return take(ports, pool, found.body);
  const isMissing = found.kind === "refused" && isNotFound(found);
  if (isMissing && isDoubtful) return judgeRefusal(answer);
  const why = isMissing ? "it was deleted meanwhile" : failureOf(found).message;
  return { kind: "lost", message: `pod ${worker.name}: ${answer.message}; ${why}` };
}

function take(ports: PodPorts, pool: AgentPool, body: unknown): PodAnswer {
  const pod = readWorkerPod(body);
  if (pod !== null && pod.ownerUid === pool.uid) {
    ports.seen(pod);
    return { kind: "ok", uid: pod.uid };
  }
  const { name, uid } = readObject(readObject(body)["metadata"]);
  if (readText(uid) === null) return { kind: "lost", message: "the server answered without a pod" };
  const message = `pod ${readText(name) ?? "?"} exists already and does not belong to the pool`;
  return blocked("Unavailable", `${message}; the next attempt uses another name`);
}

/** Admission that cannot judge a dry run says nothing about the template. */
const NO_DRY_RUN = /does not support dry run/;

/** `ok` also where only the present state of the cluster is against it, such as a full quota. */
export async function checkPod(ports: PodPorts, pool: AgentPool): Promise<PodAnswer> {
  const strict = await callSoon(ports, podCheckRequest(pool, { isStrict: true }));
  const isAsked = isBad(strict);
  // A pool whose template always had an unknown field goes on; it is told.
  const answer = isAsked ? await callSoon(ports, podCheckRequest(pool)) : strict;
  const more = isAsked && !isBad(answer) ? { unknown: unknownFields(strict) } : {};
  if (answer.kind === "ok") return { kind: "ok", uid: "", ...more };
  if (answer.kind === "lost") return answer;
  const isThere = answer.status === 409 && answer.reason === "AlreadyExists";
  if (isThere || NO_DRY_RUN.test(answer.message)) return { kind: "ok", uid: "", ...more };
  const refusal = judgeRefusal(answer);
  return refusal.reason === "QuotaExceeded" ? { kind: "ok", uid: "", ...more } : refusal;
}

/** The server cannot read the request; what only the strict one meets is an unknown field. */
const isBad = (answer: KubeAnswer): answer is KubeAnswer & { kind: "refused" } =>
  answer.kind === "refused" && answer.status === 400;

/** For people: servers before 1.25 do not look for misspelt and repeated fields. */
const STRICT = "strict decoding error: ";

function unknownFields({ message }: { message: string }): string {
  const at = message.indexOf(STRICT);
  return bounded(at < 0 ? message : message.slice(at + STRICT.length), FIELDS_BYTES_MAX);
}

const FIELDS_BYTES_MAX = 400;

export async function removePod(
  ports: PodPorts,
  pod: Pick<WorkerPod, "namespace" | "name" | "uid">,
  pool: string | null,
): Promise<DeleteAnswer> {
  const answer = await callSoon(ports, podDeleteRequest(pod, pool));
  if (answer.kind === "ok" || isOther(answer)) return { kind: "ok" };
  return failure(answer);
}

/** No object of this name, or one of another UID. */
function isOther(answer: Exclude<KubeAnswer, { kind: "ok" }>): boolean {
  if (answer.kind !== "refused" || readAdmission(answer.message) !== null) return false;
  return isNotFound(answer) || (answer.status === 409 && /UID/.test(answer.message));
}

/** By the server; a proxy has no reason. */
export const isNotFound = ({ status, reason }: Refused): boolean =>
  status === 404 && reason === "NotFound";

export function failure(answer: Exclude<KubeAnswer, { kind: "ok" }>): DeleteAnswer {
  const { kind, message } = failureOf(answer);
  return { kind, message };
}
