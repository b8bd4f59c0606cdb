/**
 * What a fleet read from an old copy may still believe. What people said is kept: sizes, holds,
 * their cordons, tokens; and what was asked for and never answered. What was known of machines is
 * not: a node may have been replaced since, a session closed, a fault repaired, an order taken
 * back. So every machine that no person has put aside is forgotten here and taken in anew, from the
 * cloud's list by its tags and by its first full check, on the very way that a lost database takes
 * (promise N32). A node that is still sick says so again. Pure.
 */
import type { Node } from "../../schema/node.ts";
import { emptyChange, type Change, type Snapshot } from "../store/store.ts";

/** The change that makes a restored store safe to start on. `now` is wall milliseconds. */
export function foldRestored(snapshot: Snapshot, now: number): Change {
  const change = emptyChange();
  const forgotten = new Set<string>();
  for (const node of snapshot.nodes) {
    if (!isForgotten(node)) continue;
    forgotten.add(node.id);
    change.removedNodes.push(node.id);
  }
  for (const operation of snapshot.openOperations) {
    if (!forgotten.has(operation.node)) continue;
    change.operations.push({
      ...operation,
      state: "abandoned",
      closedAt: now,
      message: "restored from a backup: not asked for again",
    });
  }
  for (const command of snapshot.openCommands) {
    change.commands.push({
      ...command,
      state: "refused",
      message: "restored from a backup: give the order again if it still holds",
    });
  }
  // Read and acted upon once already, by the fleet as it was then.
  change.foldedLetters = snapshot.letters.map((letter) => letter.id);
  return change;
}

/** A node without an instance is an open ask, or an agent of nobody's: both stay what they are. */
function isForgotten(node: Node): boolean {
  if (node.instance === null || node.phase.kind === "gone") return false;
  return node.phase.kind !== "held" && node.cordon.human === null;
}
