/** The newest upgrade of agents: the campaign, and the state of each node. Pure. */
import type { NodeId } from "../../../schema/id.ts";
import type { UpgradeNodeView, UpgradeView } from "../../../schema/upgrade.ts";
import type { Fleet, Sight } from "../../core/fleet.ts";
import { iso, isoOrNull } from "./node.ts";
import { candidateStatusOf, takesPart } from "../../core/upgrade/candidate.ts";
import { campaignOf, isAtRest, rowsOf } from "../../core/upgrade/decide-upgrade.ts";
import { pausedBy } from "../../core/upgrade/step.ts";

/** `sight` is that of the newest activation; `null` = none yet. */
export function viewUpgrade(fleet: Fleet, sight: Sight | null): UpgradeView {
  const campaign = campaignOf(fleet.facts);
  if (campaign === null) return { upgrade: null };
  const rows = rowsOf(fleet.facts, campaign);
  const listed = new Set(rows.map((row) => row.node));
  const nodes: UpgradeNodeView[] = rows.map(({ node, step, since, why }) => {
    const version = fleet.nodes.get(node as NodeId)?.agent?.version ?? "";
    return { node_id: node, version, state: step, since: iso(since), why };
  });
  const running = campaign.state === "running";
  let total = 0;
  let have = 0;
  for (const node of fleet.nodes.values()) {
    if (!takesPart(node)) continue;
    total++;
    const version = node.agent?.version ?? "";
    if (version === campaign.to) have++;
    if (listed.has(node.id)) continue;
    const status = candidateStatusOf(node, campaign);
    const why = "why" in status ? status.why : null;
    // A campaign that has ended gives no more orders.
    const state = running || status.kind === "has it" ? status.kind : "left alone";
    nodes.push({ node_id: node.id, version, state, since: null, why });
  }
  nodes.sort((a, b) => (a.node_id < b.node_id ? -1 : 1));
  const { id, to, state, why, rollback, by, percent, startedAt, endedAt } = campaign;
  return {
    upgrade: {
      id,
      to,
      state,
      why,
      paused: sight === null || isAtRest(campaign) ? null : pausedBy(sight),
      rollback,
      by,
      max_unavailable: `${percent}%`,
      started_at: iso(startedAt),
      ended_at: isoOrNull(endedAt),
      total,
      have,
      nodes,
    },
  };
}
