/** Asks an API server what the provider's account may do there. Stores nothing. */
import * as v from "valibot";
import type { Inspection } from "../../core/provider.ts";
import type { KubeApi } from "../../kubernetes/api.ts";

const REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const Review = v.object({ status: v.object({ allowed: v.boolean() }) });

export type Right = { verb: string; group: string; resource: string };

export async function inspectRight(
  api: KubeApi,
  right: Right,
  { isNeeded, timeoutMs }: { isNeeded: boolean; timeoutMs: number },
): Promise<Inspection> {
  const spec = { resourceAttributes: right };
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec };
  const path = REVIEWS;
  const answer = await api.call({ verb: "create", path, body, timeoutMs, lane: "status" });
  const what = `${right.verb} ${right.resource}`;
  if (answer.kind !== "ok") return row("warn", "permission", `${what}: ${answer.message}`);
  const read = v.safeParse(Review, answer.body);
  if (read.success && read.output.status.allowed) return row("ok", "permission", what);
  const message = `${what} is not allowed: grant it to the kubeconfig's account`;
  return row(isNeeded ? "fail" : "warn", "permission", message);
}

export function row(outcome: Inspection["outcome"], check: string, message: string): Inspection {
  return { check, outcome, message };
}
