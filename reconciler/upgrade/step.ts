/**
 * The upgrade's turn in an activation: looks at what the plan looks at, and stages what it changes
 * with it, in one transaction.
 */
import type { Draft } from "../draft.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { decideUpgrade } from "./decide-upgrade.ts";

export function stepUpgrade(fleet: Fleet, sight: Sight, draft: Draft): void {
  if (!fleet.facts.has("upgrade")) return;
  const { attentiveMs, now } = sight;
  const paused = pausedBy(sight);
  const look = { facts: fleet.facts, nodes: fleet.nodes, now, attentiveMs, paused };
  const { put, events } = decideUpgrade(look);
  for (const fact of put) draft.putFact(fact);
  draft.tell(events);
}

/** Why nobody is told and nothing concluded: what is not seen, or a person's freeze. */
export function pausedBy({ blind, frozen }: Sight): string | null {
  return blind[0] ?? (frozen === null ? null : `the fleet is frozen: ${frozen}`);
}
