/**
 * State of one draining node: its last complete pod list, which pods must leave, and which to evict
 * next. Every decision uses a consistent list, never a watch alone: an eviction from a stale view
 * would spend a disruption budget, and an absence in one would end a node with work on it. No
 * effects; `drainer.ts` carries them out.
 */
import type { Ask, Asks, How } from "./drain-ask.ts";
import { type Cut, cutOf, type DrainEnd, formatTime } from "./drain-end.ts";
import { Returns } from "./drain-return.ts";
import { isDaemon, planDrain } from "../core/kubernetes/drain-plan.ts";
import type { DrainPlan, PlannedPod } from "../core/kubernetes/drain-plan.ts";
import type { DesiredDrain } from "../core/kubernetes/desired-drain.ts";
import { isNewer } from "../core/kubernetes/object.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

/**
 * A pod bound just before the cordon appears a little later: no node counts as empty before this
 * (docs/reference/kubernetes.md#drain).
 */
const MIN_DRAIN_MS = 5_000;
/** What Slinky's operator shows of a job came up to 40 s late (docs/reference/slurm.md). */
const SLURM_LAG_MS = 60_000;
/** Least time between two lists of one node, the two that show it empty included. */
const CONFIRM_MS = 1_000;
/** A node without changes is listed again after this. */
const QUIET_LIST_MS = 15_000;
/** The same in turns, when so many nodes drain that each is listed less often. */
const QUIET_TURNS = 12;
/** No pod is evicted from an older list. */
const FRESH_MS = 5_000;
const IN_FLIGHT_MAX = 20;
/** A plan is recomputed when its list or request changes, and after this time. */
const PLAN_MS = 1_000;
/** A list shows the effect of an answer only if it is this much younger. */
const EFFECT_MS = 2_000;

/** Milliseconds after which a node without known changes is listed. */
export function quietMs(everyMs: number): number {
  // Up to a hundred nodes are listed every two seconds; beyond, most of them wait.
  return everyMs <= 2_000 ? QUIET_LIST_MS : QUIET_TURNS * everyMs;
}

export type Listing = {
  pods: Map<string, KubePod>;
  /** When the list was requested: nothing in it is older. */
  sentMono: number;
  sentWall: number;
};

/** One instant on both clocks, in milliseconds. */
export type Instant = { mono: number; wall: number };

/** `cut`: why it is deleted; `null` for an eviction. */
export type NextAsk = { pod: KubePod; ask: Ask; how: How; graceMs: number; cut: Cut | null };

/** Mark and first list take this long; until then a drain does not count as paused. */
const START_MS = 15_000;
/** Least time after a pause: for most pods to end, and for a person to react. */
const GRACE_LEAST_MS = 60_000;

export class NodeDrain {
  desired: DesiredDrain;
  readonly startedMono: number;
  listing: Listing | null = null;
  isListing = false;
  failure: { message: string; tries: number; retryMono: number } | null = null;
  /** Consecutive lists without a pod that must leave, and when the first was requested. */
  emptyRuns = 0;
  emptyMono = 0;
  private judged: Listing | null = null;
  private made: { listing: Listing; key: string; at: number; plan: DrainPlan } | null = null;
  /** What the watch shows; a difference from `listedMark` calls for a list. */
  mark = "";
  /** Wall instant since which evictions are allowed; `null`: they are not. */
  private clearWall: number | null = null;
  private listedMark = "";
  /** Reports that still hold, with their last text. */
  readonly reported = new Map<string, string>();
  private readonly returns = new Returns();

  constructor(desired: DesiredDrain, mono: number) {
    this.desired = desired;
    this.startedMono = mono;
  }

  /** Called at each look: whether evictions are allowed now. */
  noteAllowed(isClear: boolean, wall: number): void {
    if (!isClear) this.clearWall = null;
    else this.clearWall ??= wall;
  }

  /**
   * The deadline as wall instant, extended so that after a pause, a time without observations or a
   * restart a full grace period is left, and a minute at least; 0: none.
   */
  deadline(now: number): number {
    const { since, deadlineAt, gracePeriodMs } = this.desired;
    if (deadlineAt === 0) return 0;
    const graceMs = Math.min(deadlineAt - since, Math.max(gracePeriodMs, GRACE_LEAST_MS));
    if (this.clearWall === null) return Math.max(deadlineAt, now + graceMs);
    const { resumedWall } = this;
    return resumedWall === null ? deadlineAt : Math.max(deadlineAt, resumedWall + graceMs);
  }

  /** When it resumed after a pause; `null`: it began without one, or is paused now. */
  private get resumedWall(): number | null {
    const { clearWall } = this;
    return clearWall === null || clearWall <= this.desired.since + START_MS ? null : clearWall;
  }

  formatDeadline(now: number): string {
    return formatTime(this.deadline(now), this.desired.since);
  }

