/**
 * Shows on the Node object what we know about the node: conditions, labels of its pool, taints.
 * Level-triggered: each call of `tend` compares the desired state with the object and writes the
 * differences; once an hour it writes everything. Marks that are no longer desired are removed,
 * because a stale condition is worse than none (docs/reference/kubernetes.md#conditions). A late
 * write does little harm: every write carries the UID, conditions and labels are keyed entries that
 * only Navarch writes, and taints are fenced by the version. Safety does not depend on these
 * writes, so they go last in every queue.
 */
import type { Log } from "../core/clock.ts";
import { InFlight } from "./in-flight.ts";
import { type Failed, isExplained, type NodePorts, SPREAD } from "./node-call.ts";
import { isForeign, isNewer, type KubeNode } from "../core/kubernetes/object.ts";
import { backoffMs, spreadMs } from "../core/turn/backoff.ts";
import { foreignTaints } from "./pool-taint.ts";
import { ForeignTaints, formatRemoved } from "./taint.ts";
import { aimOf, clearRequests, judgeStatus, wantedTaints } from "./status-diff.ts";
import type { StatusMemory, StatusStep, DesiredStatus } from "./status-diff.ts";
import { writeStatus } from "./status-write.ts";

/** Concurrent writes: few enough never to delay a cordon at the server. */
const IN_FLIGHT = 8;
/** Everything is written again after this, to correct drift that no watch reported. */
const RESYNC_MS = 3_600_000;
/**
 * Renewal period of conditions, so that those of a stopped control plane look old. With many Nodes
 * it is longer, to limit writes to ten a second, but never over an hour.
 */
const RENEW_MS = 300_000;
const RENEW_EACH_MS = 100;
/** After a refusal; doubles up to ten minutes. */
const BACKOFF_MS = 5_000;
const BACKOFF_MAX_MS = 600_000;
/** A Node without a desired status keeps our marks this long: a re-match takes seconds. */
const UNDESIRED_MS = 60_000;
/** Changes of wording alone, such as names of remaining pods, are written at most this often. */
const TEXT_MS = 60_000;
/** How long other writes on a Node wait for a mark, which takes about 0.1 s. */
const LATER_MS = 1_000;
/** A removed value is written again at once, then after 2 s, 4 s, … up to ten minutes. */
const PUT_BACK_MS = 1_000;
/** From this number on, removals count as deliberate. */
const CONTESTED_MIN = 3;
/** The count starts over after this long without a removal. */
const CONTEST_MS = 1_800_000;
const CONTEST_ADVICE =
  "Navarch restores them ever less often; to stop it, set navarch.dev/hold=true on the Node";
const NONE: ReadonlySet<string> = new Set();
const TROUBLES_MAX = 100;

export type MirrorPorts = NodePorts & {
  log: Log;
  /** Another client removes our values repeatedly. */
  contested: (one: StatusNote) => void;
  /** Another client's value under one of our names was removed. */
  removed: (one: StatusNote) => void;
};

export type StatusNote = { name: string; uid: string; pool: string | null; note: string };

type Pace = {
  failures: number;
  notBeforeMs: number;
  trouble: string | null;
  /** `aimOf` the last write; `null`: none yet. */
  aim: string | null;
  /** Recent restorations of removed values, and the time of the last one. */
  putBacks: number;
  putBackAtMs: number;
};

type Entry = StatusMemory & {
  name: string;
  uid: string;
  pool: string | null;
  desired: DesiredStatus | null;
  /** The newest version: from the cache, or the answer to our last write. */
  object: KubeNode;
  /** The last pair that needed no step, so that it is not compared again every second. */
  clean: { desired: DesiredStatus; object: KubeNode } | null;
  undesiredAtMs: number | null;
  resyncAtMs: number;
  /** When conditions were last written, or first found correct. */
  renewedAtMs: number;
  /** When a change of wording alone was last written. */
  wordsAtMs: number;
  /** Since when a mark is being written; `null`: none is. */
  laterSinceMs: number | null;
  /** The fleet in the last desired status. */
  fleet: string | null;
  foreignTaints: ForeignTaints;
  /** One per kind of step: a webhook that refuses taints must not delay conditions. */
  paces: Map<StatusStep["kind"], Pace>;
};

