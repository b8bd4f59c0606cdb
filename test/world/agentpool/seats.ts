/**
 * Two control planes on one database and one cluster, in virtual time: the actor of each is the
 * product's own. One leads; it can be killed, or frozen in the middle of a commit or call and go on
 * while the other leads. Agents join and report to the one that leads.
 */
import type { NodeId } from "../../../schema/id.ts";
import { AgentPoolActor } from "../../../reconciler/agentpool/actor.ts";
import type {
  AgentPool,
  PoolCluster,
  WorkerPod,
} from "../../../reconciler/core/agentpool/model.ts";
import type { ClaimAnswer } from "../../../reconciler/core/agentpool/service.ts";
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { WorkerTable } from "../../../reconciler/core/store-table.ts";
import { openLibsqlStore } from "../../../reconciler/store/libsql.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryClient, MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { MemoryCluster } from "./cluster.ts";

export const KEY = "default/p";
const SILENT_MS = 15_000;
const TICK_MS = 500;
const LEAVE_MS = 120_000;

/** A process. Frozen, neither its timers nor what it awaits goes on. */
class Seat {
  actor: AgentPoolActor | null = null;
  leads = true;
  /** Nodes that have reported to it, and when. */
  readonly heard = new Map<string, number>();
  private thaw: (() => void)[] | null = null;

  freeze(): void {
    this.thaw ??= [];
  }

  unfreeze(): void {
    const waiting = this.thaw ?? [];
    this.thaw = null;
    for (const go of waiting) go();
  }

  /** Where a freeze may catch it. */
  async gate(): Promise<void> {
    const { thaw } = this;
    if (thaw !== null) await new Promise<void>((resolve) => void thaw.push(resolve));
  }

  clock(clock: VirtualClock): Clock {
    const late = (work: () => void) => () => {
      if (this.thaw === null) work();
      else this.thaw.push(work);
    };
    return {
      wallMs: () => clock.wallMs(),
      monoMs: () => clock.monoMs(),
      after: (ms, work) => clock.after(ms, late(work)),
    };
  }

  table(table: WorkerTable): WorkerTable {
    return {
      ...table,
      commit: async (change) => {
        await this.gate();
        await table.commit(change);
        await this.gate();
      },
    };
  }
}

type Agent = { isAlive: boolean; joined: boolean };

export class Seats {
  readonly clock = new VirtualClock();
  readonly cluster = new MemoryCluster();
  private readonly database = MemoryDatabase.empty();
  readonly agents = new Map<string, Agent>();
  /** Claims that a caller was told are running, with their worker. */
  readonly held = new Map<string, string>();
  /** Workers whose claims may end without their callers: failed, killed or silent ones. */
  readonly excused = new Set<string>();
  readonly broken: string[] = [];
  /** Every call takes this long. */
  latencyMs = 0;
  /** Of the calls, as the clock gives them out. */
  private calls = 0;
  private readonly all: Seat[] = [];
  private made = 0;
  private maxima: { at: number; max: number }[] = [];

  get leader(): Seat {
    const last = this.all.at(-1);
    if (last === undefined) throw new Error("none leads");
    return last;
  }

  /** Another process takes the lead; the one before is dead, or does not know yet. */
  async take(before: "dies" | "sleeps" | null): Promise<void> {
    const old = this.all.at(-1);
    if (old !== undefined && before === "dies") old.freeze();
    const { database } = this;
    const clients = { writer: new MemoryClient(database), reader: new MemoryClient(database) };
    const store = await openLibsqlStore({ url: "memory:", now: 1, clients });
    const seat = new Seat();
    seat.actor = await AgentPoolActor.open({
      ...{ cluster: this.calling(seat), table: seat.table(store.workerTable()) },
      ...{ clock: seat.clock(this.clock), random: () => this.random() },
      log: () => undefined,
      review: () => Promise.resolve({ kind: "unknown", problem: "" }),
      leads: () => seat.leads,
      syncMs: 60_000,
      agent: (node) => {
        const at = seat.heard.get(node);
        if (at === undefined) return null;
        const isSilent = this.clock.monoMs() - at > SILENT_MS;
        return { isHeard: true, isSilent, isFatal: false };
      },
      workerNodes: () => [],
      retire: () => Promise.resolve(),
      push: () => undefined,
    });
    this.all.push(seat);
    seat.actor.start();
    await this.pass(TICK_MS);
  }

  /** Sleepers go on, and see that they no longer lead once they look. */
  async wakeAll(): Promise<void> {
    for (const seat of this.all.slice(0, -1)) {
      seat.unfreeze();
      await this.pass(TICK_MS);
      seat.leads = false;
    }
  }

  private random(): number {
    this.made += 1;
    return (Math.imul(this.made, 2_654_435_761) >>> 0) / 2 ** 32;
  }

  /** The cluster as this process calls it. */
  private calling(seat: Seat): PoolCluster {
    const { cluster } = this;
    const late = async <T>(call: () => Promise<T>): Promise<T> => {
      await seat.gate();
      this.calls += 1;
      const ms = this.latencyMs * (this.calls % 3);
      if (ms > 0) await new Promise<void>((resolve) => void this.clock.after(ms, resolve));
      const answer = await call();
      await seat.gate();
      return answer;
    };
    return {
      pools: () => cluster.pools(),
      pods: () => cluster.pods(),
      create: (pool, worker) => late(() => cluster.create(pool, worker)),
      check: () => late(() => cluster.check()),
      delete: (pod) => late(() => this.deleted(pod)),
      hold: (pool, isHeld) => late(() => cluster.hold(pool, isHeld)),
      show: (pool, status) => cluster.show(pool, status),
      tell: (pool, event) => cluster.tell(pool, event),
      start: (wakeUp) => {
        this.wakers.add(wakeUp);
        cluster.start(() => {
          for (const wake of this.wakers) wake();
        });
      },
      stop: () => undefined,
    };
  }

