/**
 * Finds what must change before a refused write passes, from the text that `explainForbidden` and
 * `formatAdmission` made of the server's answer: only that text is stored. Pure.
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

/** How to end a refusal with this text; `null` = unknown. */
export function adviceOf(reason: string): string | null {
  if (reason.includes("forbidden: ")) return GRANT;
  return /refused (?:by|because) (?:admission|ValidatingAdmission)/.test(reason) ? PASS : null;
}
