/**
 * Runs the upgrade within an activation and stages its changes in the same transaction as the
 * plan's. A bug elsewhere ends the activation; here it only stops the campaign, with its reason
 * stored, so that a broken upgrade never blocks repairs.
 */
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet, Sight } from "../fleet.ts";
import {
  campaignOf,
  decideUpgrade,
  eventOfCampaign,
  isAtRest,
  type UpgradeChange,
  type UpgradeLook,
} from "./decide-upgrade.ts";

/** A longer text does not fit into a table. */
const FAULT_CHARS_MAX = 200;

export function stepUpgrade(fleet: Fleet, sight: Sight, work: UnitOfWork): void {
  if (!fleet.facts.has("upgrade")) return;
  const { attentiveMs, now } = sight;
  const paused = pausedBy(sight);
  const look = { facts: fleet.facts, nodes: fleet.nodes, now, attentiveMs, paused };
  const { put, events } = decideOrStop(look);
  for (const fact of put) work.putFact(fact);
  work.tell(events);
}

function decideOrStop(look: UpgradeLook): UpgradeChange {
  try {
    return decideUpgrade(look);
  } catch (error) {
    const campaign = campaignOf(look.facts);
    if (campaign === null || isAtRest(campaign)) throw error;
    const fault = String(error).trim().slice(0, FAULT_CHARS_MAX);
    const why = `a fault in this control plane: ${fault}`;
    // The code that has just failed would decide the rollback: a person has to order it again.
    const rollback = false;
    const { now } = look;
    const after = { ...campaign, state: "stopped", why, endedAt: now, rollback } as const;
    return { put: [after], events: [eventOfCampaign(after, now)] };
  }
}

/** Why nothing is ordered or concluded: unreliable observations, or a person's freeze. */
export function pausedBy({ blind, frozen }: Sight): string | null {
  return blind[0] ?? (frozen === null ? null : `the fleet is frozen: ${frozen}`);
}
