/** Finds the node that a request names, and shows an order. */
import type { Context } from "hono";
import type { CommandView } from "../../../schema/api.ts";
import type { Command } from "../../../schema/command.ts";
import type { Node } from "../../../schema/node.ts";
import { iso } from "../view/node.ts";
import type { Env, RoutePorts } from "./route.ts";
import { findNode } from "./find-node.ts";
import { Refusal, unknown } from "./request.ts";

/** The node that the path names. An order needs exactly one match, by its current names. */
export function locateNode(c: Context<Env>, ports: RoutePorts): Node {
  return nodeNamed(ports, c.req.param("id") ?? "", c.req.method !== "GET");
}

export function nodeNamed(ports: RoutePorts, given: string, isOrder: boolean): Node {
  const { nodes } = ports.reconciler.fleet();
  const found = findNode(nodes, given, isOrder ? null : { now: ports.clock.wallMs() });
  if (found === null) throw refuseUnknown(ports, given);
  if (!("ambiguous" in found)) return found;
  throw new Refusal("conflict", `${given} names several nodes: ${found.ambiguous.join(", ")}`);
}

function refuseUnknown({ reconciler }: RoutePorts, given: string): Refusal {
  const objects = reconciler.cluster().cluster?.objects().list ?? [];
  if (objects.some(({ name }) => name === given)) {
    const message = `Node ${given} is in the cluster but matches no machine of this fleet`;
    return new Refusal("not_found", message);
  }
  return unknown("node", given, [...reconciler.fleet().nodes.keys()]);
}

export function viewCommand(command: Command): CommandView {
  return {
    command_id: command.id,
    node_id: command.node,
    type: command.type,
    issued_at: iso(command.issuedAt),
    issued_by: command.issuedBy,
    reason: command.reason,
    status: command.state,
    message: command.message,
  };
}
