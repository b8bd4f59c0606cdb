/**
 * Suppression: the evidence that a person overrode by an uncordon. Pure. It triggers nothing until
 * all of it has been gone once; new evidence counts as usual.
 */
import type { Node } from "../../../schema/node.ts";
import { isLostToCluster } from "../fleet.ts";
import { LIMIT } from "../../../schema/limit.ts";

/** The missing heartbeats of a node as evidence. */
const SILENCE = "silence";
/** Its Node that was NotReady or gone for too long. */
const LOST = "lost-to-cluster";

/** Keys of the current evidence against the node, sorted. */
export function evidenceKeys(node: Node): string[] {
  const { health } = node;
  const keys = health.held
    .filter(({ judgement }) => judgement.result === "unhealthy")
    .map(({ key, judgement }) => `${judgement.rule}/${key}`.slice(0, LIMIT.evidenceKeyMax));
  if (health.silentSince !== null) keys.push(SILENCE);
  if (isLostToCluster(node)) keys.push(LOST);
  return [...new Set(keys)].sort().slice(0, LIMIT.evidenceMax);
}

/** Whether all current evidence is suppressed. */
export function isSuppressed(node: Node): boolean {
  const { waiver } = node;
  if (waiver === null) return false;
  return evidenceKeys(node).every((key) => waiver.evidence.includes(key));
}

/** The node without a suppression that has ended, or `null` if nothing changes. */
export function foldSuppression(node: Node): Node | null {
  if (node.waiver === null) return null;
  const over = evidenceKeys(node).length === 0 && node.health.verdict !== "unhealthy";
  return over || node.phase.kind === "gone" ? { ...node, waiver: null } : null;
}