  /** What the deadline does to a remaining pod; `open` while the deadline moves. */
  endFor({ graceMs, deletionAt, slurm }: KubePod, now: number): DrainEnd {
    const { since, deleteAtDeadline, paused, ordered } = this.desired;
    const deadlineAt = this.deadline(now);
    if (deadlineAt === 0 || paused !== null || this.clearWall === null) return { kind: "open" };
    const at = this.formatDeadline(now);
    if (!deleteAtDeadline) return { kind: "stops", at };
    if (deletionAt !== null || slurm !== undefined) return { kind: "leaves", at };
    const deletes = formatTime(this.deletesAt(graceMs, deadlineAt), since);
    return { kind: "deletes", at: deletes, mayHold: !ordered };
  }

  /** The first half of the drain, or of the rest after a pause, is for evictions. */
  private deletesAt(graceMs: number, deadlineAt: number): number {
    const begunAt = this.resumedWall ?? this.desired.since;
    return Math.max(deadlineAt - graceMs, (begunAt + deadlineAt) / 2);
  }

  /** Whether it is the same drain of the same Node object. */
  isOf(desired: DesiredDrain): boolean {
    const { name, uid, since } = this.desired;
    return desired.name === name && desired.uid === uid && desired.since === since;
  }

  /**
   * Why the node is to be listed: `look` confirms or updates what is known, `ask` precedes an
   * eviction; `null`: it is not. `everyMs`: least time between lists of one node, by how many
   * drain.
   */
  listReason(
    plan: DrainPlan | null,
    asks: Asks,
    at: Instant,
    everyMs: number,
  ): "look" | "ask" | null {
    const { mono } = at;
    if (this.isListing) return null;
    if (this.failure !== null) return mono >= this.failure.retryMono ? "look" : null;
    if (this.listing === null) return "look";
    const ageMs = mono - this.listing.sentMono;
    if (ageMs < CONFIRM_MS) return null;
    const lostMono = asks.lostMono(this.listing.pods.keys());
    if (lostMono !== null && mono > lostMono) return "look";
    const isLongEnough = mono >= this.startedMono + this.leastMs;
    if (isLongEnough && plan !== null && this.emptyRuns < 2 && this.remaining(plan, asks) === 0)
      return "look";
    if (ageMs < everyMs) return null;
    if (this.mark !== this.listedMark || ageMs >= quietMs(everyMs)) return "look";
    const asksSoon = plan !== null && ageMs >= FRESH_MS && this.wanted(plan, asks, at).length > 0;
    return asksSoon ? "ask" : null;
  }

  /** How many pods could be evicted now if the list were fresh. */
  wantedNow(plan: DrainPlan, asks: Asks, at: Instant): number {
    return this.wanted(plan, asks, at).length;
  }

  /** Its pod list is fresh enough to evict from. */
  isFresh(at: Instant, everyMs: number): boolean {
    const ageMs = at.mono - (this.listing?.sentMono ?? Number.NEGATIVE_INFINITY);
    return ageMs <= Math.max(everyMs, FRESH_MS) + EFFECT_MS;
  }

  /**
   * Takes what the watch shows now. When many nodes drain (`isCrowd`), a list waits for a new pod
   * or for the last evicted pod to be gone: otherwise each pod that ends would cause one.
   */
  noteShown(shown: Iterable<KubePod>, asks: Asks, isCrowd: boolean): void {
    let [count, newest] = [0, "0"];
    const asked = new Set<string>();
    for (const uid of this.listing?.pods.keys() ?? []) {
      if (asks.get(uid)?.state === "begun") asked.add(uid);
    }
    const isAsked = asked.size > 0;
    let isLeft = false;
    for (const { uid, resourceVersion } of shown) {
      isLeft ||= asked.has(uid);
      if (isCrowd && this.listing?.pods.has(uid) === true) continue;
      count += 1;
      if (isNewer(resourceVersion, newest)) newest = resourceVersion;
    }
    this.mark = isCrowd ? `${count} ${newest} ${isAsked && !isLeft}` : `${count} ${newest}`;
  }

  takeSent(): void {
    this.isListing = true;
    this.listedMark = this.mark;
  }

  /** `sent`: when the list was requested; nothing in it is older. */
  takeList(pods: readonly KubePod[], sent: Instant, asks: Asks): void {
    const listed = new Map(pods.map((pod) => [pod.uid, pod]));
    this.isListing = false;
    this.failure = null;
    this.returns.takeList(this.listing?.pods ?? null, listed);
    this.listing = { pods: listed, sentMono: sent.mono, sentWall: sent.wall };
    asks.takeList(this.desired.node, listed, sent.mono);
  }

  takeFailure(message: string, mono: number, random: () => number): void {
    this.isListing = false;
    const tries = (this.failure?.tries ?? 0) + 1;
    const waitMs = Math.min(30_000, 2_000 * 1.5 ** (tries - 1)) * (0.8 + 0.4 * random());
    this.failure = { message, tries, retryMono: mono + waitMs };
  }

  /** After the cordon: until then no list proves that the node is empty. */
  private get leastMs(): number {
    for (const { slurm } of this.listing?.pods.values() ?? []) {
      if (slurm !== undefined) return SLURM_LAG_MS;
    }
    return MIN_DRAIN_MS;
  }

