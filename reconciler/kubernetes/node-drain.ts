/**
 * One node that drains: what its last complete list showed, what of that must leave, and whom to
 * ask next. Every decision rests on a consistent list of the node's pods, never on a watch alone:
 * an eviction out of a stale view would spend somebody's disruption budget, and an absence out of
 * one would end a node with work on it. No effects; `drainer.ts` carries them out.
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
 * A pod that was bound just before the cordon shows up a little later: no node is empty before it
 * was watched for so long (docs/reference/kubernetes.md#drain).
 */
const MIN_DRAIN_MS = 5_000;
/** No two lists of one node are closer together, the two that show it empty included. */
const CONFIRM_MS = 1_000;
/** How long nothing may have changed before it is looked at again. */
const QUIET_LIST_MS = 15_000;
/** The same in turns, where so many nodes drain that each has its turn more rarely. */
const QUIET_TURNS = 12;
/** Nobody is asked out of an older list: it would be listed again first. */
const FRESH_MS = 5_000;
const IN_FLIGHT_MAX = 20;
/** A plan is recreated where its list or its request changed, and as time alone changes it. */
const PLAN_MS = 1_000;
/** An answer may be on its way while the list is: only a list from after it shows its effect. */
const EFFECT_MS = 2_000;

/** After how long a node is listed though nothing is known to have changed. */
export function quietMs(everyMs: number): number {
  // Up to a hundred nodes list within two seconds each; beyond, most of them only wait.
  return everyMs <= 2_000 ? QUIET_LIST_MS : QUIET_TURNS * everyMs;
}

export type Listing = {
  pods: Map<string, KubePod>;
  /** When the list was asked for: nothing in it is older. */
  sentMono: number;
  sentWall: number;
};

/** Now, on both clocks. */
export type Instant = { mono: number; wall: number };

/** `cut`: of a deletion. */
export type NextAsk = { pod: KubePod; ask: Ask; how: How; graceMs: number; cut: Cut | null };

/** What a drain needs to begin: the mark, the first list. It counts as begun at once. */
const START_MS = 15_000;
/** After a pause: what most pods need, and what a person needs who sees what comes. */
const GRACE_LEAST_MS = 60_000;

export class NodeDrain {
  desired: DesiredDrain;
  readonly startedMono: number;
  listing: Listing | null = null;
  isListing = false;
  failure: { message: string; tries: number; retryMono: number } | null = null;
  /** Lists in a row that showed nothing that has to leave, and when the first was asked for. */
  emptyRuns = 0;
  emptyMono = 0;
  private judged: Listing | null = null;
  private made: { listing: Listing; key: string; at: number; plan: DrainPlan } | null = null;
  /** What the watch showed last, and when the list was asked for: a difference asks for a list. */
  mark = "";
  /** Wall instant since when the drain could go on without a pause; `null` = it cannot now. */
  private clearWall: number | null = null;
  private listedMark = "";
  /** What was told already and still holds, with its last text. */
  readonly told = new Map<string, string>();
  private readonly returns = new Returns();

  constructor(desired: DesiredDrain, mono: number) {
    this.desired = desired;
    this.startedMono = mono;
  }

  /** Set at each look: whether evictions are allowed now. */
  noteWay(isClear: boolean, wall: number): void {
    if (!isClear) this.clearWall = null;
    else this.clearWall ??= wall;
  }

  /**
   * The drain's deadline, moved so that after any time in which nobody could be asked, or could be
   * seen, a full grace period is left, and a minute at least; 0 = none. Time lost by a restart is
   * given back like that of a pause: nobody knows what it was.
   */
  deadline(now: number): number {
    const { since, deadlineAt, gracePeriodMs } = this.desired;
    if (deadlineAt === 0) return 0;
    const graceMs = Math.min(deadlineAt - since, Math.max(gracePeriodMs, GRACE_LEAST_MS));
    if (this.clearWall === null) return Math.max(deadlineAt, now + graceMs);
    const { resumedWall } = this;
    return resumedWall === null ? deadlineAt : Math.max(deadlineAt, resumedWall + graceMs);
  }

  /** When it went on after a pause; `null` = it began without one, or is paused now. */
  private get resumedWall(): number | null {
    const { clearWall } = this;
    return clearWall === null || clearWall <= this.desired.since + START_MS ? null : clearWall;
  }

  /** The deadline as text, for what is deleted because of it. */
  sayDeadline(now: number): string {
    return formatTime(this.deadline(now), this.desired.since);
  }

