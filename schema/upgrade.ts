/**
 * A rolling upgrade of the fleet's agents: what was ordered, how far it is, and what became of each
 * node. Kept as facts (`safety.ts`), one row for the campaign and one for each node that was told,
 * so that a restart or the next leader goes on where the last one was. Instants are wall
 * milliseconds; `…Ms` are durations.
 */
import * as v from "valibot";
import { amount, instant } from "./number.ts";
import { VERDICTS } from "./policy.ts";

const text = v.string();

/** What an agent says of itself in `capabilities` if it can be upgraded; its platform follows. */
export const UPGRADE_CAPABILITY = "upgrade:";

export const CAMPAIGN_STATES = [
  "running",
  /** Every node that can be had the version, or its time is over. */
  "done",
  /** By itself after a failure, or by a person. Who was told may be on the way back. */
  "stopped",
  /** Everybody who had been told has the old version again. */
  "rolled back",
] as const;
export type CampaignState = (typeof CAMPAIGN_STATES)[number];

export const CampaignFact = v.object({
  kind: v.literal("upgrade"),
  id: text,
  to: text,
  /** Per cent of the nodes with an agent that may be told at once; at least one always may. */
  percent: amount,
  /** Of earlier releases, which could order a downgrade. Nothing reads it now. */
  force: v.optional(v.boolean(), false),
  by: text,
  startedAt: instant,
  /** A node that is told has this long to come back and to pass one full check. */
  deadlineMs: amount,
  /** SHA-256 (hex) of the agent by platform, `linux-amd64`: frozen when it was ordered. */
  files: v.record(text, text),
  state: v.picklist(CAMPAIGN_STATES),
  /** Why it is in this state, where there is something to say. */
  why: v.nullable(text),
  endedAt: v.nullable(instant),
  /** Stopped: whether those that were told go back. */
  rollback: v.boolean(),
});
export type CampaignFact = v.InferOutput<typeof CampaignFact>;

export const UPGRADE_STEPS = [
  /** The order is out; it may or may not have arrived. */
  "told",
  /** It speaks as the new version; one full check is open. */
  "checking",
  /** As well as before, by a full check of the new version. */
  "upgraded",
  /** It says that it will not; nothing was changed on it. */
  "refused",
  /** What stopped the campaign. */
  "failed",
  /** Ordered to roll back. */
  "returning",
  /** It runs the old version again. */
  "back",
  /** Ordered to roll back, and has not in time; the order is repeated. */
  "stranded",
  /** The node was removed, or is no longer part of the upgrade. */
  "left",
] as const;
export type UpgradeStep = (typeof UPGRADE_STEPS)[number];

/** One node that was told. */
export const UpgradingFact = v.object({
  kind: v.literal("upgrading"),
  node: text,
  campaign: text,
  step: v.picklist(UPGRADE_STEPS),
  since: instant,
  /** The version that it had. */
  from: text,
  /** Its verdict when it was told: worse than this is the upgrade's fault. */
  was: v.picklist(VERDICTS),
  /** Until when its silence is no fault. */
  dueAt: instant,
  /** It has spoken as the new version. */
  seen: v.boolean(),
  /** It answered the newest order: it is not given again. */
  answered: v.nullable(v.picklist(["succeeded", "failed", "rejected"])),
  why: v.nullable(text),
});
export type UpgradingFact = v.InferOutput<typeof UpgradingFact>;

/** The campaign as it is shown; `GET /v1/upgrade`. */
export type UpgradeView = {
  upgrade: {
    id: string;
    to: string;
    state: CampaignState;
    why: string | null;
    /** Why no agent is ordered now although some are next. */
    paused: string | null;
    /** Stopped: those that were told go back. */
    rollback: boolean;
    by: string;
    max_unavailable: string;
    started_at: string;
    ended_at: string | null;
    /** Nodes with an agent, and how many of them have the version. */
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
