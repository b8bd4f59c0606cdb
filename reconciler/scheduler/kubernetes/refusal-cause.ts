/**
 * What has to change before a refused write passes: told from the words that `explainForbidden` and
 * `sayAdmission` made of the server's answer, which is all that is stored of it. Pure.
 */
import type { RefusalCause } from "../../../schema/kubernetes-view.ts";

export function causeOf(message: string): RefusalCause {
  if (/^forbidden: [^\n]{1,300} may not /.test(message)) return "permission";
  return /^refused (?:by|because) (?:admission webhook|ValidatingAdmissionPolicy) /.test(message)
    ? "admission"
    : "other";
}
