/**
 * Decides for nodes that have a NodeName in Slurm. Pure. Its drain follows the node's own cordon;
 * its release is decided apart, because a machine that was rebooted or replaced must register with
 * a new BootTime first. While Slurm does not answer, nothing irreversible starts (law 9).
 */
import type { Node } from "../../../schema/node.ts";
import type { Payload } from "../../../schema/operation.ts";
import type { SlurmFact } from "../../../schema/slurm.ts";
import { isWell, type Sight, workOn } from "../fleet.ts";
import { isSuppressed } from "../fold/suppression.ts";
import { isDefinitive } from "../safety/evident.ts";
import { isPowered } from "../slurm/power-save.ts";
import { hasChanged, hasRegistered, isForced, isReopened } from "../slurm/mark.ts";
import { reasonOf } from "../slurm/reason.ts";
import { poolNames } from "../slurm/slot-name.ts";
import type { Scope } from "./decide.ts";
import { keptBy } from "../kubernetes/hold.ts";
import { lossOf } from "./node.ts";
import { isResting } from "../turn/backoff.ts";
import { type Cause, sayCause } from "../say/cause.ts";
import type { Dark, Held, SlurmNote, Stays } from "../say/hold.ts";

/**
 * `slurmd -b` boots when it starts, and the next registration may tell a boot one second later:
 * a node that was released in between is set DOWN for good, with slurmctld's own reason.
 */
const SETTLE_MS = 5_000;
/** slurmctld shows a slurmd that is gone as not responding after `SlurmdTimeout`, 300 s. */
const FORMER_MS = 360_000;

type Change = { payload: Payload; because: Cause[] };
type InSight = Pick<Scope, "sight">;
type InPool = Pick<Scope, "sight" | "pool" | "candidates">;

/** The node's side in Slurm, if it can be written now. */
function writable({ id, slurm }: Node, { slurm: sight, now }: Sight): SlurmFact | null {
  if (slurm === null || slurm.absentSince !== null || sight === null) return null;
  if (!sight.mirrorsCordon || sight.dark !== null || sight.ambiguous.has(id)) return null;
  return isResting(slurm.restUntil, now) ? null : slurm;
}

/** The payload with Slurm's part, if it marks a node that Slurm may drain now. */
export function withSlurm(payload: Payload, node: Node, scope: InPool): Payload {
  const { sight } = scope;
  if (payload.kind !== "cordon" || payload.slurm !== undefined) return payload;
  if (isSuspended(node, scope)) return payload;
  const slurm = writable(node, sight);
  if (slurm === null || slurm.owner === "foreign" || isHeldOff(node, slurm)) return payload;
  return { ...payload, slurm: { name: slurm.name, reason: reasonOf(node, payload.why) } };
}

/** Slurm powers it down itself; a drain of ours would keep its NodeName from being resumed. */
function isSuspended({ id }: Node, { pool, candidates }: InPool): boolean {
  return isPowered(pool) && candidates.has(id);
}

/** Its drain was removed by power saving again, or by a person while Slurm had it down. */
function isHeldOff({ session, cordon }: Node, { drain, markedAt }: SlurmFact): boolean {
  if (drain || markedAt === null) return false;
  const since = session?.openedAt ?? cordon.product?.at ?? cordon.human?.at ?? 0;
  return markedAt >= since;
}

/** What Slurm lacks or has too much; `null` = it matches the node's own cordon. */
export function slurmChangeOf(node: Node, scope: InPool): Change | null {
  const slurm = writable(node, scope.sight);
  if (slurm === null || isSuspended(node, scope)) return null;
  const { cordon, order, phase } = node;
  // A forced end does not wait for a scheduler, and a node that ends takes no work.
  if (isForced(node)) return null;
  if (phase.kind === "gone" || phase.kind === "requested") return null;
  if (phase.kind === "terminating" && !isReopened(node)) return null;
  const wanted = cordon.product ?? cordon.human;
  if (wanted === null) return releaseOf(node, slurm, scope);
  if (slurm.drain || slurm.owner === "foreign" || isHeldOff(node, slurm)) return null;
  const { frozen, frozenAll } = scope.sight;
  const isStopped = frozen !== null && (frozenAll || !isDefinitive(node));
  if (isStopped && cordon.human === null) return null;
  if (keptBy(node, scope) !== null && order === null && cordon.human === null) return null;
  const part = { name: slurm.name, reason: reasonOf(node, wanted.why) };
  const mark = { kind: "cordon", why: wanted.why, mirror: true, only: "slurm" } as const;
  const because: Cause = { code: "not_drained", name: slurm.name };
  return { payload: { ...mark, slurm: part }, because: [because] };
}

function releaseOf(node: Node, slurm: SlurmFact, scope: InSight): Change | null {
  if (!isPending(node) || unreleasedBy(node, scope) !== null) return null;
  const down = slurm.down ? { down: true } : {};
  const lifts = slurm.stale === true && slurm.reason !== null ? { lifts: slurm.reason } : {};
  const payload = {
    kind: "uncordon",
    why: sayCause({ code: "no_cordon" }),
    mirror: true,
    slurm: { name: slurm.name, ...down, ...lifts },
  } as const;
  const boot: Cause[] = hasChanged(node, slurm) ? [{ code: "boot_changed" }] : [];
  const proof = isWell(node) ? "health_passed" : "released_by_person";
  return { payload, because: [...boot, { code: proof }] };
}