export class StatusMirror {
  readonly #ports: MirrorPorts;
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #entries = new Map<string, Entry>();

  constructor(ports: MirrorPorts) {
    this.#ports = ports;
  }

  /**
   * Starts the due writes and returns. `desired` is complete: a Node that is no longer in it loses
   * our marks after a minute, so do not call this while observations are unreliable. `former`:
   * Nodes known to have been ours before this process began.
   */
  tend(desired: readonly DesiredStatus[], former: readonly KubeNode[] = []): void {
    const now = this.#ports.clock.monoMs();
    const uids = new Set<string>();
    for (const one of desired) {
      uids.add(one.uid);
      this.#see(one, now);
    }
    for (const object of former) {
      const known = this.#entries.get(object.uid);
      if (known !== undefined) this.#take(known, object);
      else this.#entries.set(object.uid, this.#entry(object, null, now));
    }
    for (const [uid, entry] of this.#entries) {
      if (!uids.has(uid)) {
        entry.desired = null;
        entry.undesiredAtMs ??= now;
      }
      if (this.#isDue(entry, now)) this.#queue.add(uid, () => this.#work(entry));
    }
  }

  /** Why the mirror lags, one line a Node, for `doctor` and a pool's condition. Bounded. */
  troubles(): string[] {
    const lines: string[] = [];
    for (const { name, paces, desired, object } of this.#entries.values()) {
      const taints = desired?.mirror.labels === true ? desired.taints : [];
      const all = [...paces.values()].flatMap(({ trouble }) => trouble ?? []);
      for (const trouble of [...all, ...foreignTaints(object, taints)]) {
        if (lines.length < TROUBLES_MAX) lines.push(`${name}: ${trouble}`);
      }
    }
    return lines;
  }

  /** Resolves once nothing waits or runs. */
  rest(): Promise<void> {
    return this.#queue.rest();
  }

  /** Starts nothing more. */
  close(): void {
    this.#entries.clear();
    this.#queue.clear();
  }

  #see(desired: DesiredStatus, now: number): void {
    const known = this.#entries.get(desired.uid);
    const entry = known ?? this.#entry(desired.object, desired, now);
    entry.desired = desired;
    entry.pool = desired.pool;
    entry.fleet = desired.fleet;
    entry.undesiredAtMs = null;
    this.#take(entry, desired.object);
    this.#seeLater(entry, desired.later, now);
    if (known === undefined) this.#entries.set(desired.uid, entry);
  }

  #take(entry: Entry, object: KubeNode): void {
    const next = newer(entry.object, object);
    const wanted = entry.desired === null ? NONE : wantedTaints(entry.desired);
    entry.foreignTaints.see(entry.object, next, wanted, this.#ports.clock.monoMs());
    entry.object = next;
  }

