/**
 * A pool's nodes as an autoscaler counts them. Pure. What counts is what the pool owns or is
 * buying; a node on its way out is neither capacity nor a carrier of load.
 */
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { verdictOfNode, workOn, type Sight } from "../fleet.ts";

export type Census = {
  provisioning: number;
  registered: Node[];
  healthy: number;
  /** Could leave without touching work: nothing runs on them, as far as anybody can tell. */
  spare: number;
};

export function takeCensus(nodes: Iterable<Node>, sight: Sight): Census {
  const census: Census = { provisioning: 0, registered: [], healthy: 0, spare: 0 };
  for (const node of nodes) {
    switch (node.phase.kind) {
      case "requested":
      case "booting":
        census.provisioning++;
        census.spare++;
        break;
      case "verifying":
        census.provisioning++;
        // Its cluster may place work on it before it counts as a node.
        if (workOn(sight, node.id).kind !== "busy") census.spare++;
        break;
      case "bootstrapping":
        census.provisioning++;
        break;
      case "serving":
        countRegistered(census, node);
        // "Nobody can tell" is not "idle".
        if (workOn(sight, node.id).kind === "empty") census.spare++;
        break;
      case "suspect":
      case "repairing":
      case "replacing":
      case "held":
        countRegistered(census, node);
        break;
      case "draining":
      case "terminating":
      case "gone":
        break;
      default:
        unreachable(node.phase);
    }
  }
  return census;
}

function countRegistered(census: Census, node: Node): void {
  census.registered.push(node);
  const verdict = verdictOfNode(node);
  if (verdict === "healthy" || verdict === "degraded") census.healthy++;
}
