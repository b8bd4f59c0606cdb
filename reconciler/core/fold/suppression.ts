/**
 * What a person has seen and set aside by giving a node back: the very evidence that was held then.
 * Pure. It moves nothing until all of it has been gone once; anything new is judged as always.
 */
import type { Node } from "../../../schema/node.ts";
import { LIMIT } from "../../../schema/limit.ts";

/** The missing heartbeats of a node as evidence. */
const SILENCE = "silence";

/** Keys of everything that speaks against the node now, sorted. */
export function evidenceKeys({ health }: Node): string[] {
  const keys = health.held
    .filter(({ judgement }) => judgement.result === "unhealthy")
    .map(({ key, judgement }) => `${judgement.rule}/${key}`.slice(0, LIMIT.evidenceKeyMax));
  if (health.silentSince !== null) keys.push(SILENCE);
  return [...new Set(keys)].sort().slice(0, LIMIT.evidenceMax);
}

/** Whether a person has given the node back in spite of everything that is held against it now. */
export function isSuppressed(node: Node): boolean {
  const { waiver } = node;
  if (waiver === null) return false;
  return evidenceKeys(node).every((key) => waiver.evidence.includes(key));
}

/** The node without a waiver that has nothing left to speak of, or `null` if nothing changes. */
export function foldSuppression(node: Node): Node | null {
  if (node.waiver === null) return null;
  const over = evidenceKeys(node).length === 0 && node.health.verdict !== "unhealthy";
  return over || node.phase.kind === "gone" ? { ...node, waiver: null } : null;
}
