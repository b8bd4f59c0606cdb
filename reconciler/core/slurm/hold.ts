/**
 * What others do to a node in Slurm that a repair must not overtake: a drain, DOWN, a MAINT
 * reservation, `scontrol reboot` (docs/slurm.md#what-others-do-in-slurm). Pure. What slurmctld does
 * by itself is none of these: its reasons follow from the fault that is repaired.
 */
import type { Node } from "../../../schema/node.ts";
import type { SlurmAct } from "../../../schema/slurm.ts";
import type { SlurmNode } from "./object.ts";
import { isHeldByItself, ownerOf } from "./owner.ts";
import { parseReason, withoutTail } from "./reason.ts";
import { isDrained, isPowerSaving } from "./state.ts";

/** slurmctld writes under this name where it has its default user. */
const CONTROLLER = "slurm";
const WHY_CHARS_MAX = 128;

export function actsOf(row: SlurmNode): SlurmAct[] {
  // Its machine is given up in Slurm itself, by its own timer or by a person.
  if (isPowerSaving(row)) return [];
  const acts: SlurmAct[] = [];
  const isOwn = parseReason(row.reason) !== null;
  const by = isOwn || row.reasonBy === CONTROLLER ? null : row.reasonBy;
  const why = isOwn ? null : cut(row.reason === null ? null : withoutTail(row.reason));
  const isTheirs = ownerOf(row) === "foreign" && !isHeldByItself(row);
  const isRebooting = row.flags.some((flag) => REBOOTS.has(flag));
  if (isRebooting) acts.push({ kind: "reboot", by, why });
  else if (isTheirs) acts.push({ kind: isDrained(row) ? "drain" : "down", by, why });
  if (row.flags.includes("MAINTENANCE")) {
    acts.push({ kind: "reservation", by: null, why: cut(row.reservation) });
  }
  return acts;
}

/** A reboot that was cancelled or is over leaves neither. */
const REBOOTS: ReadonlySet<string> = new Set(["REBOOT_REQUESTED", "REBOOT_ISSUED"]);

const cut = (text: string | null): string | null => text?.slice(0, WHY_CHARS_MAX) ?? null;

type Held = Pick<Node, "slurm" | "phase">;

/** Whether others' acts in Slurm hold what cannot be taken back. A purchase takes nothing away. */
export function isHeldInSlurm({ slurm, phase }: Held): boolean {
  return slurm?.held === true && slurm.absentSince === null && phase.kind !== "requested";
}

/** Why nothing that cannot be taken back is done to the node; `null` = others do nothing there. */
export function heldInSlurm(node: Held): { name: string; acts: readonly SlurmAct[] } | null {
  const { slurm } = node;
  if (slurm === null || !isHeldInSlurm(node)) return null;
  return { name: slurm.name, acts: slurm.others };
}
