/**
 * What a node keeps about Navarch's drain in Slurm: when and in which boot it was set. It is
 * released only after the machine that was drained, or the one in its place, registered newly.
 */
import type { Node } from "../../../schema/node.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import type { SlurmNode } from "./object.ts";
import { isHeldByItself, ownerOf } from "./owner.ts";
import { repairOf } from "./reason.ts";
import { isDrained } from "./state.ts";

type Mark = Pick<SlurmFact, "markedAt" | "markedBoot" | "markedBootId">;

/** Of a reason, as it is stored. */
export const REASON_CHARS_MAX = 256;
/** The boot id of a machine that is not the node's. */
const ANOTHER = "-";
/** slurmctld computes BootTime from each registration's time since boot, by its own clock. */
const JITTER_MS = 5_000;
/** Between slurmctld's clock and this one; a machine boots for longer. */
const SKEW_MS = 60_000;

/** Whether the second BootTime is that of another boot than the first. */
export function isAnotherBoot(first: number | null, second: number | null): boolean {
  if (second === null || first === null) return second !== first;
  return Math.abs(second - first) > JITTER_MS;
}

const isOwnDrain = (row: SlurmNode): boolean => isDrained(row) && ownerOf(row) === "own";

/** The mark of a node that is bound to `row` now; `former` had the name before. */
export function inheritedMark(
  { id, agent, instance }: Pick<Node, "id" | "agent" | "instance">,
  row: SlurmNode,
  former: Node | null,
  now: number,
): Mark {
  if (!isOwnDrain(row)) return { markedAt: null, markedBoot: null, markedBootId: null };
  const of = former?.slurm ?? null;
  if (of !== null) {
    const { markedAt, markedBoot, bootTime } = of;
    const bought = former?.instance ?? null;
    // Boot ids of two machines may be alike where both were cloned from one that slept.
    const isOther = bought !== null && bought.id !== instance?.id;
    // The former may have booted after its mark: the next machine's boot is another one.
    const isLater = isOther && !isGhost(former);
    return {
      markedAt: markedAt ?? now,
      markedBoot: isLater ? (bootTime ?? markedBoot) : (markedBoot ?? bootTime),
      markedBootId: isOther ? ANOTHER : (of.markedBootId ?? former?.agent?.bootId ?? ANOTHER),
    };
  }
  const isTheirs = repairOf(row.reason)?.startsWith(`${id}.s`) === false;
  const bootId = isTheirs ? ANOTHER : (agent?.bootId ?? null);
  return { markedAt: now, markedBoot: row.bootTime, markedBootId: bootId };
}

/** An ended machine that a late list showed again: the boot under its name was of its successor. */
function isGhost(former: Node | null): boolean {
  const { phase, slurm } = former ?? {};
  const isSurplus = phase?.kind === "gone" && phase.purpose === "surplus";
  return isSurplus && slurm != null && slurm.bootSeenAt === slurm.boundAt;
}

/** The mark as it goes on: one that is gone is kept until `fold/slurm.ts` judges it. */
export function ownMark(
  { agent }: Pick<Node, "agent">,
  before: SlurmFact,
  row: SlurmNode,
  now: number,
): Mark {
  const { markedAt, markedBoot, markedBootId } = before;
  if (isOwnDrain(row)) {
    if (markedAt !== null) return { markedAt, markedBoot, markedBootId };
    return { markedAt: now, markedBoot: row.bootTime, markedBootId: agent?.bootId ?? null };
  }
  // Others took the drain over.
  const isTaken = ownerOf(row) === "foreign" && isDrained(row);
  return { markedAt: isTaken ? null : markedAt, markedBoot, markedBootId };
}

/** Whether the machine changed since its drain was set: rebooted, or another one. */
export function hasChanged({ agent }: Pick<Node, "agent">, slurm: SlurmFact): boolean {
  return slurm.markedBootId !== (agent?.bootId ?? null);
}

/**
 * Whether what slurmctld itself says of the NodeName is of the machine before: the name had another
 * one, and the present one has not registered, or had not when this reason was first seen.
 */
export function isStale(
  { createdAt, instance }: Pick<Node, "createdAt" | "instance">,
  { row, former, before }: { row: SlurmNode; former: Node | null; before: SlurmFact | null },
): boolean {
  if (row.reason === null || !isHeldByItself(row)) return false;
  const bought = former?.instance ?? null;
  const isReplaced = bought !== null && bought.id !== instance?.id;
  if (isReplaced && !hasBooted(createdAt, row.bootTime)) return true;
  return before?.stale === true && before.reason === row.reason.slice(0, REASON_CHARS_MAX);
}

/** Of a node's first machine: it is bought, and so booted, after the node's record was made. */
const hasBooted = (createdAt: number, bootTime: number | null): boolean =>
  bootTime !== null && bootTime >= createdAt;

/** Whether Slurm has a registration of the machine as it is now. */
export function hasRegistered(
  node: Pick<Node, "agent" | "createdAt" | "rebootedAt">,
  slurm: SlurmFact,
): boolean {
  const { bootTime, markedAt, markedBoot, markedBootId } = slurm;
  if (bootTime === null) return false;
  if (slurm.stale === true && !hasBooted(node.createdAt, bootTime)) return false;
  // Of several reboots the last one counts, also one from before the mark.
  const { rebootedAt } = node;
  if (rebootedAt !== null && bootTime < rebootedAt - SKEW_MS) return false;
  if (!hasChanged(node, slurm)) return true;
  // Drained before its agent was heard: a boot since its purchase is its own.
  if (markedBootId === null && bootTime >= node.createdAt) return true;
  // A controller that had just started knew no BootTime: the drained boot registered afterwards.
  const isRebooted = markedBootId !== null && markedBootId !== ANOTHER;
  if (markedBoot === null && isRebooted && bootTime < (markedAt ?? 0) - SKEW_MS) return false;
  return isAnotherBoot(markedBoot, bootTime);
}

/** Whether a person ordered its end without a drain. */
export const isForced = ({ order }: Pick<Node, "order">): boolean =>
  order?.force === true && order.goal !== "drain";

/** Whether the drain of a machine that is to end was released in Slurm while it still runs. */
export function isReopened(node: Pick<Node, "instance" | "order" | "phase" | "slurm">): boolean {
  const { instance, phase, slurm } = node;
  if (phase.kind !== "terminating" || isForced(node)) return false;
  if (instance?.state !== "running" || slurm === null || slurm.absentSince !== null) return false;
  const { markedBoot, markedBootId, drain, down, silent, power } = slurm;
  const wasMarked = markedBoot !== null || markedBootId !== null;
  return wasMarked && !drain && !down && !silent && !power;
}
