/**
 * The upgrade order of a node and the answer to it. Pure. A node that restarts for an upgrade is
 * not missed during its time for that.
 */
import type { CommandId, NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { AgentCommand, CommandResult } from "../../../schema/report.ts";
import type { Fact } from "../../../schema/safety.ts";
import type { CampaignFact, UpgradingFact } from "../../../schema/upgrade.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet } from "../fleet.ts";
import { platformOf } from "./candidate.ts";
import { campaignOf, isAtRest, isAway } from "./decide-upgrade.ts";

/** `command: null` = no order, but a report is awaited. */
export type UpgradeWord = { command: AgentCommand | null };

function rowOf(facts: ReadonlyMap<string, Fact>, node: string): UpgradingFact | null {
  const row = facts.get(`upgrading:${node}`);
  return row?.kind === "upgrading" ? row : null;
}

/** The node's order, in every reply until it is answered; `null` when no upgrade is pending. */
export function wordFor(fleet: Fleet, id: NodeId): UpgradeWord | null {
  const campaign = campaignOf(fleet.facts);
  if (campaign === null || isAtRest(campaign)) return null;
  const row = rowOf(fleet.facts, id);
  const node = fleet.nodes.get(id);
  if (row?.campaign !== campaign.id || node === undefined) return null;
  if (!(isAway(row) || row.step === "stranded")) return null;
  if (row.answered !== null) return { command: null };
  switch (row.step) {
    case "told": {
      const platform = platformOf(node) ?? "";
      const name = `navarch-node-${platform}`;
      const url = `/releases/${encodeURIComponent(campaign.to)}/${name}`;
      const parameters = {
        version: campaign.to,
        url,
        sha256: campaign.files[platform] ?? "",
        confirm_ms: String(campaign.deadlineMs),
      };
      // After a person's stop, a node without the order does not get it.
      const isRunning = campaign.state === "running";
      return { command: isRunning ? order(campaign, "to", parameters, node) : null };
    }
    case "returning":
    case "stranded":
      return { command: order(campaign, "back", { version: row.from, back: "true" }, node) };
    default:
      return { command: null };
  }
}

/** A node gets at most one order of each kind in a campaign, so it recognises a repeated one. */
function idOf(campaign: CampaignFact, which: "to" | "back"): string {
  return `${campaign.id}.${which}`;
}

function order(
  campaign: CampaignFact,
  which: "to" | "back",
  parameters: Record<string, string>,
  node: Node,
): AgentCommand {
  const id = idOf(campaign, which) as CommandId;
  return { command_id: id, type: "upgrade", parameters, fence: node.fence };
}

/** A longer answer does not fit into a table. */
const WHY_CHARS_MAX = 200;

/** Stores the node's answer to its order; other answers are ignored. */
export function foldUpgradeResults(
  node: NodeId,
  results: readonly CommandResult[],
  work: UnitOfWork,
): void {
  if (results.length === 0) return;
  const campaign = work.fact("upgrade");
  const row = work.fact(`upgrading:${node}`);
  if (campaign?.kind !== "upgrade" || row?.kind !== "upgrading") return;
  const which = row.step === "returning" || row.step === "stranded" ? "back" : "to";
  const result = results.find((one) => one.command_id === idOf(campaign, which));
  if (result === undefined || row.answered !== null) return;
  const output = (result.output ?? "").slice(0, WHY_CHARS_MAX);
  const why = result.outcome === "succeeded" || output === "" ? row.why : output;
  work.putFact({ ...row, answered: result.outcome, why });
}

/** The node was ordered to restart and still has time for it: its silence proves nothing yet. */
export function isExpectedAway(facts: ReadonlyMap<string, Fact>, node: Node, now: number): boolean {
  // Called for every node in every activation: without an upgrade no key is built.
  const row = facts.has("upgrade") ? rowOf(facts, node.id) : null;
  if (row === null || node.health.silentSince !== null) return false;
  return isAway(row) && now <= row.dueAt;
}
