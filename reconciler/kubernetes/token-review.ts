/**
 * Identifies the Node of an agent's pod by its service-account token, which the API server signed
 * for one pod and verifies by TokenReview (authentication.k8s.io/v1). Only tokens for our audience
 * and of the agents' account count: a pod of another account could otherwise impersonate any Node.
 * The Node claims exist from Kubernetes 1.30 on (`ServiceAccountTokenPodNodeInfo`, GA in 1.32). The
 * answer repeats the token, so only the fields below are used.
 */
import type { V1TokenReview, V1TokenReviewStatus, V1UserInfo } from "@kubernetes/client-node";
import type { KubeApi } from "./api.ts";
import { askReview, explainForbidden } from "./permission.ts";
import { readIdentity, readList, readObject, readText } from "./read-field.ts";
import type { PodReview } from "../core/kubernetes/scheduler.ts";

/** Of the volume in `deploy/40-node-agent.yaml`. */
export const POD_AUDIENCE = "navarch";
/** The account of `deploy/10-account.yaml` in this namespace. */
export const agentAccountIn = (namespace: string): string => `${namespace}/navarch-node-agent`;

/** Built-in authenticators take milliseconds; webhooks may take longer. */
export const TIMEOUT_MS = 5_000;
const CHARS_MAX = 200;
const CLAIM = "authentication.kubernetes.io/";

/** `account`: `NAMESPACE/NAME`; `null`: the shipped one. Never rejects. */
export async function reviewPodToken(
  api: KubeApi,
  token: string,
  account: string | null,
): Promise<PodReview> {
  const spec = { token, audiences: [POD_AUDIENCE] };
  const question = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec };
  const answer = await askReview(api, question, TIMEOUT_MS);
  if (answer.kind === "ok") return judge(answer.body, account ?? agentAccountIn("navarch"));
  const why = explainForbidden(answer) ?? answer.message;
  return { kind: "unknown", problem: `its pod token cannot be checked: ${brief(why)}` };
}

export const brief = (text: string): string => text.slice(0, CHARS_MAX);
type Refused = { kind: "refused"; problem: string };
export const refused = (why: string): Refused => {
  return { kind: "refused", problem: `its pod token ${why}` };
};

type ReadUser = {
  name: string;
  audiences: readonly unknown[];
  /** `undefined` if it is missing or has several values. */
  claim(key: string): unknown;
};

/** Who the token is of, by the server's word. */
export function readUser(body: unknown): ReadUser | Refused {
  const status = readObject<V1TokenReviewStatus>(readObject<V1TokenReview>(body).status);
  if (status.authenticated !== true) {
    const why = readText(status.error, CHARS_MAX) ?? "no reason given";
    return refused(`is not accepted by the API server: ${why}`);
  }
  const user = readObject<V1UserInfo>(status.user);
  const extra = readObject(user.extra);
  return {
    name: readText(user.username, CHARS_MAX) ?? "",
    audiences: readList(status.audiences),
    claim: (key) => {
      const [first, ...more] = readList(extra[`${CLAIM}${key}`]);
      return more.length === 0 ? first : undefined;
    },
  };
}

function judge(body: unknown, account: string): PodReview {
  const read = readUser(body);
  if ("problem" in read) return read;
  const { name, claim } = read;
  // A server without support for audiences returns none and has not checked them (API reference).
  if (!read.audiences.includes(POD_AUDIENCE)) {
    return refused(`is not for the audience ${POD_AUDIENCE}`);
  }
  const [namespace = "", own = ""] = account.split("/");
  if (name !== `system:serviceaccount:${namespace}:${own}`) {
    return refused(`is of ${name}, not of service account ${account}`);
  }
  if (readText(claim("pod-uid")) === null) return refused("is bound to no pod");
  const of = { name: claim("node-name"), uid: claim("node-uid"), resourceVersion: null };
  const node = readIdentity(of);
  if (node === null) return refused("names no Node: that takes Kubernetes 1.30 or newer");
  return { kind: "proven", pod: { node: node.name, uid: node.uid } };
}
