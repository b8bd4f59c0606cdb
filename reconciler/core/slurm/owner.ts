/** Tells the owner of a Slurm node's drain, by flags and reason: the text may outlive the drain. */
import type { SlurmOwner } from "../../../schema/slurm.ts";
import type { SlurmNode } from "./object.ts";
import { parseReason } from "./reason.ts";
import { isDrained, isOutage } from "./state.ts";

/** slurmctld's own reasons, which no party chose (docs/reference/slurm.md). */
const BY_ITSELF = new RegExp(
  `^(?:${[
    ...["Not responding", "Node unexpectedly rebooted", "ResumeTimeout reached"],
    ...["Low (?:RealMemory|CPUs|TmpDisk|socket)", "gres/\\S+ count", "reboot timed out"],
    ...["Prolog error", "Epilog error", "Kill task failed", "Duplicate jobid"],
    "batch job complete failure",
  ].join("|")})`,
);

/**
 * Whether Slurm itself took the node out of service: told to people, and as untouchable as what
 * others did. Without a reason it never registered; a drain has always a party behind it.
 */
export function isHeldByItself(node: Pick<SlurmNode, "base" | "flags" | "reason">): boolean {
  if (ownerOf(node) !== "foreign") return false;
  return node.reason === null ? !isDrained(node) : BY_ITSELF.test(node.reason);
}

export function ownerOf(node: Pick<SlurmNode, "base" | "flags" | "reason">): SlurmOwner {
  if (!isDrained(node) && !isOutage(node)) return "none";
  return parseReason(node.reason) === null ? "foreign" : "own";
}
