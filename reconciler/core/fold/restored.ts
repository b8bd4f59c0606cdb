/**
 * What a fleet read from an old copy may still believe. What people said is kept: sizes, holds,
 * their cordons, tokens. What was known of machines, and what was asked for them, is not: a node
 * may have been replaced since, a session closed, a fault repaired, an order taken back. So every
 * machine that no person has put aside is forgotten here and taken in again, from the cloud's list
 * by its tags and by its first full check, on the very way that a lost database takes. A node that
 * is still sick says so again. Pure.
 */
import { isUnbought } from "../fleet.ts";
import type { Node } from "../../../schema/node.ts";
import { emptyChange, type Change, type Snapshot } from "../store.ts";

/** The change that makes a restored store safe to start with. `now` is wall milliseconds. */
export function foldRestored(snapshot: Snapshot, now: number): Change {
  const change = emptyChange();
  for (const node of snapshot.nodes) {
    if (isForgotten(node)) change.removedNodes.push(node.id);
    else if (node.phase.kind !== "gone") change.nodes.push(putDown(node, now));
  }
  for (const operation of snapshot.openOperations) {
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
  // What the cloud lists now may have been bought, and have served, since the backup.
  change.facts.push({ kind: "record", since: now });
  // Already processed by the fleet before the restore.
  change.foldedEntries = snapshot.entries.map((entry) => entry.id);
  return change;
}

/**
 * Whether no person's order applies to the node. An open request is dropped too: its result shows
 * in the cloud's list, and its slot may have had other nodes since.
 */
function isForgotten(node: Node): boolean {
  if (node.phase.kind === "gone" || isUnbought(node)) return false;
  return node.phase.kind !== "held" && node.cordon.human === null;
}

/**
 * A held node stays held and nothing in progress continues: an order may have been withdrawn since.
 */
function putDown(node: Node, now: number): Node {
  const rest = { ...node, order: null, operation: null, fence: node.fence + 1 };
  const { kind } = node.phase;
  const still = kind === "serving" || kind === "held" || kind === "suspect" || kind === "verifying";
  if (still) return rest;
  const why = "restored from a backup: what was under way then is for a person to decide";
  return { ...rest, phase: { kind: "held", since: now, heldBy: "navarch", why } };
}
