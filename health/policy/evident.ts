/**
 * Faults that need no second opinion (docs/reference/safety.md#budgets): rules for them are never
 * suspended, and while repairs are restrained they continue at a low rate of their own.
 */
import type { Finding } from "../../schema/finding.ts";

/** NVIDIA XID catalogue: 79 "GPU has fallen off the bus", 95 "Uncontained ECC error". */
const EVIDENT_XIDS: ReadonlySet<number> = new Set([79, 95]);

export function isEvidentFinding({ kind, code }: Finding): boolean {
  return kind === "xid" && typeof code === "number" && EVIDENT_XIDS.has(code);
}
