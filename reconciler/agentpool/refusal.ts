/**
 * Sorts refusals of a pod's creation by what a person does about them. Pure. Wording of
 * kube-apiserver 1.37.1 (docs/reference/agentpool.md#refusals).
 */
import type { BlockReason } from "../../schema/agentpool.ts";
import { formatAdmission, readAdmission } from "../kubernetes/admission.ts";
import type { KubeAnswer } from "../kubernetes/api.ts";
import { bounded } from "../kubernetes/node-call.ts";
import { explainForbidden } from "../kubernetes/permission.ts";

export type Refused = Extract<KubeAnswer, { kind: "refused" }>;
export type Blocked = { kind: "refused"; reason: BlockReason; message: string };

/** Messages of the server may be whole pages; an Event holds 1,024 bytes. */
const MESSAGE_BYTES_MAX = 600;

export const blocked = (reason: BlockReason, message: string): Blocked => {
  return { kind: "refused", reason, message: bounded(message, MESSAGE_BYTES_MAX) };
};

export function judgeRefusal(answer: Refused): Blocked {
  const admission = readAdmission(answer.message);
  if (admission !== null) {
    const reason = admission.isDenied ? "AdmissionDenied" : "Unavailable";
    return blocked(reason, formatAdmission(admission));
  }
  const said = explainForbidden(answer) ?? `${answer.status} ${answer.reason}: ${answer.message}`;
  return blocked(reasonOf(answer), said);
}

/** A name that the template has and the cluster lacks. */
const TEMPLATE = /no PriorityClass with name|error looking up service account/;
const QUOTA = "failed quota: ";
const POD_SECURITY = /violates PodSecurity|(?:minimum|maximum) \S+ usage per/;

/** `failed quota: NAME: must specify limits.cpu for: CONTAINER`. */
const asksLimit = (message: string): boolean =>
  message.split("\n").some((line) => {
    const at = line.indexOf(QUOTA);
    return at >= 0 && line.includes(" must specify", at + QUOTA.length);
  });

function reasonOf({ status, message }: Refused): BlockReason {
  switch (status) {
    case 401:
      return "Forbidden";
    case 403:
      if (/exceeded quota/.test(message)) return "QuotaExceeded";
      if (TEMPLATE.test(message) || asksLimit(message)) return "InvalidTemplate";
      if (POD_SECURITY.test(message)) return "AdmissionDenied";
      return /being terminated/.test(message) ? "Unavailable" : "Forbidden";
    case 400:
    case 413:
    case 422:
      return "InvalidTemplate";
    // The namespace is gone, a version was lost in a race, or the server is busy.
    default:
      return "Unavailable";
  }
}
