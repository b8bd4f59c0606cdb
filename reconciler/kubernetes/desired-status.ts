/**
 * What a node's object in Kubernetes shows of it, in Kubernetes' own words: pure. Positive polarity
 * as `Ready` has it, so that `GPUHealthy=False` is the bad one.
 */
import type { KubernetesConfig } from "../../schema/config.ts";
import type { ShownNode } from "../core/desired-state.ts";
import { formatManaged } from "./managed-text.ts";
import { FLEET_LABEL, DOMAIN, type KubeNode } from "../core/kubernetes/object.ts";
import type { DesiredStatus } from "./status-mirror.ts";

export const CONDITION = { healthy: "GPUHealthy", managed: "NavarchManaged" } as const;

const HEALTH = {
  healthy: { status: "True", reason: "NoFault" },
  degraded: { status: "True", reason: "Degraded" },
  unhealthy: { status: "False", reason: "Fault" },
  unknown: { status: "Unknown", reason: "NotChecked" },
} as const;

export function desiredStatusOf(
  node: ShownNode,
  object: KubeNode,
  mirror: KubernetesConfig["mirror"],
  fleet: string,
): DesiredStatus {
  const { status, reason } = HEALTH[node.verdict];
  const session = node.session === null ? "" : ` (session ${node.session})`;
  const because = node.because === "" ? "no fault is held against it" : node.because;
  const pool = node.pool === null ? {} : { [`${DOMAIN}/pool`]: node.pool as string };
  return {
    node: node.node,
    name: node.name,
    uid: node.uid,
    pool: node.pool,
    object,
    conditions: [
      { type: CONDITION.healthy, status, reason, message: `${because}${session}` },
      { type: CONDITION.managed, status: "True", ...formatManaged(node) },
    ],
    labels: { ...node.labels, ...pool, [FLEET_LABEL]: fleet },
    fleet: node.bought ? null : fleet,
    unhealthyTaint: node.verdict === "unhealthy" && node.cordoned ? "gpu" : null,
    draining: node.draining,
    verified: node.phase === "serving",
    later: node.marking,
    mirror: { condition: mirror.condition, labels: mirror.labels, taint: mirror.taint },
  };
}
