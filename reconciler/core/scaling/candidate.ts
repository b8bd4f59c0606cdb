/** Which nodes fill a pool, and which of them leave first when it gets smaller. Pure. */
import type { NodeId } from "../../../schema/id.ts";
import { isLeaving, type Node, type Purpose } from "../../../schema/node.ts";
import { isOwned, isTakenOut, isUnbought } from "../fleet.ts";
import { verdictOfNode, isIdle, workOn, type Sight } from "../fleet.ts";
import { keptBy } from "../kubernetes/hold.ts";
import { isReplaced } from "../safety/in-flight.ts";
import { isHeldInSlurm } from "../slurm/hold.ts";

/** Purposes of an end after which the slot is not waited for. */
const GIVEN_UP: readonly Purpose[] = ["scale_down", "surplus", "preempted"];

/** Whether a node counts for its pool's size: one whose slot is being given up does not. */
export function fills({ phase }: Node): boolean {
  if (phase.kind === "gone") return false;
  if (phase.kind === "draining" || phase.kind === "terminating") {
    return !GIVEN_UP.includes(phase.purpose);
  }
  return true;
}

const NONE: ReadonlySet<NodeId> = new Set();

type CandidateOptions = {
  /** Nodes with work stay, unless removed by name. */
  sparesBusy?: boolean;
  /** When the size was set; nodes that a person spared since then stay. */
  wantedAt?: number;
  /** Owned and unmanaged machines may leave as well, after bought ones. */
  takesUnbought?: boolean;
  /** Of nodes that are as easy to lose the dearest leaves first. */
  dearestFirst?: boolean;
  /**
   * An autoscaler's size: machines on their way up stay until they have served, unless the pool has
   * more than `max` nodes. One that is verified for longer than `verifyMs` is stuck, not coming.
   */
  sparesComing?: { max: number; verifyMs: number } | null;
  /**
   * An autoscaler's size: nodes that people cordoned, hold or annotated stay. Its size counts idle
   * cordoned ones beside what the load needs.
   */
  sparesKept?: boolean;
  /** Nodes with a cordon for a smaller pool under way: another choice would leave beside them. */
  marking?: ReadonlySet<NodeId>;
};

/** Scale-down candidates: the nodes that are cheapest to lose, never more than the excess. */
export function candidatesOf(
  nodes: readonly Node[],
  desired: number,
  sight: Sight,
  options: CandidateOptions = {},
): Set<NodeId> {
  const { sparesBusy = false, wantedAt = 0, takesUnbought = false, sparesComing = null } = options;
  const { dearestFirst = false, sparesKept = false, marking = NONE } = options;
  // A held node is no capacity, and only a person removes it.
  const filling = nodes.filter((node) => fills(node) && node.phase.kind !== "held");
  const carrying = filling.filter((node) => !isUnbought(node) || standsIn(node, wantedAt));
  const slots = new Set(carrying.map(slotOf));
  const seconds = secondOccupants(filling);
  if (slots.size <= desired) return seconds;
  const lossOf = (node: Node): number => cost(node, sight, marking);
  const order = (a: Node, b: Node): number =>
    (dearestFirst ? byPrice(a, b, lossOf) : 0) ||
    lossOf(a) - lossOf(b) ||
    a.createdAt - b.createdAt ||
    (a.id < b.id ? -1 : 1);
  const coming = carrying.filter((node) => isComing(node, sparesComing, sight));
  const over = Math.max(0, slots.size - (sparesComing?.max ?? slots.size));
  const spared = new Set(coming.toSorted(order).map(slotOf).slice(over));
  // They count as what the pool has too many until they have served; then any node may leave.
  const excess = slots.size - desired - spared.size;
  if (excess <= 0) return seconds;
  const candidates = filling.filter(
    (node) =>
      (isSpare(node) || isReplaced(node)) &&
      !spared.has(slotOf(node)) &&
      !(sparesKept && !isNamed(node) && (isTakenOut(node) || isAskedFor(node))) &&
      (takesUnbought || isNamed(node) || !(isUnbought(node) || isOwned(node))) &&
      !(sparesBusy && !isNamed(node) && isBusy(node, sight)) &&
      !(node.sparedAt !== null && node.sparedAt >= wantedAt),
  );
  candidates.sort(order);
  const chosen = new Set<NodeId>(seconds);
  const given = new Set<number | string>();
  for (const node of candidates) {
    const slot = slotOf(node);
    const isLate =
      isReplaced(node) && filling.some((one) => one !== node && one.slot === node.slot);
    if (!given.has(slot) && (given.size === excess || isLate)) continue;
    given.add(slot);
    chosen.add(node.id);
  }
  // The second occupant of a slot that is given up leaves as well.
  for (const node of candidates) {
    if (isReplaced(node) && given.has(slotOf(node))) chosen.add(node.id);
  }
  return chosen;
}

