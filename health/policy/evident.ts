/**
 * Faults that need no second opinion (docs/reference/safety.md#budgets): the device is off the bus,
 * or its memory error could not be contained. No rule, release or observer makes these up: no
 * quarantine covers them, and while everything else is restrained they move on by a trickle of
 * their own.
 */
import type { Finding } from "../../schema/finding.ts";

/** NVIDIA XID catalogue: 79 "GPU has fallen off the bus", 95 "Uncontained ECC error". */
const EVIDENT_XIDS: ReadonlySet<number> = new Set([79, 95]);

export function isEvidentFinding({ kind, code }: Finding): boolean {
  return kind === "xid" && typeof code === "number" && EVIDENT_XIDS.has(code);
}
