/**
 * Identifies a worker's pod by its service-account token, which the API server signed for one pod
 * and verifies by TokenReview (authentication.k8s.io/v1). The answer repeats the token, so only the
 * fields below are used.
 */
import type { WorkerReview } from "../core/agentpool/service.ts";
import type { KubeApi } from "../kubernetes/api.ts";
import { askReview, explainForbidden } from "../kubernetes/permission.ts";
import { readIdentity, readList, readObject } from "../kubernetes/read-field.ts";
import { brief, POD_AUDIENCE, readUser, refused, TIMEOUT_MS } from "../kubernetes/token-review.ts";

/**
 * The pod that a service-account token is bound to, for workers of AgentPools. Our audience counts,
 * and the API server's own: a pod without a projected volume has no other token. Never rejects.
 */
export async function reviewWorkerToken(api: KubeApi, token: string): Promise<WorkerReview> {
  // Only chooses the question; the server judges the claim.
  const isOurs = readAudiences(token).includes(POD_AUDIENCE);
  const spec = { token, ...(isOurs ? { audiences: [POD_AUDIENCE] } : {}) };
  const question = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec };
  const answer = await askReview(api, question, TIMEOUT_MS);
  if (answer.kind === "ok") return judgeWorker(answer.body, isOurs);
  const why = explainForbidden(answer) ?? answer.message;
  return { kind: "unknown", problem: `its pod token cannot be checked: ${brief(why)}` };
}

function judgeWorker(body: unknown, isOurs: boolean): WorkerReview {
  const read = readUser(body);
  if ("problem" in read) return read;
  if (isOurs && !read.audiences.includes(POD_AUDIENCE)) {
    return refused(`is not for the audience ${POD_AUDIENCE}`);
  }
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(read.name) ?? [];
  if (namespace === undefined) return refused(`is of ${read.name}, not of a service account`);
  const of = { name: read.claim("pod-name"), uid: read.claim("pod-uid"), resourceVersion: null };
  const pod = readIdentity(of);
  if (pod === null) return refused("is bound to no pod");
  // The server lets an account be bound to pods of its own namespace only.
  return { kind: "proven", pod: { namespace, name: pod.name, uid: pod.uid } };
}

/** As the token claims; empty if it cannot be read. */
function readAudiences(token: string): readonly unknown[] {
  try {
    const payload: unknown = JSON.parse(
      Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
    );
    const { aud } = readObject(payload);
    return Array.isArray(aud) ? readList(aud) : [aud];
  } catch {
    return [];
  }
}
