/**
 * The port to what places work on nodes. Every call carries a fence, and an adapter whose target
 * cannot refuse a stale one says in its header how staleness is bounded (law 5).
 */
import type { DrainSight } from "../fleet.ts";
import type { Fence } from "../provider/provider.ts";

export type SchedulerAnswer =
  | { kind: "ok" }
  /** The target proved that it did nothing. */
  | { kind: "refused"; message: string }
  | { kind: "ambiguous"; message: string };

export type Scheduler = {
  readonly name: string;
  /** Marks the node unschedulable, as the product. Idempotent. */
  cordon(node: string, why: string, fence: Fence): Promise<SchedulerAnswer>;
  /** Lifts the product's own mark; never another owner's. Idempotent. */
  uncordon(node: string, why: string, fence: Fence): Promise<SchedulerAnswer>;
  /** Asks work to leave; returns when the asking has begun, not when the node is empty. */
  drain(
    node: string,
    options: { gracePeriodMs: number; force: boolean; deadlineAt: number },
    fence: Fence,
  ): Promise<SchedulerAnswer>;
  /** What is left, as the scheduler sees it now; `null` = this scheduler cannot tell. */
  left(node: string): DrainSight | null;
};
