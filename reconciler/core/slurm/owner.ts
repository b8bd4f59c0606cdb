/** Tells the owner of a Slurm node's drain, by flags and reason: the text may outlive the drain. */
import type { SlurmOwner } from "../../../schema/slurm.ts";
import type { SlurmNode } from "./object.ts";
import { parseReason } from "./reason.ts";
import { isDrained, isOutage } from "./state.ts";

/** slurmctld's own reasons, which no party chose (docs/reference/slurm.md). */
const BY_ITSELF: readonly RegExp[] = [
  /^(?:Not responding|Node unexpectedly rebooted|ResumeTimeout reached|Duplicate jobid)$/,
  /^(?:Prolog error|Epilog error|Kill task failed|batch job complete failure)$/,
  /^Low (?:CPUs|TmpDisk|RealMemory|socket\*core\*thread count)(?: \(reported:[^()]*\))?$/,
  /^gres\/\S+ count [a-z ]+ \(\d+ (?:<|!=) \d+\)$/,
  /^reboot (?:issued|complete|timed out)$/,
];
/** slurmctld joins several with these, and appends one to a reason that is there. */
const BETWEEN = /, | : /;

/**
 * Whether Slurm itself took the node out of service: told to people, and as untouchable as what
 * others did. Without a reason it never registered; a drain has always a party behind it.
 */
export function isHeldByItself(node: Pick<SlurmNode, "base" | "flags" | "reason">): boolean {
  if (ownerOf(node) !== "foreign") return false;
  if (node.reason === null) return !isDrained(node);
  // To the last word: a person who goes on from such a text, as in `Kill task failed: RMA`, holds.
  const reasons = node.reason.split(BETWEEN);
  return reasons.every((reason) => BY_ITSELF.some((one) => one.test(reason)));
}

export function ownerOf(node: Pick<SlurmNode, "base" | "flags" | "reason">): SlurmOwner {
  if (!isDrained(node) && !isOutage(node)) return "none";
  return parseReason(node.reason) === null ? "foreign" : "own";
}