/** What holds it in Slurm is Navarch's, or of the machine before, and no cordon explains it. */
function isPending({ slurm, cordon, phase }: Node): boolean {
  if (slurm === null || slurm.absentSince !== null) return false;
  if (slurm.owner !== "own" && slurm.stale !== true) return false;
  if (cordon.product !== null || cordon.human !== null) return false;
  return phase.kind === "serving" && (slurm.drain || slurm.down);
}

/** Why the node stays drained in Slurm although it serves; `null` = nothing holds it there. */
export function unreleasedBy(node: Node, scope: InSight): SlurmNote | null {
  const { slurm } = node;
  if (slurm === null || !isPending(node)) return null;
  const why = staysBy(node, slurm, scope);
  if (why === null) return null;
  const { name, stale, reason } = slurm;
  return { code: "stays", name, isStale: stale === true, reason, why };
}

function staysBy(node: Node, slurm: SlurmFact, scope: InSight): Stays | null {
  const { slurm: sight, now } = scope.sight;
  if (sight === null) return null;
  if (!sight.mirrorsCordon) return { code: "mirror_off" };
  const said = sight.ambiguous.get(node.id) ?? sight.dark;
  if (said !== null) return { code: "unanswered", said };
  const kept = keptBy(node, scope);
  if (kept !== null) return kept;
  const loss = lossOf(node, scope);
  if (loss !== null) return { code: "lost", loss };
  if (!isWell(node) && !isSuppressed(node)) return { code: "unproven" };
  if (!hasRegistered(node, slurm)) return { code: "unregistered" };
  if (slurm.silent) return { code: "silent" };
  if (hasChanged(node, slurm) && slurm.bootSeenAt === slurm.boundAt) {
    // The name already had this BootTime when the node took it over.
    if (isResting(slurm.boundAt + FORMER_MS, now, FORMER_MS)) {
      return { code: "former", minutes: FORMER_MS / 60_000 };
    }
  }
  const settledAt = (slurm.bootSeenAt ?? 0) + SETTLE_MS;
  if (hasChanged(node, slurm) && isResting(settledAt, now, SETTLE_MS)) {
    return { code: "settling", seconds: SETTLE_MS / 1_000 };
  }
  if (slurm.power) return { code: "power_saving" };
  if (slurm.completing && hasChanged(node, slurm)) return { code: "epilog" };
  if (!isResting(slurm.restUntil, now)) return null;
  return { code: "refused", said: slurm.refusal };
}

/** What a person should know of a serving node's side in Slurm. */
export function slurmNoteOf(node: Node, scope: InSight): SlurmNote | null {
  const { slurm, id } = node;
  const ambiguous = scope.sight.slurm?.ambiguous.get(id);
  if (ambiguous !== undefined) return { code: "slurm_ambiguous", said: ambiguous };
  if (slurm === null || slurm.absentSince !== null) return null;
  if (slurm.owner !== "foreign" || slurm.stale === true) return unreleasedBy(node, scope);
  const { byItself, reason } = slurm;
  return { code: "slurm_foreign", byItself: byItself === true, reason };
}

/** Why the work of Slurm on the node cannot be told; `null` = it has none there, or it can. */
export function slurmDarkness(
  { id, slot, slurm }: Node,
  { sight: { slurm: sight }, pool }: Pick<Scope, "sight" | "pool">,
): Dark | null {
  if (sight === null) return null;
  const ambiguous = sight.ambiguous.get(id);
  if (ambiguous !== undefined) return { code: "slurm_ambiguous", said: ambiguous };
  if (sight.dark !== null) {
    // Before the first list, any node may have jobs, and later one that the list had not met yet.
    const isNamed = pool !== null && slot !== null && poolNames(pool)[slot] !== undefined;
    const isThere = slurm !== null || isNamed || !sight.known;
    return isThere ? { code: "slurm_dark", said: sight.dark } : null;
  }
  if (slurm === null || slurm.absentSince === null) return null;
  return { code: "slurm_unlisted", name: slurm.name };
}

/** Why a machine that was drained is not ended: it is, or was, in service in Slurm again. */
export function reopenedInSlurm(node: Node, { sight }: InSight): Held | null {
  const { slurm, phase } = node;
  if (sight.slurm === null || slurm == null || slurm.absentSince !== null) return null;
  if (phase.kind !== "terminating" || isForced(node)) return null;
  const which = { name: slurm.name, node: node.id };
  if (isReopened(node)) return { code: "reopened", ...which };
  if (slurm.markedAt === null || slurm.markedAt < phase.since) return null;
  const left = workOn(sight, node.id);
  if (left.kind === "empty" && left.seenAt >= slurm.markedAt) return null;
  return { code: "redrained", ...which, work: left.kind === "busy" ? left.message : null };
}

/** Whether jobs of Slurm may run on the node, whatever phase it is in. */
export function isInSlurm({ slurm }: Node, { slurm: sight }: Sight): boolean {
  return sight !== null && slurm !== null && slurm.absentSince === null;
}
