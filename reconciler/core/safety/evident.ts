/** Whether a node has a fault that is evident by itself (`health/policy/evident.ts`). Pure. */
import { isEvidentFinding } from "../../../health/policy/evident.ts";
import type { Node } from "../../../schema/node.ts";

export function isEvident(node: Node): boolean {
  return node.health.held.some(
    ({ finding, judgement }) => judgement.result === "unhealthy" && isEvidentFinding(finding),
  );
}

/** Whether a rule judged some held finding as definitive: it is no passing state. */
export function isDefinitive(node: Node): boolean {
  return node.health.held.some(
    ({ judgement }) => judgement.result === "unhealthy" && judgement.definitive,
  );
}
