/**
 * How agents reach the control plane and whose key they trust, by their own reports. Over plain
 * http such a report is a hint and no proof. Pure.
 */
import type { Node } from "../../../schema/node.ts";
import type { AgentsView, TrustView } from "../../../schema/order.ts";

/** `key` signs orders here; `tls`: this control plane speaks TLS itself. */
export type TrustOf = { key: string | null; tls: boolean };

/** Names per group; `navarch get nodes` lists the rest. */
const NAMES_MAX = 5;

class Group {
  readonly view: AgentsView = { count: 0, nodes: [] };
  add(node: Node): void {
    this.view.count++;
    if (this.view.nodes.length < NAMES_MAX) this.view.nodes.push(node.id);
  }
}

export function viewTrust(nodes: Iterable<Node>, { key, tls }: TrustOf): TrustView {
  const [plain, unverified, firstUse, otherKey] = [1, 2, 3, 4].map(() => new Group()) as [
    Group,
    Group,
    Group,
    Group,
  ];
  const refused: TrustView["refused"] = { orders: 0, nodes: [] };
  let agents = 0;
  for (const node of nodes) {
    const { kind } = node.phase;
    if (node.agent === null || kind === "gone" || kind === "terminating") continue;
    agents++;
    const trust = node.agent.inventory.trust ?? null;
    if (trust === null) {
      unverified.add(node);
      if (!tls) plain.add(node);
      continue;
    }
    if (trust.transport === "http") plain.add(node);
    if (trust.source === "first use" && trust.transport === "http") firstUse.add(node);
    if (key !== null && trust.key && trust.key !== key) otherKey.add(node);
    if (!trust.refused) continue;
    refused.orders += trust.refused;
    const last = trust.last_refusal ?? null;
    if (refused.nodes.length < NAMES_MAX) {
      refused.nodes.push({ node_id: node.id, orders: trust.refused, last });
    }
  }
  return {
    key,
    tls,
    agents,
    without_tls: plain.view,
    unverified: unverified.view,
    first_use: firstUse.view,
    other_key: otherKey.view,
    refused,
  };
}
