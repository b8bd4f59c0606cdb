/** A node's phase and health as the API's enumerations. Pure. */
import type { HealthStatus, InstanceStateName, NodeStatus } from "../../schema/api.ts";
import type { Node } from "../../schema/node.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { isLostToCluster, verdictOfNode } from "./fleet.ts";

/** `threshold` is the pool's number of unhealthy evaluations. */
export function statusOf(node: Node, threshold = 1): NodeStatus {
  const cordoned = node.cordon.product !== null || node.cordon.human !== null;
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return "NODE_STATUS_UNKNOWN";
    case "serving":
      return cordoned ? "NODE_STATUS_CORDONED" : "NODE_STATUS_ACTIVE";
    case "suspect": {
      const isOut = node.health.silentSince !== null || isLostToCluster(node);
      const reached = isOut || node.health.unhealthyRun >= threshold;
      if (reached && verdictOfNode(node) === "unhealthy") return "NODE_STATUS_UNHEALTHY";
      return cordoned ? "NODE_STATUS_CORDONED" : "NODE_STATUS_ACTIVE";
    }
    case "draining":
      return "NODE_STATUS_DRAINING";
    case "repairing":
    case "replacing":
      return "NODE_STATUS_UNHEALTHY";
    case "held":
      return "NODE_STATUS_CORDONED";
    case "terminating":
    case "gone":
      return "NODE_STATUS_TERMINATED";
    default:
      return unreachable(node.phase);
  }
}

export function healthStatusOf(node: Node): HealthStatus {
  switch (verdictOfNode(node)) {
    case "unknown":
      return "HEALTH_STATUS_UNKNOWN";
    case "healthy":
      return "HEALTH_STATUS_HEALTHY";
    case "degraded":
      return "HEALTH_STATUS_DEGRADED";
    case "unhealthy":
      return "HEALTH_STATUS_UNHEALTHY";
  }
}

export function instanceStateOf(node: Node): InstanceStateName {
  switch (node.phase.kind) {
    case "requested":
      return "INSTANCE_STATE_PROVISIONING";
    case "booting":
    case "bootstrapping":
      return "INSTANCE_STATE_PENDING_REGISTRATION";
    case "verifying":
    case "serving":
    case "suspect":
    case "draining":
    case "repairing":
    case "replacing":
    case "held":
      return "INSTANCE_STATE_RUNNING";
    case "terminating":
      return "INSTANCE_STATE_TERMINATING";
    case "gone":
      return node.agent === null ? "INSTANCE_STATE_FAILED" : "INSTANCE_STATE_TERMINATED";
    default:
      return unreachable(node.phase);
  }
}
