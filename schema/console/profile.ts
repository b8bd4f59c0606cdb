/**
 * Workload profiles: what a workload of one quality, subscription tier and priority gets. The body
 * and the answer of `POST /api/allocations`.
 */
import * as v from "valibot";
import { share } from "../number.ts";

export const QUALITIES = ["low", "medium", "high"] as const;
export type Quality = (typeof QUALITIES)[number];
export const TIERS = ["free", "standard", "premium"] as const;
export type Tier = (typeof TIERS)[number];
export const PROFILE_PRIORITIES = ["high", "medium", "low"] as const;
export type ProfilePriority = (typeof PROFILE_PRIORITIES)[number];
export const PREFERENCES = ["speed", "balanced", "quality"] as const;

export const AllocationAsk = v.strictObject({
  /** Absent: chosen by the quality score. */
  quality: v.optional(v.picklist(QUALITIES)),
  tier: v.picklist(TIERS),
  priority: v.picklist(PROFILE_PRIORITIES),
  /** Size and complexity of the input, 0…1; read for the score only. */
  input: v.optional(share),
  /** How well earlier runs did, 0…1; read for the score only. */
  history: v.optional(share),
  preference: v.optional(v.picklist(PREFERENCES)),
});
export type AllocationAsk = v.InferOutput<typeof AllocationAsk>;

/** Requested share of what is allocatable, 0…1 and above; `null` = unknown, which is not zero. */
export type Utilisation = { cpu: number | null; memory: number | null; gpu: number | null };

/** What `utilisation` was measured on. */
export type UtilisationBasis = "pool" | "cluster" | "unknown";

export type ProfileToleration = {
  key: string;
  operator: "Equal";
  value: string;
  effect: "NoSchedule";
};

export type Profile = {
  /** What it gets, which the tier may cap. */
  quality: Quality;
  resources: { cpu: string; memory: string; gpu: number };
  nodeSelector: Record<string, string>;
  tolerations: ProfileToleration[];
  priorityClassName: string;
  /** The tier's number for this quality: 10 to 50, higher runs first. */
  priorityNumber: number;
  pool: string;
  /** One sentence for each reduction; empty = it gets what was asked for. */
  reasons: string[];
};

/** Answer of `POST /api/allocations`. */
export type Allocation = Profile & {
  asked: { quality: Quality | null; tier: Tier; priority: ProfilePriority };
  /** `null` if the request named a quality. */
  score: number | null;
  utilisation: Utilisation & { basis: UtilisationBasis };
  /** What could not be judged. */
  warnings: string[];
};
