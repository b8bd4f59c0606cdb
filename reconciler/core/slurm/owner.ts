/** Tells the owner of a Slurm node's drain, by flags and reason: the text may outlive the drain. */
import type { SlurmOwner } from "../../../schema/slurm.ts";
import type { SlurmNode } from "./object.ts";
import { parseReason } from "./reason.ts";

const OUT_BASES: ReadonlySet<string> = new Set(["DOWN", "FAIL", "ERROR"]);
const OUT_FLAGS: ReadonlySet<string> = new Set(["DRAIN", "FAIL", "DOWN", "INVALID_REG"]);

export function isDrained(node: Pick<SlurmNode, "flags">): boolean {
  return node.flags.includes("DRAIN");
}

/** No job starts on it: drained, down, failed, or registered with fewer resources. */
export function isOutOfService({ base, flags }: Pick<SlurmNode, "base" | "flags">): boolean {
  return OUT_BASES.has(base) || flags.some((flag) => OUT_FLAGS.has(flag));
}

export function ownerOf(node: Pick<SlurmNode, "base" | "flags" | "reason">): SlurmOwner {
  if (!isOutOfService(node)) return "none";
  return parseReason(node.reason) === null ? "foreign" : "own";
}
