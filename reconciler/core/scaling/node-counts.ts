/**
 * A pool's nodes as an autoscaler counts them. Pure. What counts is what the pool owns or is
 * buying; a node on its way out is neither capacity nor a carrier of load.
 */
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { verdictOfNode, workOn, type Sight } from "../fleet.ts";

export type NodeCounts = {
  provisioning: number;
  registered: Node[];
  healthy: number;
  /** Could leave without touching work: nothing runs on them, as far as is known. */
  spare: number;
};

export function countNodes(nodes: Iterable<Node>, sight: Sight): NodeCounts {
  const counts: NodeCounts = { provisioning: 0, registered: [], healthy: 0, spare: 0 };
  for (const node of nodes) {
    switch (node.phase.kind) {
      case "requested":
      case "booting":
        counts.provisioning++;
        counts.spare++;
        break;
      case "verifying":
        counts.provisioning++;
        // Its cluster may place work on it before it counts as a node.
        if (workOn(sight, node.id).kind !== "busy") counts.spare++;
        break;
      case "bootstrapping":
        counts.provisioning++;
        break;
      case "serving":
        countRegistered(counts, node);
        // "Nobody can tell" is not "idle".
        if (workOn(sight, node.id).kind === "empty") counts.spare++;
        break;
      case "suspect":
      case "repairing":
      case "replacing":
      case "held":
        countRegistered(counts, node);
        break;
      case "draining":
      case "terminating":
      case "gone":
        break;
      default:
        unreachable(node.phase);
    }
  }
  return counts;
}

function countRegistered(counts: NodeCounts, node: Node): void {
  counts.registered.push(node);
  const verdict = verdictOfNode(node);
  if (verdict === "healthy" || verdict === "degraded") counts.healthy++;
}
