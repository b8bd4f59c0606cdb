/**
 * What became of one node that was told: its row as it is now. Pure. Levels are looked at, never
 * messages alone: the version that its agent speaks as, its newest full check, its verdict.
 */
import type { Node } from "../../../schema/node.ts";
import type { Verdict } from "../../../schema/policy.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { CampaignFact, UpgradingFact } from "../../../schema/upgrade.ts";
import { verdictOfNode } from "../fleet.ts";
import { takesPart } from "./candidate.ts";

/**
 * A node that came back well is watched for this much longer before the canary counts as proof, and
 * before the end: a release that falls over after half a minute must not reach a second node. Twice
 * the usual heartbeat, and one full check at the usual cadence.
 */
export const WATCH_MS = 60_000;

export type TrackContext = {
  campaign: CampaignFact;
  now: number;
  /** For how long this process has looked without a pause: nobody is late for longer. */
  attentiveMs: number;
  /** Nothing that is missing counts. */
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
      // From the letter on that said so: a check that came with it counts.
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
      // Only a check that came with, or after, the first word of the new version says anything.
      const checked = node.health.lastCheckAt;
      if (checked !== null && checked >= row.since && worse === null) {
        return is("upgraded");
      }
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
      // What it was when it was last heard says nothing about one that is not heard.
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
 * True for one that nothing was wrong with until it was told to go back, and that has not been
 * heard since: what was wrong before has another reason, and says nothing about the way back.
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

/** How it is worse than it was when it was told, or `null`. */
function worsened(row: UpgradingFact, node: Node): string | null {
  const verdict = verdictOfNode(node);
  if (RANK[verdict] <= RANK[row.was]) return null;
  const held = node.health.held.find((one) => one.judgement.result === verdict);
  const silent = node.health.silentSince === null ? verdict : "its heartbeats stopped";
  return `${verdict} after the upgrade: ${held?.judgement.because ?? silent}`;
}
