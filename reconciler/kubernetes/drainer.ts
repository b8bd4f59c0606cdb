/**
 * Carries out the desired drains. It has no loop of its own: every activation calls `tend`, and
 * evictions are sent only within seconds of it, so a process that was suspended sends none before
 * the next activation. All state is memory; after a restart fresh lists of the nodes' pods restore
 * it.
 *
 * Fence (law 5): an eviction carries the pod's UID, so the server refuses another pod. It cannot
 * refuse a stale leader, so the age of the last `tend` is checked directly before the call, which
 * lasts 7 s at most; a process frozen in between can send one round of evictions.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { DrainSight } from "../core/fleet.ts";
import type { PlanAnswer } from "../core/kubernetes/scheduler.ts";
import type { KubeApi } from "./api.ts";
import { Asks } from "./drain-ask.ts";
import { BudgetWatch } from "./budget-watch.ts";
import { Attachments, Daemonsets } from "./drain-lookup.ts";
import { isDaemon, planDrain } from "../core/kubernetes/drain-plan.ts";
import type { DrainPlan, PlanRequest } from "../core/kubernetes/drain-plan.ts";
import { deletePod, evictPod, listPodsOf, readPods } from "./drain-request.ts";
import { groupPods, MESSAGE_CHARS_MAX, formatGroups, formatPods } from "./drain-sight.ts";
import type { DrainGroup } from "./drain-sight.ts";
import { DrainTeller } from "./drain-teller.ts";
import type { DrainListener } from "./drain-teller.ts";
import type { DesiredDrain } from "../core/kubernetes/desired-drain.ts";
import { judgeEviction } from "./eviction.ts";
import { NodeDrain, quietMs } from "./node-drain.ts";
import type { Instant, NextAsk } from "./node-drain.ts";
import type { KubePod } from "../core/kubernetes/object.ts";
import { STALE_MS } from "./reflector.ts";

/** The watched pods: a change triggers a list, never an action. */
export type PodSource = {
  /** Pods bound to a Node. */
  byNode(name: string): Iterable<KubePod>;
  /** Since the last event, bookmark or list from the server. */
  ageMs(): number;
  synced(): boolean;
};

export type DrainPorts = DrainListener & {
  api: KubeApi;
  /** Pods of Slinky's NodeSets are not evicted: Slurm drains them. */
  slinky?: boolean;
  pods: PodSource;
  clock: Clock;
  /** 0…1. */
  random: () => number;
  log: Log;
  /** Called when the result of `left` has changed. */
  wakeUp(): void;
  /** How many evictions may be sent or queued at once under the write limit. */
  room(): number;
};

/** `tend` is called about once a second; after a longer gap no eviction is sent. */
const WORD_MS = 5_000;
/** Failed lists make the progress unknown only after this, so one lost request does not. */
const DARK_MS = 15_000;
const LIST_MS = 2_000;
/** All drains together list 50 times a second at most. */
const LIST_SHARE_MS = 20;
const LISTS_MAX = 16;
/**
 * Least time between two looks at all drains, times their number, because a look costs about
 * 0.06 ms per drain: a thousand drains get one look a second, ten get one per activation.
 */
const LOOK_SHARE_MS = 1;
const BLOCKED_MAX = 50;
/** How long a dry run waits for unread DaemonSets. */
const PLAN_MS = 10_000;

export class Drainers {
  private readonly drains = new Map<NodeId, NodeDrain>();
  private readonly asks = new Asks();
  private readonly daemonsets: Daemonsets;
  private readonly attachments: Attachments;
  private readonly budgets: BudgetWatch;
  private readonly teller: DrainTeller;
  private readonly ports: DrainPorts;
  private tendedMono = Number.NEGATIVE_INFINITY;
  /** A `Retry-After` of the server applies to all pods. */
  private quietUntilMono = Number.NEGATIVE_INFINITY;
  private lists = 0;
  private asking = 0;
  private due: NodeDrain[] = [];
  private lookedMono = Number.NEGATIVE_INFINITY;
  private readonly shown = new Map<NodeId, { sight: DrainSight; mono: number }>();

