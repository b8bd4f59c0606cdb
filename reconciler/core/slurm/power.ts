/** Tells states of power saving and outages by base and flags, whatever the version calls them. */
import type { SlurmNode } from "./object.ts";

const POWER: ReadonlySet<string> = new Set([
  ...["POWERING_UP", "POWERED_DOWN", "POWERING_DOWN", "POWER_DOWN", "POWER_UP", "POWER_DRAIN"],
]);
const OUT_BASES: ReadonlySet<string> = new Set(["DOWN", "FAIL", "ERROR"]);
const OUT_FLAGS: ReadonlySet<string> = new Set(["DOWN", "FAIL", "INVALID_REG"]);

/** Slurm lifts DRAIN when it powers a node down (docs/reference/slurm.md). */
export function isPowerSaving({ flags }: Pick<SlurmNode, "flags">): boolean {
  return flags.some((flag) => POWER.has(flag));
}

/** No job starts on it, whether it is drained or not. */
export function isOutage({ base, flags }: Pick<SlurmNode, "base" | "flags">): boolean {
  return OUT_BASES.has(base) || flags.some((flag) => OUT_FLAGS.has(flag));
}
