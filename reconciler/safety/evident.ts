/**
 * Faults that need no second opinion (safety.md §4.3): the device is off the bus, or its memory
 * error could not be contained. No rule, release or observer makes these up, so while everything
 * else is restrained they move on by a trickle of their own.
 */
import type { Node } from "../../schema/node.ts";

/** NVIDIA XID catalogue: 79 "GPU has fallen off the bus", 95 "Uncontained ECC error". */
const EVIDENT_XIDS: ReadonlySet<number> = new Set([79, 95]);

export function isEvident(node: Node): boolean {
  return node.health.held.some(
    ({ finding, judgement }) =>
      judgement.result === "unhealthy" &&
      finding.kind === "xid" &&
      typeof finding.code === "number" &&
      EVIDENT_XIDS.has(finding.code),
  );
}