  constructor(ports: DrainPorts) {
    this.ports = ports;
    this.teller = new DrainTeller(ports);
    this.daemonsets = new Daemonsets(ports);
    this.attachments = new Attachments(ports);
    this.budgets = new BudgetWatch(ports, (namespace, name, allowed) => {
      if (this.asks.open(namespace, name, allowed, this.now().mono)) ports.wakeUp();
    });
  }

  /** `desired` is complete: a drain that is not in it stops. */
  tend(desired: readonly DesiredDrain[]): void {
    const mono = this.ports.clock.monoMs();
    this.tendedMono = mono;
    const wanted = new Set(desired.map(({ node }) => node));
    for (const node of this.drains.keys()) if (!wanted.has(node)) this.drop(node, mono);
    for (const one of desired) {
      const drain = this.drains.get(one.node);
      if (drain?.isOf(one) === true) drain.desired = one;
      else this.drains.set(one.node, new NodeDrain(one, mono));
    }
    if (mono - this.lookedMono < this.lookMs) return;
    this.lookedMono = mono;
    this.asks.sweep(mono);
    const isTight = this.budgets.isOn || this.asks.waitsForBudget;
    this.budgets.tend(isTight && this.drains.size > 0);
    this.daemonsets.sweep();
    this.mark();
    this.queue();
    this.list();
    for (const drain of this.drains.values()) this.step(drain);
  }

  /** Progress of the node; unknown before its drain was first passed to `tend`. */
  left(node: NodeId): DrainSight {
    const drain = this.drains.get(node);
    if (drain === undefined) return { kind: "dark", message: "its drain has not begun yet" };
    const kept = this.shown.get(node);
    if (kept !== undefined && this.now().mono - kept.mono < this.lookMs) return kept.sight;
    return this.sightOf(drain, this.planOf(drain));
  }

  /** What blocks drains from outside, a line each. */
  blocked(): string[] {
    const lines: string[] = [];
    for (const drain of this.drains.values()) {
      const plan = this.planOf(drain);
      if (plan === null) continue;
      for (const group of this.groupsOf(drain, plan)) {
        if (lines.length === BLOCKED_MAX) return lines;
        if (group.reason !== null) lines.push(`Node ${drain.desired.name}: ${formatPods(group)}`);
      }
    }
    return lines;
  }

  /** Dry run: what draining the Node would do to each pod, from a fresh list. */
  async plan(name: string, desired: PlanRequest): Promise<PlanAnswer> {
    const { api, clock } = this.ports;
    const listed = readPods(await api.call(listPodsOf(name)), this.ports.slinky);
    if (listed.kind === "dark") return { kind: "failed", message: listed.message };
    const daemons = listed.items.filter(isDaemon);
    const endMono = clock.monoMs() + PLAN_MS;
    for (;;) {
      const waiting = Promise.withResolvers<void>();
      const existing = this.daemonsets.look(daemons, waiting.resolve);
      const pods = listed.items;
      if (existing !== null)
        return { kind: "ok", plan: planDrain(pods, desired, existing, clock.wallMs()) };
      const leftMs = endMono - clock.monoMs();
      if (leftMs <= 0) return { kind: "failed", message: "the DaemonSets cannot be read" };
      const cancel = clock.after(Math.min(leftMs, LIST_MS), waiting.resolve);
      await waiting.promise;
      cancel();
    }
  }

  private drop(node: NodeId, mono: number): void {
    this.drains.delete(node);
    this.shown.delete(node);
    this.asks.leave(node, mono);
  }

  private now(): Instant {
    const { clock } = this.ports;
    return { mono: clock.monoMs(), wall: clock.wallMs() };
  }

  /** Whether `tend` was called recently; without that no eviction is sent. */
  private isWordRecent(mono: number): boolean {
    return mono - this.tendedMono <= WORD_MS;
  }

  private get lookMs(): number {
    return this.drains.size * LOOK_SHARE_MS;
  }

  private get everyMs(): number {
    return Math.max(LIST_MS, this.drains.size * LIST_SHARE_MS);
  }

  /** Notes what the watch shows for each draining node. */
  private mark(): void {
    const isCrowd = this.everyMs > LIST_MS;
    for (const drain of this.drains.values()) {
      drain.noteShown(this.ports.pods.byNode(drain.desired.name), this.asks, isCrowd);
    }
  }

