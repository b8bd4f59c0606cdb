/** Where a node's agent reports from. Pure. */
import type { Origin } from "../../schema/node.ts";

/** Whether two origins prove the same, whatever their addresses. */
export function isSameProof(a: Origin, b: Origin): boolean {
  const pods = a.pod?.node === b.pod?.node && a.pod?.uid === b.pod?.uid && a.vouched === b.vouched;
  return pods && (a.tokenProblem ?? null) === (b.tokenProblem ?? null);
}