  #tellRemoved(entry: Entry, keys: readonly string[]): void {
    const { name, uid, pool } = entry;
    const note = formatRemoved(keys);
    this.#ports.log("warn", note, aboutOf(entry));
    this.#ports.removed({ name, uid, pool, note });
  }

  /**
   * Concurrent writes of one object would collide, so other writes wait for the mark, but at most
   * `LATER_MS`: a webhook that delays the mark must not hide a fault.
   */
  #seeLater(entry: Entry, isLater: boolean, now: number): void {
    if (!isLater) entry.laterSinceMs = null;
    if (!isLater || entry.laterSinceMs !== null) return;
    entry.laterSinceMs = now;
    this.#ports.clock.after(LATER_MS, () => {
      if (this.#entries.get(entry.uid) !== entry || entry.laterSinceMs !== now) return;
      if (this.#isDue(entry, this.#ports.clock.monoMs())) {
        this.#queue.add(entry.uid, () => this.#work(entry));
      }
    });
  }

  #entry(object: KubeNode, desired: DesiredStatus | null, now: number): Entry {
    return {
      name: object.name,
      uid: object.uid,
      pool: desired?.pool ?? null,
      desired,
      object,
      clean: null,
      undesiredAtMs: null,
      // After a start only differences are sent; full resyncs are spread over the hour.
      resyncAtMs: now + RESYNC_MS * this.#ports.random(),
      renewedAtMs: now,
      wordsAtMs: Number.NEGATIVE_INFINITY,
      laterSinceMs: null,
      fleet: desired?.fleet ?? null,
      foreignTaints: new ForeignTaints(),
      paces: new Map(),
      labelsSent: null,
      foreign: new Map(),
    };
  }

  #isDue(entry: Entry, now: number): boolean {
    if (entry.laterSinceMs !== null && now - entry.laterSinceMs < LATER_MS) return false;
    if (entry.desired === null && now - (entry.undesiredAtMs ?? now) < UNDESIRED_MS) return false;
    const { desired, object, clean } = entry;
    const isResync = now >= entry.resyncAtMs && desired?.later !== true;
    // Neither is changed in place, so a pair that needed no step still needs none.
    const isKnown = clean?.desired === desired && clean.object === object;
    const renews = this.#isRenewal(entry, now);
    if (!isResync && !renews && desired !== null && isKnown) return false;
    const steps = stepsOf(entry, isResync, renews);
    entry.clean = steps.length > 0 || desired === null ? null : { desired, object };
    if (steps.length === 0) return desired === null || isResync;
    return steps.some((step) => now >= waitOf(entry, step));
  }

  async #work(entry: Entry): Promise<void> {
    const { clock, log } = this.#ports;
    const isResync = clock.monoMs() >= entry.resyncAtMs && entry.desired?.later !== true;
    if (isResync) entry.foreign.clear();
    const { desired } = entry;
    let isWhole = true;
    const renews = this.#isRenewal(entry, clock.monoMs());
    for (const step of stepsOf(entry, isResync, renews)) {
      if (clock.monoMs() < waitOf(entry, step)) {
        isWhole = false;
        continue;
      }
      const pace = paceOf(entry, step.kind);
      const isNeeded = !isResync && !(renews && step.kind === "conditions");
      if (isNeeded && isSameAim(entry, step.kind)) this.#countPutBack(entry, step.kind, pace);
      const theirs = step.kind === "taints" ? entry.foreignTaints.among(step.change.drop) : [];
      const written = await writeStatus(this.#ports, entry, step);
      if (written.kind === "done" && theirs.length > 0) this.#tellRemoved(entry, theirs);
      for (const line of written.lines) log("warn", line, aboutOf(entry));
      if (written.object !== null) this.#take(entry, written.object);
      if (written.kind === "gone") {
        // A new Node of the same name gets its own entry.
        this.#entries.delete(entry.uid);
        return;
      }
      if (written.kind === "failed") {
        this.#fail(entry, pace, written);
        isWhole = false;
      } else {
        pace.failures = 0;
        if (step.kind === "conditions") entry.renewedAtMs = clock.monoMs();
        if (step.kind === "conditions" && step.isText) entry.wordsAtMs = clock.monoMs();
        const aim = desired === null ? null : aimOf(step.kind, desired);
        if (pace.aim !== aim) pace.putBacks = 0;
        if (pace.putBacks < CONTESTED_MIN) pace.trouble = null;
        pace.aim = aim;
      }
    }
    if (!isWhole) return;
    if (isResync) {
      const jitter = 0.75 + this.#ports.random() / 2;
      entry.resyncAtMs = clock.monoMs() + RESYNC_MS * jitter;
    }
    if (desired === null && entry.desired === null) this.#entries.delete(entry.uid);
  }

  /** Whether its conditions have not been written for a renewal period. */
  #isRenewal({ desired, renewedAtMs }: Entry, now: number): boolean {
    if (desired === null || desired.later) return false;
    const periodMs = Math.max(RENEW_MS, this.#entries.size * RENEW_EACH_MS);
    return now - renewedAtMs >= Math.min(RESYNC_MS, periodMs);
  }

  /**
   * Counts a removal by another client. The values are restored at growing intervals, and removals
   * are reported from the third on.
   */
  #countPutBack(entry: Entry, kind: StatusStep["kind"], pace: Pace): void {
    const { name, uid, pool } = entry;
    const now = this.#ports.clock.monoMs();
    pace.putBacks = now - pace.putBackAtMs > CONTEST_MS ? 1 : pace.putBacks + 1;
    pace.putBackAtMs = now;
    if (pace.putBacks < CONTESTED_MIN) return;
    const message = `another client removed or changed its ${kind} ${pace.putBacks} times`;
    pace.trouble = message;
    if (pace.putBacks > CONTESTED_MIN) return;
    this.#ports.log("warn", message, aboutOf(entry));
    this.#ports.contested({ name, uid, pool, note: `${message}; ${CONTEST_ADVICE}` });
  }

  #fail(entry: Entry, pace: Pace, failure: Failed): void {
    const { message, retryAfterMs } = failure;
    const { clock, random, log } = this.#ports;
    pace.failures += 1;
    const waitMs = spreadMs(backoffMs(pace.failures, BACKOFF_MS, BACKOFF_MAX_MS), SPREAD, random());
    pace.notBeforeMs = clock.monoMs() + Math.max(retryAfterMs ?? 0, waitMs);
    if (pace.trouble !== message) {
      const level = isExplained(failure) ? "debug" : "warn";
      log(level, "Node not updated", { ...aboutOf(entry), reason: message });
    }
    pace.trouble = message;
  }
}

