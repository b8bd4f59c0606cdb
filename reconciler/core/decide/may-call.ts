/**
 * Whether a planned call may start now: conditions may have changed since its plan (invariant I12).
 * Pure.
 */
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { doubleOf } from "../fold/listing.ts";
import { keptBy } from "../kubernetes/hold.ts";
import { strandedCall, strandedWhy } from "../reach.ts";
import { isDefinitive } from "../safety/evident.ts";
import { theirsOn } from "./admit.ts";
import { reopenedInSlurm } from "./slurm.ts";
import type { Held } from "../say/hold.ts";

/** Why a call that ends or empties the node, which others hold in a scheduler, waits for them. */
export function heldCall({ payload }: Operation, node: Node, sight: Sight): Held | null {
  if (!destroys(payload)) return null;
  const held = node.order === null ? (keptBy(node, { sight }) ?? theirsOn(node)) : null;
  return held ?? (payload.kind === "terminate" ? reopenedInSlurm(node, { sight }) : null);
}

function destroys({ kind }: Operation["payload"]): boolean {
  return kind === "drain" || kind === "end_jobs" || kind === "terminate" || kind === "reboot";
}

/** Its jobs are not known now: it may have been returned to service since its drain was proven. */
function isDarkInSlurm({ slurm, order, instance }: Node, sight: Sight): boolean {
  if ((sight.slurm?.dark ?? null) === null) return false;
  if (slurm === null || slurm.absentSince !== null) return false;
  return order?.force !== true && instance?.state !== "terminated";
}

/**
 * Whether a call may start now, because conditions may have changed since its plan (invariant I12).
 * While blind, a destructive call needs a person's forced order or the cloud's own termination; of
 * a node that others hold, a person's order; in a freeze or a hold of its pool, any call needs one,
 * unless it returns a node to service.
 */
export function mayCall(operation: Operation, fleet: Fleet, sight: Sight): boolean {
  const node = fleet.nodes.get(operation.node);
  const { kind } = operation.payload;
  // Another account or region would answer for machines that it does not have.
  if (strandedCall(operation, sight.providers) !== null) return false;
  if (kind === "terminate" || kind === "reboot") {
    if (node !== undefined && strandedWhy(node, sight.providers) !== null) return false;
    if (node !== undefined && doubleOf(node, fleet) !== null) return false;
    if (node !== undefined && isDarkInSlurm(node, sight)) return false;
  }
  if (destroys(operation.payload) && sight.blind.length > 0) {
    if (node?.order?.force !== true && node?.instance?.state !== "terminated") return false;
  }
  // It may have been asked, and not answered, before they held the node.
  if (node !== undefined && heldCall(operation, node, sight) !== null) return false;
  const hold = operation.pool === null ? null : (fleet.pools.get(operation.pool)?.hold ?? null);
  const paused = sight.frozen !== null || (hold !== null && hold.until > sight.now);
  // Isolation is cheap and reversible: a hold allows it, a freeze that of definitive faults.
  const { payload } = operation;
  const mirrors = payload.kind === "cordon" && payload.mirror === true;
  const isProven = (): boolean => !sight.frozenAll && node !== undefined && isDefinitive(node);
  const isolates = kind === "cordon" && (sight.frozen === null || mirrors || isProven());
  const harmless = kind === "uncordon" || isolates;
  return !paused || harmless || (node !== undefined && node.order !== null);
}