/** A bought machine that has not served yet and still may: the limits of its boot end it if not. */
function isComing(node: Node, spares: { verifyMs: number } | null, { now }: Sight): boolean {
  const { phase } = node;
  if (spares === null) return false;
  if (node.instance === null || isOwned(node) || isNamed(node)) return false;
  if (phase.kind === "verifying") return now - phase.since < spares.verifyMs;
  return phase.kind === "booting" || phase.kind === "bootstrapping";
}

/** The node's place in its pool; a node without a slot is a place of its own. */
export function slotOf({ slot, id }: Node): number | string {
  return slot ?? id;
}

/**
 * Whether an unmanaged machine stands in for a bought one: it serves, and was in the pool when the
 * size was set. One that arrives later gives up nothing: its agent names the pool, so a machine
 * that comes and goes would end healthy ones.
 */
function standsIn(node: Node, wantedAt: number): boolean {
  if (node.phase.kind !== "serving" || verdictOfNode(node) === "unhealthy") return false;
  return Math.max(node.phase.since, node.pooledAt ?? node.createdAt) <= wantedAt;
}

/** Replacements of a node that stayed, because its repair was cancelled after the purchase. */
function secondOccupants(filling: readonly Node[]): Set<NodeId> {
  const staying = filling.filter(({ phase }) => ["serving", "suspect"].includes(phase.kind));
  const slots = new Map(staying.map(({ id, slot }) => [id, slot]));
  const seconds = filling.filter(
    (node) => node.replaces !== null && slots.get(node.replaces) === node.slot && isSpare(node),
  );
  return new Set(seconds.map(({ id }) => id));
}

function isSpare({ phase }: Node): boolean {
  return !isLeaving(phase) && phase.kind !== "repairing" && phase.kind !== "held";
}

/** An annotation of its Node keeps it: `navarch.dev/hold`, or that of another autoscaler. */
function isAskedFor({ kube }: Node): boolean {
  return kube !== null && kube.absentSince === null && (kube.hold || kube.kept !== undefined);
}

function isNamed({ cordon }: Node): boolean {
  return cordon.product?.cause === "removed";
}

/** Whether work may run on the node; on one that takes work, "unknown" counts as busy. */
function isBusy(node: Node, sight: Sight): boolean {
  const { kind } = node.phase;
  const left = workOn(sight, node.id);
  if (kind === "serving") return !isIdle(left);
  // Work may run on a verifying machine that waits for the rest of its GPUs, or that was adopted.
  return ["verifying", "suspect", "replacing"].includes(kind) && left.kind === "busy";
}

/** What a node in service costs at least, and work on it more; load adds up to 100. */
const SERVING = 10;
const BUSY = 1_000;

/** The cost of losing this node, cheapest first. */
function cost(node: Node, sight: Sight, marking: ReadonlySet<NodeId>): number {
  // It would wait for those people, and the pool would stay too large meanwhile.
  if (isHeldInSlurm(node)) return 20_000;
  if (isNamed(node)) return -20;
  if (keptBy(node, { sight }) !== null) return 20_000;
  if (isAskedFor(node)) return 10_000;
  if (isReplaced(node)) return -7;
  // Machines that cost money go first.
  if (isUnbought(node) || isOwned(node)) return 5_000 + (isBusy(node, sight) ? BUSY : 0);
  if (node.phase.kind === "requested") return -5;
  const busy = isBusy(node, sight) ? BUSY : 0;
  const isMarked = node.cordon.product?.cause === "scale_down" || marking.has(node.id);
  if (isMarked) return busy - 10;
  if (node.cordon.human !== null || node.cordon.product !== null) return busy;
  if (verdictOfNode(node) === "unhealthy") return busy + 1;
  if (node.phase.kind !== "serving") return busy + 2;
  return SERVING + busy + (sight.utilization.get(node.id) ?? 50);
}

/**
 * By price, where what it costs to lose them is equal: nodes in service that are proven to have no
 * work are, whatever load was last measured there. An unknown price is bought last, and goes first.
 */
function byPrice(a: Node, b: Node, lossOf: (node: Node) => number): number {
  const rank = (node: Node): number => {
    const loss = lossOf(node);
    return loss >= SERVING && loss < BUSY ? SERVING : loss;
  };
  const dearness = ({ instance }: Node): number => instance?.pricePerHour ?? Number.MAX_VALUE;
  return rank(a) - rank(b) || dearness(b) - dearness(a);
}
