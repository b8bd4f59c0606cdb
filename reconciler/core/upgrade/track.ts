/**
 * Tracks one node with an upgrade order: computes its row as it is now. Pure. It reads levels, not
 * only messages: the version that the agent reports, its newest full check, its verdict.
 */
import type { Node } from "../../../schema/node.ts";
import type { Verdict } from "../../../schema/policy.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { CampaignFact, UpgradingFact } from "../../../schema/upgrade.ts";
import { verdictOfAgent } from "../fleet.ts";
import { takesPart } from "./candidate.ts";

/**
 * A healthy upgraded node is watched for this long before the canary counts as proof and before the
 * end, so that a release that fails after half a minute reaches no second node. Twice the usual
 * heartbeat, and one full check at the usual cadence.
 */
export const WATCH_MS = 60_000;

type TrackContext = {
  campaign: CampaignFact;
  now: number;
  /** For how long this process has observed without a pause: the most that a node can be late. */
  attentiveMs: number;
  /** Missing reports do not count. */
  blind: boolean;
};

/** The row itself if nothing changed. */
export function trackRow(
  row: UpgradingFact,
  node: Node | undefined,
  context: TrackContext,
): UpgradingFact {
  const { campaign, now } = context;
  const is = (step: UpgradingFact["step"], why: string | null = null): UpgradingFact => {
    return { ...row, step, since: now, why };
  };
  if (isOver(row)) return row;
  if (node === undefined || !takesPart(node) || node.agent === null) return is("left");
  const { version } = node.agent;
  const late = isLate(row, context);
  switch (row.step) {
    case "told": {
      // Since the report with the new version: a check in the same report counts.
      const since = Math.min(now, node.agent.lastHeartbeatAt);
      if (version === campaign.to) return { ...is("checking"), since, seen: true };
      if (row.answered === "rejected") return is("refused", row.why);
      if (row.answered === "failed") return is("failed", row.why ?? "its agent could not do it");
      return late ? is("failed", `not back as ${campaign.to} in time`) : row;
    }
    case "checking": {
      const worse = worsened(row, node);
      if (worse !== null && !context.blind) return is("failed", worse);
      if (version !== campaign.to) return is("failed", `it went back to ${version} by itself`);
      // A check counts if it came with the first report of the new version, or later.
      const checked = node.health.lastCheckAt;
      if (checked !== null && checked >= row.since && worse === null) return is("upgraded");
      return late ? is("failed", `no full check of ${campaign.to} in time`) : row;
    }
    case "upgraded": {
      if (now - row.since >= WATCH_MS || context.blind) return row;
      if (version !== campaign.to) return is("failed", `it went back to ${version} by itself`);
      const worse = worsened(row, node);
      return worse === null ? row : is("failed", worse);
    }
    case "failed":
    case "refused":
    case "back":
    case "left":
      return row;
    case "returning":
    case "stranded": {
      // The last reported version of a silent node proves nothing.
      const heard = late && node.health.silentSince === null;
      const sure = row.seen || row.answered === "succeeded" || heard;
      if (version === row.from && sure) return is("back", row.why);
      if (row.step === "stranded") return row;
      if (row.answered === "failed" || row.answered === "rejected") return is("stranded", row.why);
      return late ? is("stranded", row.why ?? whyNotBack(row)) : row;
    }
    default:
      return unreachable(row.step);
  }
}

function whyNotBack({ from }: UpgradingFact): string {
  return `not back as ${from} in time`;
}

/**
 * Whether a node without a fault fell silent after its order to roll back. An earlier fault has
 * another cause, and proves nothing about the rollback.
 */
export function isLost(row: UpgradingFact, node: Node | undefined): boolean {
  const silent = (node?.health.silentSince ?? null) !== null;
  return row.step === "stranded" && row.why === whyNotBack(row) && silent;
}

function isOver({ step }: UpgradingFact): boolean {
  return step === "refused" || step === "back" || step === "left";
}

function isLate(row: UpgradingFact, { campaign, now, attentiveMs, blind }: TrackContext): boolean {
  if (blind) return false;
  const begun = row.dueAt - campaign.deadlineMs;
  return Math.min(now - begun, attentiveMs) > campaign.deadlineMs;
}

const RANK: Readonly<Record<Verdict, number>> = {
  unknown: 1,
  healthy: 1,
  degraded: 2,
  unhealthy: 3,
};

/** How its verdict is worse than when it got the order, or `null`. */
function worsened(row: UpgradingFact, node: Node): string | null {
  const verdict = verdictOfAgent(node);
  if (RANK[verdict] <= RANK[row.was]) return null;
  const held = node.health.held.find((one) => one.judgement.result === verdict);
  const silent = node.health.silentSince === null ? verdict : "its heartbeats stopped";
  return `${verdict} after the upgrade: ${held?.judgement.because ?? silent}`;
}