/** `node: null`: no node of the fleet is matched with this Node. */
const aboutOf = ({ name, desired }: Entry) => ({ node: desired?.node ?? null, kube_node: name });

function paceOf({ paces }: Entry, kind: StatusStep["kind"]): Pace {
  const known = paces.get(kind);
  if (known !== undefined) return known;
  const pace: Pace = {
    ...{ failures: 0, notBeforeMs: 0, trouble: null },
    ...{ aim: null, putBacks: 0, putBackAtMs: Number.NEGATIVE_INFINITY },
  };
  paces.set(kind, pace);
  return pace;
}

/** Whether it was written before and the desired state has not changed since. */
function isSameAim({ desired, paces }: Entry, kind: StatusStep["kind"]): boolean {
  const aim = paces.get(kind)?.aim ?? null;
  return desired !== null && aim !== null && aim === aimOf(kind, desired);
}

/** The earliest time of the step, in monotonic milliseconds. */
function waitOf(entry: Entry, step: StatusStep): number {
  const { kind } = step;
  const pace = entry.paces.get(kind);
  if (pace === undefined) return 0;
  if (kind === "conditions" && step.isText) {
    return Math.max(pace.notBeforeMs, entry.wordsAtMs + TEXT_MS);
  }
  if (pace.putBacks === 0 || !isSameAim(entry, kind)) return pace.notBeforeMs;
  const waitMs = backoffMs(pace.putBacks + 1, PUT_BACK_MS, BACKOFF_MAX_MS);
  return Math.max(pace.notBeforeMs, pace.putBackAtMs + waitMs);
}

function stepsOf(entry: Entry, isResync: boolean, renews: boolean): StatusStep[] {
  const { desired, object, fleet } = entry;
  // Another install may have claimed the Node meanwhile.
  if (desired === null && isForeign(object, fleet)) return [];
  if (desired === null) return clearRequests(object, entry);
  const due = judgeStatus(desired, object, entry, isResync);
  if (!renews || isResync) return due;
  const all = judgeStatus(desired, object, entry, true).filter(({ kind }) => kind === "conditions");
  return [...all, ...due.filter(({ kind }) => kind !== "conditions")];
}

/** The newer version of one object; `seen` if they are equal. */
function newer(known: KubeNode, seen: KubeNode): KubeNode {
  return isNewer(known.resourceVersion, seen.resourceVersion) ? known : seen;
}
