/** What must change before a refused write to Kubernetes passes. Pure. */
import type { RefusalCause } from "../../../schema/kube-past.ts";

export const GRANT =
  "apply deploy/11-role.yaml, which has the role and its binding (or run helm upgrade); " +
  "`navarch doctor kubernetes` lists every permission that is missing";

export const PASS = "let the control plane's account pass it, or remove it";

/** How to end a refusal; `null` = unknown. */
export function adviceOf(cause: RefusalCause | undefined): string | null {
  if (cause === "permission") return GRANT;
  return cause === "admission" ? PASS : null;
}