  /**
   * Queues the nodes whose list is due, longest waiting first. A list is soon too old to act on, so
   * one for evictions is requested only if the write limit has room, longest draining nodes first.
   */
  private queue(): void {
    const { drains, asks, everyMs } = this;
    const at = this.now();
    this.due = [];
    let room = this.ports.room() - this.asking;
    for (const drain of drains.values()) {
      const plan = this.planOf(drain);
      const reason = drain.listReason(plan, asks, at, everyMs);
      if (reason === "look" || (reason === "ask" && room > 0)) this.due.push(drain);
      const wants = reason === "ask" || (reason === null && drain.isFresh(at, everyMs));
      if (plan !== null && wants && room > 0) room -= drain.wantedNow(plan, asks, at);
    }
    this.due.sort((a, b) => (a.listing?.sentMono ?? 0) - (b.listing?.sentMono ?? 0));
  }

  private list(): void {
    while (this.lists < LISTS_MAX && this.isWordRecent(this.ports.clock.monoMs())) {
      const drain = this.due.shift();
      if (drain === undefined) return;
      if (this.isCurrent(drain) && !drain.isListing) void this.listOne(drain);
    }
  }

  private async listOne(drain: NodeDrain): Promise<void> {
    const { api, random } = this.ports;
    const sent = this.now();
    drain.takeSent();
    this.lists += 1;
    const listed = readPods(await api.call(listPodsOf(drain.desired.name)), this.ports.slinky);
    this.lists -= 1;
    if (listed.kind === "dark") drain.takeFailure(listed.message, this.now().mono, random);
    else if (this.isCurrent(drain)) drain.takeList(listed.items, sent, this.asks);
    this.list();
    this.step(drain);
  }

  private isCurrent(drain: NodeDrain): boolean {
    return this.drains.get(drain.desired.node) === drain;
  }

  private planOf(drain: NodeDrain): DrainPlan | null {
    const existing = this.daemonsets.look(drain.daemons(), () => this.step(drain));
    return existing === null ? null : drain.plan(this.ports.clock.wallMs(), existing);
  }

  private groupsOf(drain: NodeDrain, plan: DrainPlan): DrainGroup[] {
    return groupPods(drain, plan, this.asks, this.now());
  }

  /** Why progress is unknown; `null`: it is known. */
  private darknessOf(drain: NodeDrain): string | null {
    const { pods, clock } = this.ports;
    const mono = clock.monoMs();
    const { listing, failure } = drain;
    const ageMs = listing === null ? Number.POSITIVE_INFINITY : mono - listing.sentMono;
    if (failure !== null && ageMs > DARK_MS) return `its pods cannot be listed: ${failure.message}`;
    if (listing === null) return "its pods have not been listed yet";
    if (ageMs > Math.max(STALE_MS, 2 * quietMs(this.everyMs)))
      return "its pods have not been listed for a while";
    if (!pods.synced()) return "the watch on pods is not complete";
    const staleMs = pods.ageMs();
    if (staleMs > STALE_MS)
      return `the watch on pods has been silent for ${Math.round(staleMs / 1000)} s`;
    return null;
  }

  private sightOf(drain: NodeDrain, plan: DrainPlan | null): DrainSight {
    const dark = this.darknessOf(drain);
    if (dark !== null) return { kind: "dark", message: dark };
    const listing = drain.listing;
    if (plan === null || listing === null)
      return { kind: "dark", message: "the DaemonSets of its pods have not been read yet" };
    const groups = this.groupsOf(drain, plan);
    const remaining = groups.reduce((sum, { pods }) => sum + pods.length, 0);
    const paused = drain.desired.paused === null ? "" : `paused: ${drain.desired.paused}; `;
    const busy = (message: string): DrainSight => ({
      kind: "busy",
      remaining,
      message: `${paused}${message}`.slice(0, MESSAGE_CHARS_MAX),
      deadlineAt: drain.deadline(this.ports.clock.wallMs()),
      paused: drain.desired.paused !== null,
    });
    if (remaining > 0) return busy(formatGroups(groups));
    if (drain.emptyRuns < 2) return busy("no pod that must leave was seen; looking once more");
    const volumes = this.volumesOf(drain);
    if (volumes !== null) return busy(volumes);
    return { kind: "empty", seenAt: listing.sentWall };
  }