  private readonly wakers = new Set<() => void>();

  private deleted(pod: Pick<WorkerPod, "namespace" | "name" | "uid">) {
    const { name } = pod;
    const holds = [...this.held.values()].includes(name);
    if (holds && this.cluster.live.get(name)?.uid === pod.uid && !this.isExcused(name)) {
      this.broken.push(`worker ${name} was deleted while a claim runs on it`);
    }
    return this.cluster.delete(pod);
  }

  isExcused(name: string): boolean {
    const pool = this.cluster.objects.get(KEY);
    const { phase } = this.cluster.live.get(name) ?? { phase: null };
    const isDone = phase === null || phase === "Failed" || phase === "Succeeded";
    return isDone || this.excused.has(name) || pool === undefined || pool.isDeleting;
  }

  /** Time passes; agents report to the leader every half a second. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= TICK_MS) {
      await this.clock.pass(Math.min(left, TICK_MS));
      this.cluster.now = this.clock.wallMs();
      this.report();
    }
  }

  private report(): void {
    const { actor, heard } = this.leader;
    if (actor === null) return;
    for (const { name, uid, namespace, phase, isDeleting } of this.cluster.live.values()) {
      if (phase === "Pending" && !isDeleting) this.cluster.setPod(name, { phase: "Running" });
      if (phase !== "Running") continue;
      const agent = this.agents.get(name) ?? { isAlive: true, joined: false };
      this.agents.set(name, agent);
      if (!agent.isAlive) continue;
      if (!agent.joined) {
        void actor.desk.admit({ namespace, name, uid }, null).then((answer) => {
          agent.joined ||= answer.kind === "ok";
        });
        continue;
      }
      heard.set(name, this.clock.monoMs());
      const isAsked = actor.desk.wordOf(name as NodeId)?.stop === true;
      const isBusy = (actor.desk.wordOf(name as NodeId)?.claims ?? 0) > 0;
      const stop = isAsked ? (isBusy ? "busy" : "stopped") : "no";
      actor.desk.heard(name as NodeId, { slots: null, stop, ignored: [] });
    }
  }

  /** A caller that asks again under the same id until it is answered. */
  claim(): void {
    const id = `claim-${this.random()}`;
    const asked = { id, pool: KEY, label: "", ttlMs: null, by: "test" };
    const ask = (left: number): void => {
      void this.leader.actor?.desk.claim(asked).then((answer) => {
        if (!this.note(id, answer) && left > 0) this.clock.after(1_000, () => ask(left - 1));
      });
    };
    ask(60);
  }

  private note(id: string, answer: ClaimAnswer): boolean {
    if (answer.kind === "running") this.held.set(id, answer.claim.worker ?? "");
    if (answer.kind === "ended") this.held.delete(id);
    return answer.kind === "running" || answer.kind === "ended";
  }

  async release(id: string): Promise<void> {
    this.held.delete(id);
    await Promise.race([this.leader.actor?.desk.release(id), this.pass(5_000)]);
  }

  /** What callers were told against what the store says now. */
  async judge(): Promise<void> {
    const { actor } = this.leader;
    const slots = new Map<string, string>();
    for (const [id, worker] of this.held) {
      const answer = await actor?.desk.claimOf(id);
      if (answer?.kind === "running") {
        const { claim } = answer;
        const slot = `${claim.worker} ${claim.slot}`;
        if (slots.has(slot)) this.broken.push(`${id} and ${slots.get(slot)} hold slot ${slot}`);
        slots.set(slot, id);
        if (claim.worker !== worker) this.broken.push(`${id} moved from ${worker}`);
      } else if (this.isExcused(worker)) this.held.delete(id);
      else this.broken.push(`${id} on ${worker} is ${answer?.kind ?? "unknown"}`);
    }
    const pool = this.cluster.objects.get(KEY);
    const live = this.live();
    const most = Math.max(this.mostWanted(), this.busyOf());
    if (pool !== undefined && live > most + this.excusedLive()) {
      this.broken.push(`${live} workers live, at most ${most} are wanted`);
    }
  }

  /** A lower maximum is kept once the workers above it have left. */
  private mostWanted(): number {
    const now = this.clock.monoMs();
    const max = this.cluster.objects.get(KEY)?.scaler?.max ?? 0;
    this.maxima.push({ at: now, max });
    const recent = this.maxima.filter(({ at }) => now - at < LEAVE_MS);
    this.maxima = recent;
    return Math.max(...recent.map((one) => one.max));
  }

  live(): number {
    return [...this.cluster.live.values()].filter(({ isDeleting, phase }) => {
      return !isDeleting && phase !== "Failed" && phase !== "Succeeded";
    }).length;
  }

  private busyOf(): number {
    return new Set(this.held.values()).size;
  }

  /** Silent and unknown ones do not count in the size. */
  private excusedLive(): number {
    return [...this.cluster.live.keys()].filter((name) => this.excused.has(name)).length;
  }

  apply(pool: AgentPool): void {
    this.cluster.apply(pool);
  }
}
