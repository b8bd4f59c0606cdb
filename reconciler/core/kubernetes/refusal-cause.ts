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

export const GRANT =
  "apply deploy/11-role.yaml, which has the role and its binding (or run helm upgrade); " +
  "`navarch doctor kubernetes` lists every permission that is missing";

export const PASS = "let the control plane's account pass it, or remove it";

/** What ends a refusal of this text; `null` = that cannot be said from here. */
export function adviceOf(reason: string): string | null {
  if (reason.includes("forbidden: ")) return GRANT;
  return /refused (?:by|because) (?:admission|ValidatingAdmission)/.test(reason) ? PASS : null;
}
