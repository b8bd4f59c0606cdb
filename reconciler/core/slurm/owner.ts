/** Tells the owner of a Slurm node's drain, by flags and reason: the text may outlive the drain. */
import type { SlurmOwner } from "../../../schema/slurm.ts";
import type { SlurmNode } from "./object.ts";
import { parseReason } from "./reason.ts";
import { isDrained, isOutage } from "./state.ts";

export function ownerOf(node: Pick<SlurmNode, "base" | "flags" | "reason">): SlurmOwner {
  if (!isDrained(node) && !isOutage(node)) return "none";
  return parseReason(node.reason) === null ? "foreign" : "own";
}
