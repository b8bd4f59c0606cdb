/**
 * The upgrade's turn in an activation: looks at what the plan looks at, and stages what it changes
 * with it, in one transaction.
 *
 * An upgrade is a convenience, and the repairs that share its activation are not. So a fault in it,
 * which elsewhere would end the activation and come again with the next, ends the campaign instead:
 * with a reason in the store, and where everybody is.
 */
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet, Sight } from "../fleet.ts";
import {
  campaignOf,
  decideUpgrade,
  isAtRest,
  tellCampaign,
  type UpgradeChange,
  type UpgradeLook,
} from "./decide-upgrade.ts";

/** Of a fault more than this is nobody's to read in a table. */
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
    // Who goes back is decided by what has just failed: a person has to say that again.
    const rollback = false;
    const { now } = look;
    const after = { ...campaign, state: "stopped", why, endedAt: now, rollback } as const;
    return { put: [after], events: [tellCampaign(after, now)] };
  }
}

/** Why nobody is told and nothing concluded: what is not seen, or a person's freeze. */
export function pausedBy({ blind, frozen }: Sight): string | null {
  return blind[0] ?? (frozen === null ? null : `the fleet is frozen: ${frozen}`);
}