  /** What must still be detached; `null`: nothing to wait for. */
  private volumesOf(drain: NodeDrain): string | null {
    // No wait: without a kubelet nothing is unmounted, and a pod that stays keeps its volumes.
    const pods = [...(drain.listing?.pods.values() ?? [])];
    if (drain.desired.unreachable || pods.some(({ claims }) => claims)) return null;
    const attached = this.attachments.look(drain.desired.name, drain.emptyMono, () =>
      this.step(drain),
    );
    if (attached.kind === "dark") return attached.message;
    const { volumes } = attached;
    if (volumes.length === 0) return null;
    const names = volumes.slice(0, 3).join(", ");
    const count = `${volumes.length} ${volumes.length === 1 ? "volume" : "volumes"}`;
    return `no pod is left; ${count} still attached (${names})`;
  }

  /** Sends allowed evictions, reports problems, and signals changes. */
  private step(drain: NodeDrain): void {
    if (!this.isCurrent(drain)) return;
    const at = this.now();
    const isFree = drain.desired.paused === null || drain.desired.orphaned === true;
    drain.noteAllowed(isFree && this.darknessOf(drain) === null, at.wall);
    const plan = this.planOf(drain);
    if (plan !== null) {
      drain.judgeEmpty(plan, this.asks);
      const isQuiet = !this.isWordRecent(at.mono) || at.mono < this.quietUntilMono;
      const isSeen = !isQuiet && this.darknessOf(drain) === null && this.isComplete();
      const next = isSeen ? drain.nextAsks(plan, this.asks, at, this.everyMs) : [];
      const room = Math.max(0, this.ports.room() - this.asking);
      for (const one of next.slice(0, room)) void this.ask(drain, one);
      this.teller.groups(drain, this.groupsOf(drain, plan), at.wall);
    }
    const sight = this.sightOf(drain, plan);
    const before = this.shown.get(drain.desired.node)?.sight.kind;
    this.shown.set(drain.desired.node, { sight, mono: at.mono });
    if (before !== undefined && before !== sight.kind) this.ports.wakeUp();
  }

  /** Whether all draining nodes were listed: a StatefulSet's pod may leave an unlisted one. */
  private isComplete(): boolean {
    for (const { listing } of this.drains.values()) if (listing === null) return false;
    return true;
  }

  private async ask(drain: NodeDrain, { pod, ask, how, graceMs, cut }: NextAsk): Promise<void> {
    const { api, clock, log, random } = this.ports;
    const { node, pool, name } = drain.desired;
    this.asks.ask(ask, how);
    ask.cut ??= cut;
    const pick = { node, kube_node: name, pod: `${pod.namespace}/${pod.name}`, uid: pod.uid };
    // Only debug: attempts against a budget repeat by the thousand, and are in the audit log.
    log("debug", `${how} pod`, pick);
    if (cut !== null && ask.tries === 1) this.teller.deadline(drain, pod, cut, this.now().wall);
    const request = how === "evict" ? evictPod : deletePod;
    this.asking += 1;
    // The request may be queued, and this process may be suspended meanwhile.
    const isWanted = (): boolean =>
      this.isCurrent(drain) && drain.desired.paused === null && this.isWordRecent(this.now().mono);
    const answer = await api.call({ ...request(pod, graceMs, pool), isWanted });
    this.asking -= 1;
    const verdict = judgeEviction(answer, pod.uid);
    const mono = clock.monoMs();
    if (verdict.kind === "throttled" && !verdict.own)
      this.quietUntilMono = Math.max(this.quietUntilMono, mono + verdict.retryMs);
    if (verdict.kind === "forbidden" || verdict.kind === "unknown")
      log("debug", `${how} pod: ${verdict.kind}`, { ...pick, reason: verdict.message });
    if (verdict.kind === "begun") this.teller.begun(drain, pod, how, ask.cut, this.now().wall);
    this.asks.settle(ask, verdict, mono, random);
    if (verdict.kind === "gone" || verdict.kind === "otherPod") drain.listing?.pods.delete(pod.uid);
    this.step(drain);
  }
}
