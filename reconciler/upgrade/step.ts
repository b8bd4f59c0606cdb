/**
 * The upgrade's turn in an activation: looks at what the plan looks at, and stages what it changes
 * with it, in one transaction.
 */
import type { Draft } from "../draft.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { decideUpgrade } from "./decide-upgrade.ts";

export function stepUpgrade(fleet: Fleet, sight: Sight, draft: Draft): void {
  if (!fleet.facts.has("upgrade")) return;
  const { attentiveMs, blind, frozen, now } = sight;
  const paused = blind[0] ?? frozen;
  const look = { facts: fleet.facts, nodes: fleet.nodes, now, attentiveMs, paused };
  const { put, events } = decideUpgrade(look);
  for (const fact of put) draft.putFact(fact);
  draft.tell(events);
}
