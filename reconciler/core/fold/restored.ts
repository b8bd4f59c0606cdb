/**
 * Selects what to keep of a restored backup. Decisions of people are kept: sizes, holds, cordons,
 * tokens. Facts about machines are dropped, because a node may have been replaced or repaired
 * since. So every machine without a person's cordon or hold is forgotten and adopted again, by its
 * tags in the cloud's list and by its first full check, as after the loss of the database. Pure.
 */
import { isUnbought } from "../fleet.ts";
import type { Node } from "../../../schema/node.ts";
import { emptyChange, type Change, type Snapshot } from "../store.ts";
import { sayOutcome } from "../say/outcome.ts";

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
      message: sayOutcome({ code: "restored_call" }),
    });
  }
  for (const command of snapshot.openCommands) {
    change.commands.push({
      ...command,
      state: "refused",
      message: sayOutcome({ code: "restored_order" }),
    });
  }
  // Instances that the cloud lists now may have been bought, and have served, since the backup.
  change.facts.push({ kind: "record", since: now, knew: machinesOf(snapshot.nodes) });
  // Already processed by the fleet before the restore.
  change.foldedEntries = snapshot.entries.map((entry) => entry.id);
  return change;
}

/** By provider: a list that shows few of them is not believed at once, as before the restore. */
function machinesOf(nodes: readonly Node[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { instance, phase } of nodes) {
    if (instance === null || instance.state === "terminated") continue;
    if (phase.kind === "terminating" || phase.kind === "gone") continue;
    counts[instance.provider] = (counts[instance.provider] ?? 0) + 1;
  }
  return counts;
}

/**
 * Whether no decision of a person applies to the node. An open purchase is dropped too: the cloud's
 * list shows its result, and other nodes may have used its slot since.
 */
function isForgotten(node: Node): boolean {
  if (node.phase.kind === "gone" || isUnbought(node)) return false;
  return node.phase.kind !== "held" && node.cordon.human === null;
}

/** Stops what is in progress, because an order may have been withdrawn since the backup. */
function putDown(node: Node, now: number): Node {
  const rest = { ...node, order: null, operation: null, fence: node.fence + 1 };
  const { kind } = node.phase;
  const still = kind === "serving" || kind === "held" || kind === "suspect" || kind === "verifying";
  if (still) return rest;
  const why = sayOutcome({ code: "restored_node" });
  return { ...rest, phase: { kind: "held", since: now, heldBy: "navarch", why } };
}
