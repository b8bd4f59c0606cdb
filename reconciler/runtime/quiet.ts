/** What the ingest need not store: checks that change nothing, and origins that prove the same. */
import type { HeldFinding } from "../../schema/held.ts";
import type { Node, Origin } from "../../schema/node.ts";
import type { Report } from "../../schema/report.ts";

/** A clean check of a serving node without held evidence, or with evidence that it cannot clear. */
export function isQuiet(
  check: NonNullable<Report["check"]>,
  node: Node | null,
  now: number,
): boolean {
  if (node === null || node.phase.kind !== "serving" || node.session !== null) return false;
  const { held, verdict, silentSince, lastCheckClean } = node.health;
  if (silentSince !== null || !check.conclusive || check.active.length > 0) return false;
  if (held.length === 0) return verdict === "healthy";
  return verdict === "degraded" && lastCheckClean && held.every((one) => isUnmoved(one, now));
}

function isUnmoved({ judgement, lastAt, resetSeen }: HeldFinding, now: number): boolean {
  const { hold } = judgement;
  if (typeof hold === "object") return now < lastAt + hold.forMs;
  if (hold === "until_replaced") return true;
  return (hold === "until_reset" || hold === "until_reboot") && resetSeen !== true;
}

/** Whether two origins prove the same, whatever their addresses. */
export function isSameProof(a: Origin, b: Origin): boolean {
  const pods = a.pod?.node === b.pod?.node && a.pod?.uid === b.pod?.uid && a.vouched === b.vouched;
  const isSameWorker = (a.worker?.uid ?? null) === (b.worker?.uid ?? null);
  return pods && isSameWorker && (a.tokenProblem ?? null) === (b.tokenProblem ?? null);
}
