/**
 * What a node is told in an upgrade and what its answer does to its row; and that who was told to
 * go away for a moment is not missed in that moment. Pure.
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

/** `command` `null`: nothing to say, but what it reports is awaited. */
export type UpgradeWord = { command: AgentCommand | null };

function rowOf(facts: ReadonlyMap<string, Fact>, node: string): UpgradingFact | null {
  const row = facts.get(`upgrading:${node}`);
  return row?.kind === "upgrading" ? row : null;
}

/** Its order, in every reply until it is answered; `null` = no upgrade concerns it now. */
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
      // A person's stop: who has not heard of it yet need not.
      return {
        command: campaign.state === "running" ? order(campaign, "to", parameters, node) : null,
      };
    }
    case "returning":
    case "stranded":
      return { command: order(campaign, "back", { version: row.from, back: "true" }, node) };
    default:
      return { command: null };
  }
}

/** Of each kind a node gets at most one in a campaign, so its notes know one that comes again. */
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

/** Of an answer more than this is nobody's to read in a table. */
const WHY_CHARS_MAX = 200;

/** What the node answered to its order; answers to anything else are not looked at. */
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
  const said = (result.output ?? "").slice(0, WHY_CHARS_MAX);
  const why = result.outcome === "succeeded" || said === "" ? row.why : said;
  work.putFact({ ...row, answered: result.outcome, why });
}

/** Told to restart, and its time for that is not over: not hearing from it says nothing yet. */
export function isExpectedAway(facts: ReadonlyMap<string, Fact>, node: Node, now: number): boolean {
  // Asked of every node in every activation: no key is made where there is no upgrade.
  const row = facts.has("upgrade") ? rowOf(facts, node.id) : null;
  if (row === null || node.health.silentSince !== null) return false;
  return isAway(row) && now <= row.dueAt;
}