  /** What the deadline does to a pod that is left; nothing is said of one that moves on. */
  endFor({ graceMs, deletionAt }: KubePod, now: number): DrainEnd {
    const { since, deleteAtDeadline, paused, ordered } = this.desired;
    const deadlineAt = this.deadline(now);
    if (deadlineAt === 0 || paused !== null || this.clearWall === null) return { kind: "open" };
    const at = this.sayDeadline(now);
    if (!deleteAtDeadline) return { kind: "stops", at };
    if (deletionAt !== null) return { kind: "leaves", at };
    const deletes = formatTime(this.deletesAt(graceMs, deadlineAt), since);
    return { kind: "deletes", at: deletes, mayHold: !ordered };
  }

  /** Half of the time that is left after a pause is for evictions, as half of the whole is. */
  private deletesAt(graceMs: number, deadlineAt: number): number {
    const begunAt = this.resumedWall ?? this.desired.since;
    return Math.max(deadlineAt - graceMs, (begunAt + deadlineAt) / 2);
  }

  /** Of the same drain of the same Node object, whatever else was changed about it. */
  isOf(desired: DesiredDrain): boolean {
    const { name, uid, since } = this.desired;
    return desired.name === name && desired.uid === uid && desired.since === since;
  }

  /**
   * Why the node is to be listed: what is known is to be confirmed or brought up to date, or
   * somebody is to be asked, whose turn has to come first; `null` = it is not. `everyMs`: the
   * shortest time between two lists of one node, by how many nodes drain.
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
    const isLongEnough = mono >= this.startedMono + MIN_DRAIN_MS;
    if (isLongEnough && plan !== null && this.emptyRuns < 2 && this.remaining(plan, asks) === 0)
      return "look";
    if (ageMs < everyMs) return null;
    if (this.mark !== this.listedMark || ageMs >= quietMs(everyMs)) return "look";
    const asksSoon = plan !== null && ageMs >= FRESH_MS && this.wanted(plan, asks, at).length > 0;
    return asksSoon ? "ask" : null;
  }

  /** How many pods would be asked now if the list were fresh. */
  wantedNow(plan: DrainPlan, asks: Asks, at: Instant): number {
    return this.wanted(plan, asks, at).length;
  }

  /** Its pod list is fresh enough to evict from. */
  isFresh(at: Instant, everyMs: number): boolean {
    const ageMs = at.mono - (this.listing?.sentMono ?? Number.NEGATIVE_INFINITY);
    return ageMs <= Math.max(everyMs, FRESH_MS) + EFFECT_MS;
  }

  /**
   * What the watch shows now. Where many nodes drain at once, each pod that ends would ask for a
   * list of its node: then a list waits for a pod that is new, or for the last of those that were
   * asked to be gone.
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

  /** `sent`: when the list was asked for; nothing in it is older. */
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

  /** Counts a list that shows nothing, once: as soon as `plan` of it is known. */
  judgeEmpty(plan: DrainPlan, asks: Asks): void {
    const listing = this.listing;
    if (listing === null || listing === this.judged) return;
    this.judged = listing;
    const isLongEnough =
      listing.sentWall >= this.desired.since + MIN_DRAIN_MS &&
      listing.sentMono >= this.startedMono + MIN_DRAIN_MS;
    const isEmpty = isLongEnough && this.remaining(plan, asks) === 0;
    this.emptyRuns = isEmpty ? this.emptyRuns + 1 : 0;
    if (this.emptyRuns === 1) this.emptyMono = listing.sentMono;
  }

  /** The DaemonSets that a plan of the list needs to know about, as pods. */
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

  /** Pods that have to leave and have not. */
  remaining(plan: DrainPlan, asks: Asks): number {
    return plan.filter((planned) => this.isOpen(planned, asks)).length;
  }

  /** It has to leave and has not; on a node without a kubelet, it was not told to. */
  isOpen(planned: PlannedPod, asks: Asks): boolean {
    if (planned.verdict === "keep") return false;
    return !(this.desired.unreachable && asks.get(planned.uid)?.state === "begun");
  }

  /** Whom to ask now; nobody out of a stale list. */
  nextAsks(plan: DrainPlan, asks: Asks, at: Instant, everyMs: number): NextAsk[] {
    return this.isFresh(at, everyMs) ? this.wanted(plan, asks, at) : [];
  }

  /** Whom to ask if the list is fresh. A tier begins when the one before it is gone. */
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
   * Its own grace period still fits before the deadline, and not for longer; a pod whose grace is
   * longer than the drain has half of the drain to be evicted by its budget.
   */
  private isDeletable(planned: PlannedPod, ask: Ask, at: Instant): boolean {
    const { deleteAtDeadline } = this.desired;
    const deadlineAt = this.deadline(at.wall);
    if (!deleteAtDeadline || deadlineAt === 0 || planned.verdict === "keep") return false;
    if (at.wall < this.deletesAt(planned.graceMs, deadlineAt)) return false;
    if (ask.state === "asking" || ask.state === "checking") return false;
    if (ask.how !== "delete") {
      // Its eviction was accepted, and a later list shows no sign of it: it counts as not asked.
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
