/**
 * A pool's target and members for an external autoscaler: one row for each node that is not gone,
 * in one of three states, with its identities at the cloud and in Kubernetes. Pure.
 */
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node, Phase, PoolState } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { countsIn, desiredOf } from "../../core/fleet.ts";
import { iso } from "./node.ts";

export type MemberView = {
  node_id: string;
  /** `creating`: requested or starting; `deleting`: will end; `running`: all others. */
  state: "creating" | "running" | "deleting";
  phase: string;
  since: string;
  /** The id with which the machine registers: `aws:///us-east-1a/i-0abc`; `null` = unknown. */
  provider_id: string | null;
  /** The cloud's id; `null` until an instance is bought. */
  instance_id: string | null;
  provider: string | null;
  kubernetes_node: string | null;
  /** The last refusal of a cloud. */
  error: { class: string; message: string } | null;
};

export type MembersView = {
  name: string;
  /** The wanted size. */
  target: number;
  min_nodes: number;
  max_nodes: number;
  members: MemberView[];
};

export function viewMembers(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: readonly Node[],
): MembersView {
  const counted = nodes.filter((node) => node.phase.kind !== "gone" && countsIn(node, pool));
  const members = counted.map(viewMember);
  members.sort((a, b) => (a.node_id < b.node_id ? -1 : 1));
  const { minNodes, maxNodes } = pool.scaling;
  const target = desiredOf(pool, state);
  return { name: pool.name, target, min_nodes: minNodes, max_nodes: maxNodes, members };
}

function viewMember(node: Node): MemberView {
  const { phase, instance, agent, kube } = node;
  return {
    node_id: node.id,
    state: stateOf(node),
    phase: phase.kind,
    since: iso(phase.since),
    provider_id: agent?.inventory.provider_ids?.find((one) => one.includes("://")) ?? null,
    instance_id: instance?.id ?? null,
    provider: instance?.provider ?? null,
    kubernetes_node: kube?.name ?? null,
    error: errorOf(phase),
  };
}

function stateOf({ phase, order }: Node): MemberView["state"] {
  switch (phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
      return "creating";
    case "serving":
    case "suspect":
    case "repairing":
    case "replacing":
    case "held":
      return "running";
    case "draining":
      // A node that is emptied for a repair in place, or by a person's order, stays.
      if (phase.purpose === "repair" || order?.goal === "drain") return "running";
      return phase.purpose === "operator" && order === null ? "running" : "deleting";
    case "terminating":
    case "gone":
      return "deleting";
    default:
      return unreachable(phase);
  }
}

function errorOf(phase: Phase): MemberView["error"] {
  if (phase.kind !== "requested" || phase.refusal === null) return null;
  return phase.refused ?? { class: "other", message: phase.refusal };
}
