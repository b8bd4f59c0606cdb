/**
 * A rolling upgrade of the fleet's agents, kept as facts (`safety.ts`): one row for the campaign
 * and one for each ordered node, so that a restart or the next leader continues. Instants are wall
 * milliseconds; `…Ms` are durations.
 */
import * as v from "valibot";
import { amount, instant } from "./number.ts";
import { VERDICTS } from "./policy.ts";

const text = v.string();

/** Prefix of the capability of an agent that can be upgraded; its platform follows. */
export const UPGRADE_CAPABILITY = "upgrade:";

export const CAMPAIGN_STATES = [
  "running",
  /** Every node that can be upgraded has the version or missed its deadline. */
  "done",
  /** Stopped by a failure or by a person. Ordered nodes may be rolling back. */
  "stopped",
  /** Every ordered node has the old version again. */
  "rolled back",
] as const;
export type CampaignState = (typeof CAMPAIGN_STATES)[number];

export const CampaignFact = v.object({
  kind: v.literal("upgrade"),
  id: text,
  to: text,
  /** Per cent of the nodes with an agent that may upgrade at once; at least one. */
  percent: amount,
  /** Written by older releases; unused. */
  force: v.optional(v.boolean(), false),
  by: text,
  startedAt: instant,
  /** Time for an ordered node to return and pass one full check. */
  deadlineMs: amount,
  /** SHA-256 (hex) of the agent by platform, `linux-amd64`. */
  files: v.record(text, text),
  state: v.picklist(CAMPAIGN_STATES),
  why: v.nullable(text),
  endedAt: v.nullable(instant),
  /** Stopped: whether ordered nodes roll back. */
  rollback: v.boolean(),
});
export type CampaignFact = v.InferOutput<typeof CampaignFact>;

export const UPGRADE_STEPS = [
  /** The order was sent; it may not have arrived. */
  "told",
  /** The new version reports; one full check is open. */
  "checking",
  /** A full check of the new version passed. */
  "upgraded",
  /** The agent refused; nothing changed. */
  "refused",
  /** The upgrade failed on this node, which stopped the campaign. */
  "failed",
  /** Ordered to roll back. */
  "returning",
  /** It runs the old version again. */
  "back",
  /** Did not roll back in time; the order is repeated. */
  "stranded",
  /** The node was removed, or is no longer part of the upgrade. */
  "left",
] as const;
export type UpgradeStep = (typeof UPGRADE_STEPS)[number];

/** One ordered node. */
export const UpgradingFact = v.object({
  kind: v.literal("upgrading"),
  node: text,
  campaign: text,
  step: v.picklist(UPGRADE_STEPS),
  since: instant,
  /** The version before the upgrade. */
  from: text,
  /** The verdict before the upgrade; a worse one afterwards counts as a failure. */
  was: v.picklist(VERDICTS),
  /** Deadline for the node's report; silence after it counts as a failure. */
  dueAt: instant,
  /** The new version has reported. */
  seen: v.boolean(),
  /** The agent's answer to the newest order; an answered order is not repeated. */
  answered: v.nullable(v.picklist(["succeeded", "failed", "rejected"])),
  why: v.nullable(text),
});
export type UpgradingFact = v.InferOutput<typeof UpgradingFact>;

/** `GET /v1/upgrade`. */
export type UpgradeView = {
  upgrade: {
    id: string;
    to: string;
    state: CampaignState;
    why: string | null;
    /** Why no further agent is ordered now. */
    paused: string | null;
    rollback: boolean;
    by: string;
    max_unavailable: string;
    started_at: string;
    ended_at: string | null;
    /** Nodes with an agent, and those with the version. */
    total: number;
    have: number;
    nodes: UpgradeNodeView[];
  } | null;
};
export type UpgradeNodeView = {
  node_id: string;
  version: string;
  /** A step, or `has it`, `next`, `waiting`, `left alone`. */
  state: UpgradeStep | "has it" | "next" | "waiting" | "left alone";
  since: string | null;
  why: string | null;
};