  /** Counts each list without a pod that must leave once, when its plan is known. */
  judgeEmpty(plan: DrainPlan, asks: Asks): void {
    const listing = this.listing;
    if (listing === null || listing === this.judged) return;
    this.judged = listing;
    const isLongEnough =
      listing.sentWall >= this.desired.since + this.leastMs &&
      listing.sentMono >= this.startedMono + this.leastMs;
    const isEmpty = isLongEnough && this.remaining(plan, asks) === 0;
    this.emptyRuns = isEmpty ? this.emptyRuns + 1 : 0;
    if (this.emptyRuns === 1) this.emptyMono = listing.sentMono;
  }

  /** The listed pods of DaemonSets, which a plan needs to look up. */
  daemons(): KubePod[] {
    return [...(this.listing?.pods.values() ?? [])].filter(isDaemon);
  }

  plan(now: number, daemonsets: ReadonlySet<string>): DrainPlan | null {
    const { listing, desired, made, returns } = this;
    if (listing === null) return null;
    const { force, ignoreDaemonsets, deleteEmptydirData, mode } = desired;
    const given = [force, ignoreDaemonsets, deleteEmptydirData, mode, [...daemonsets].sort()];
    const key = JSON.stringify([listing.pods.size, returns.uids.size, ...given]);
    const isKept = made?.listing === listing && made.key === key && now - made.at < PLAN_MS;
    if (made !== null && isKept && now >= made.at) return made.plan;
    const pods = [...listing.pods.values()];
    const plan = planDrain(pods, desired, daemonsets, now, returns.uids);
    this.made = { listing, key, at: now, plan };
    return plan;
  }

  /** Count of pods that must leave and have not. */
  remaining(plan: DrainPlan, asks: Asks): number {
    return plan.filter((planned) => this.isOpen(planned, asks)).length;
  }

  /** It must leave and has not; on a node without a kubelet: its deletion has not begun. */
  isOpen(planned: PlannedPod, asks: Asks): boolean {
    if (planned.verdict === "keep") return false;
    return !(this.desired.unreachable && asks.get(planned.uid)?.state === "begun");
  }

  /** Evictions and deletions to send now; none from a stale list. */
  nextAsks(plan: DrainPlan, asks: Asks, at: Instant, everyMs: number): NextAsk[] {
    return this.isFresh(at, everyMs) ? this.wanted(plan, asks, at) : [];
  }

  /** The same if the list were fresh. A tier begins when the one before it is gone. */
  private wanted(plan: DrainPlan, asks: Asks, at: Instant): NextAsk[] {
    const listing = this.listing;
    if (listing === null || this.desired.paused !== null) return [];
    const next: NextAsk[] = [];
    const room = IN_FLIGHT_MAX - asks.inFlight(listing.pods.keys());
    const tier = plan.find((planned) => this.isOpen(planned, asks))?.tier ?? 0;
    const sets = new Set<string>();
    for (const planned of plan) {
      if (next.length >= room) break;
      const pod = listing.pods.get(planned.uid);
      const ask = asks.get(planned.uid);
      if (pod === undefined || ask === null || pod.deletionAt !== null) continue;
      if (this.isDeletable(planned, ask, at)) {
        const graceMs = this.deadline(at.wall) - at.wall;
        next.push({ pod, ask, how: "delete", graceMs, cut: cutOf(planned, ask) });
        continue;
      }
      const isTurn = ask.set === null || (!asks.isTaken(ask) && !sets.has(ask.set));
      if (planned.tier !== tier || !isTurn || !isEvictable(planned, ask, at.mono)) continue;
      if (ask.set !== null) sets.add(ask.set);
      const graceMs = this.desired.unreachable ? 1_000 : this.desired.gracePeriodMs;
      next.push({ pod, ask, how: "evict", graceMs, cut: null });
    }
    return next;
  }

  /**
   * A pod is deleted as late as its grace period allows before the deadline; if that is longer than
   * the drain, after half of the drain.
   */
  private isDeletable(planned: PlannedPod, ask: Ask, at: Instant): boolean {
    const { deleteAtDeadline } = this.desired;
    const deadlineAt = this.deadline(at.wall);
    if (!deleteAtDeadline || deadlineAt === 0 || planned.verdict === "keep") return false;
    // It ends with its machine: Slurm then knows what was lost.
    if (planned.reason === "slurm") return false;
    if (at.wall < this.deletesAt(planned.graceMs, deadlineAt)) return false;
    if (ask.state === "asking" || ask.state === "checking") return false;
    if (ask.how !== "delete") {
      // An accepted eviction without effect in a later list counts as not sent.
      return ask.state === "idle" || this.isWithoutEffect(ask);
    }
    return ask.state === "idle" && at.mono >= ask.retryMono;
  }

  isWithoutEffect(ask: Ask): boolean {
    const isLater = (this.listing?.sentMono ?? 0) >= ask.answeredMono + EFFECT_MS;
    const pod = this.listing?.pods.get(ask.uid);
    return ask.state === "begun" && isLater && pod !== undefined && pod.deletionAt === null;
  }
}

function isEvictable(planned: PlannedPod, ask: Ask, mono: number): boolean {
  return planned.verdict === "evict" && ask.state === "idle" && mono >= ask.retryMono;
}
