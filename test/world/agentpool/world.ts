/**
 * One control plane that steps the pools of a cluster in memory, with a store and agents, in
 * virtual time. It can die before and after each commit and each effect; what it had sent or was
 * about to send may arrive later.
 */
import type { SlotClaim, Worker, WorkerState } from "../../../schema/agentpool.ts";
import { isOpenClaim } from "../../../schema/agentpool.ts";
import type {
  AgentPool,
  AgentSight,
  PodAnswer,
  PoolStatus,
} from "../../../reconciler/core/agentpool/model.ts";
import { freshMemory } from "../../../reconciler/core/agentpool/memory.ts";
import { step } from "../../../reconciler/core/agentpool/step.ts";
import { stepOrphans } from "../../../reconciler/core/agentpool/orphan.ts";
import type {
  EffectAnswer,
  PodEffect,
  PoolMemory,
  Step,
} from "../../../reconciler/core/agentpool/step-model.ts";
import type { Agent } from "./agent.ts";
import { MemoryCluster } from "./cluster.ts";

const SILENT_MS = 15_000;
const HOP_MS = 1_000;

/** The control plane dies here. */
class Death extends Error {}

type Process = {
  memories: Map<string, PoolMemory>;
  checks: Map<string, PodAnswer>;
  answers: Map<string, EffectAnswer[]>;
  stops: Set<string>;
};

const born = (): Process => {
  return { memories: new Map(), checks: new Map(), answers: new Map(), stops: new Set() };
};

export class PoolWorld {
  readonly cluster = new MemoryCluster();
  readonly workers = new Map<string, Worker>();
  readonly claims = new Map<string, SlotClaim>();
  readonly agents = new Map<string, Agent>();
  readonly late: (() => void)[] = [];
  states = new Map<string, WorkerState>();
  process = born();
  mono = 5_000;
  /** Dies at this point from now; `null` = lives. */
  diesAt: number | null = null;
  points = 0;
  deaths = 0;
  /** Effects of a process that died arrive later. */
  hasLateCalls = false;
  /** Pods start and their agents join by themselves. */
  joins = false;
  /** Calls take up to this long, and overtake each other. */
  latencyMs = 0;
  private flying: { at: number; call: () => void }[] = [];
  dueMs: number | null = null;
  /** Promises that were broken, in words. */
  readonly broken: string[] = [];
  /** Instants of the writes of the process that lives. */
  private writes: number[] = [];
  private made = 0;
  private seed = 1;

  constructor(...pools: AgentPool[]) {
    for (const pool of pools) this.cluster.apply(pool);
  }

  get now(): number {
    return this.cluster.now;
  }

  status(key = this.keys[0] ?? ""): PoolStatus {
    const status = this.cluster.shown.get(key);
    if (status === undefined) throw new Error(`no status of ${key}`);
    return status;
  }

  private get keys(): string[] {
    return [...this.cluster.objects.keys()];
  }

  /** Names of pods that run and are not being deleted, the oldest first. */
  names(key = this.keys[0] ?? ""): string[] {
    const { uid } = this.cluster.objects.get(key) ?? { uid: null };
    const pods = [...this.cluster.live.values()].filter((pod) => pod.ownerUid === uid);
    return pods.filter((pod) => !pod.isDeleting).map((pod) => pod.name);
  }

  get live(): number {
    return this.names().length;
  }

  agent(name: string): Agent {
    const known = this.agents.get(name);
    const uid = this.cluster.live.get(name)?.uid ?? known?.uid ?? "";
    if (known?.uid === uid) return known;
    const agent: Agent = {
      ...{ uid, isAlive: true, isFatal: false, slots: null, isBusy: false, isMute: false },
      stop: "no",
      ignored: [],
      heardAt: null,
    };
    this.agents.set(name, agent);
    return agent;
  }

  /** The named pods start and their agents join; all that have not, if none is named. */
  join(...names: string[]): void {
    const all = [...this.cluster.live.values()].filter((pod) => pod.phase === "Pending");
    const chosen = names.length > 0 ? names : all.map((pod) => pod.name);
    for (const name of chosen) {
      this.cluster.setPod(name, { phase: "Running" });
      this.agent(name).heardAt = this.mono;
    }
    this.settle();
  }

  /** The agent dies with its pod's process, and is not heard any more. */
  silence(name: string): void {
    this.agent(name).isAlive = false;
  }

  claim(key = this.keys[0] ?? "", ttlMs: number | null = null): string {
    const id = `claim-${this.made}`;
    const { uid } = this.cluster.objects.get(key) ?? { uid: "" };
    this.claims.set(id, {
      ...{ id, pool: key, poolUid: uid, label: "", by: "test", ordinal: this.made++ },
      ...{ at: this.now, expiresAt: ttlMs === null ? null : this.now + ttlMs, state: "queued" },
      ...{ worker: null, slot: null, placedAt: null, endedAt: null },
    });
    this.settle();
    return id;
  }

  /** As the route does: one committed row. */
  release(id: string): void {
    const claim = this.claims.get(id);
    if (claim === undefined || !isOpenClaim(claim)) return;
    const state = claim.state === "queued" ? "cancelled" : "released";
    this.claims.set(id, { ...claim, state, endedAt: this.now });
    this.settle();
  }

  state(id: string): string {
    return this.claims.get(id)?.state ?? "none";
  }

  /** Time passes in hops, at which agents report and what is due is done. */
  wait(ms: number): void {
    const end = this.now + ms;
    while (this.now < end) {
      this.pass(Math.min(end - this.now, HOP_MS));
      this.settle();
    }
  }

  /** Time passes, agents report, and the control plane does nothing. */
  pass(ms: number): void {
    this.cluster.now += ms;
    this.mono += ms;
    const due = this.flying.filter(({ at }) => at <= this.mono);
    this.flying = this.flying.filter(({ at }) => at > this.mono);
    for (const { call } of due) call();
    this.report();
  }

  private report(): void {
    if (this.joins) this.startPods();
    for (const [name, agent] of this.agents) {
      const pod = this.cluster.live.get(name);
      if (pod?.uid !== agent.uid) agent.isAlive = false;
      if (!agent.isAlive || pod?.phase !== "Running") continue;
      const isAsked = !agent.isMute && (this.process.stops.has(name) || pod.isDeleting);
      agent.stop = !isAsked ? "no" : agent.isBusy || this.claimsOn(name) > 0 ? "busy" : "stopped";
      agent.heardAt = this.mono;
    }
  }

  private startPods(): void {
    for (const { name, phase, trouble, isDeleting } of this.cluster.live.values()) {
      if (phase !== "Pending" || trouble !== null || isDeleting) continue;
      this.cluster.setPod(name, { phase: "Running" });
      this.agent(name);
    }
  }

  claimsOn(name: string): number {
    const open = [...this.claims.values()].filter((one) => one.state === "running");
    return open.filter((one) => one.worker === name).length;
  }

  restart(): void {
    this.process = born();
    this.writes = [];
    for (const agent of this.agents.values()) agent.heardAt = null;
  }

  /** Steps every pool until nothing changes. A death is followed by a start. */
  settle(): void {
    for (let i = 0; i < 50; i++) {
      try {
        if (!this.round()) return;
      } catch (error) {
        if (!(error instanceof Death)) throw error;
        this.deaths += 1;
        this.restart();
        return;
      }
    }
    throw new Error("the pools never settle");
  }

  private round(): boolean {
    let isChanged = false;
    this.dueMs = null;
    for (const pool of this.cluster.objects.values()) isChanged = this.stepOne(pool) || isChanged;
    return this.stepGone() || isChanged;
  }

  private stepOne(pool: AgentPool): boolean {
    const { process } = this;
    const check = process.checks.get(`${pool.uid} ${pool.generation}`) ?? null;
    const before = this.status_(pool.key);
    const result = step({
      ...this.sight(pool.uid),
      ...{ pool, check },
      random: () => this.random(),
      isTaken: (name) => this.workers.has(name),
    });
    this.states = new Map([...this.states, ...result.states]);
    const isWritten = this.commit(pool.uid, result);
    for (const event of result.events) this.cluster.tell(pool, event);
    this.cluster.show(pool, result.status);
    const sent = this.send(pool, result.effects, process);
    return isWritten || sent || before !== JSON.stringify(result.status);
  }

  private status_(key: string): string {
    return JSON.stringify(this.cluster.shown.get(key) ?? null);
  }

  private sight(uid: string) {
    const { process } = this;
    const answers = process.answers.get(uid) ?? [];
    process.answers.set(uid, []);
    const { dark, list } = this.cluster.pods();
    const claims = [...this.claims.values()].filter((one) => one.poolUid === uid);
    return {
      workers: [...this.workers.values()].filter((one) => one.poolUid === uid),
      claims: claims.filter(isOpenClaim).toSorted((a, b) => a.ordinal - b.ordinal),
      pods: dark === null ? new Map(list.map((pod) => [pod.name, pod])) : null,
      dark,
      agent: (worker: Worker) => this.sightOf(worker),
      ...{ answers, memory: process.memories.get(uid) ?? freshMemory() },
      ...{ now: this.now, mono: this.mono },
    };
  }

  private sightOf({ name }: Worker): AgentSight | null {
    const agent = this.agents.get(name);
    if (agent === undefined || agent.heardAt === null) return null;
    const { isFatal, slots, stop, heardAt, ignored } = agent;
    const isSilent = this.mono - heardAt > SILENT_MS;
    return { isHeard: true, isSilent, isFatal, slots, stop, ignored };
  }

  /** Rows of pools that are not listed any more. */
  private stepGone(): boolean {
    const known = new Set([...this.cluster.objects.values()].map((pool) => pool.uid));
    const rows = [...this.workers.values(), ...[...this.claims.values()].filter(isOpenClaim)];
    const gone = new Set(rows.map((row) => row.poolUid).filter((uid) => !known.has(uid)));
    let isChanged = false;
    for (const uid of gone) {
      const { process } = this;
      const result = stepOrphans(this.sight(uid));
      isChanged = this.commit(uid, result) || isChanged;
      isChanged = this.send(null, result.effects, process) || isChanged;
    }
    return isChanged;
  }

  /** One transaction. */
  private commit(uid: string, result: Step): boolean {
    const { workers, removed, claims, memory, dueMs, stops } = result;
    const isWritten = workers.length + removed.length + claims.length > 0;
    if (isWritten) this.point();
    const before = new Map(this.workers);
    for (const worker of workers) this.workers.set(worker.name, worker);
    for (const name of removed) this.workers.delete(name);
    for (const claim of claims) this.claims.set(claim.id, claim);
    this.judge(before, result);
    if (isWritten) this.point();
    this.process.memories.set(uid, memory);
    for (const { name, poolUid } of this.workers.values()) {
      if (poolUid === uid) this.process.stops.delete(name);
    }
    for (const name of stops) this.process.stops.add(name);
    if (dueMs !== null) this.dueMs = Math.min(this.dueMs ?? Infinity, dueMs);
    return isWritten;
  }

  /** What one transaction may not do. */
  private judge(before: ReadonlyMap<string, Worker>, { claims, workers }: Step): void {
    for (const { id, state, worker: name } of claims) {
      if (state !== "running") continue;
      const worker = this.workers.get(name ?? "");
      const sight = worker === undefined ? null : this.sightOf(worker);
      if (worker?.leaving !== null) this.broken.push(`${id} on leaving ${name}`);
      if (sight?.isSilent !== false) this.broken.push(`${id} on silent ${name}`);
      if (sight?.isFatal) this.broken.push(`${id} on unhealthy ${name}`);
    }
    for (const { name, uid, leaving } of workers) {
      const row = before.get(name);
      const was = row?.uid === uid ? row.leaving : null;
      if (was?.deletingAt != null && leaving === null) this.broken.push(`${name} was taken back`);
      const isAsked = leaving?.cause === "surplus" || leaving?.cause === "recycled";
      if (isAsked && this.claimsOn(name) > 0) this.broken.push(`${name} leaves with a claim`);
    }
    const slots = [...this.claims.values()].flatMap(({ state, worker, slot }) =>
      state === "running" ? [`${worker} ${slot}`] : [],
    );
    if (new Set(slots).size < slots.length) this.broken.push("a slot is claimed twice");
  }

  /** `uid`: of the pod that is deleted. */
  private judgeWrite(name: string, uid: string | null, process: Process): void {
    const isHit = uid !== null && this.cluster.live.get(name)?.uid === uid;
    if (isHit && this.claimsOn(name) > 0) this.broken.push(`${name} is deleted with a claim`);
    if (process !== this.process) return;
    this.writes = [...this.writes.filter((at) => this.mono - at < 60_000), this.mono];
    if (this.writes.length > 60) this.broken.push(`${this.writes.length} writes in a minute`);
  }

  private send(pool: AgentPool | null, effects: readonly PodEffect[], process: Process): boolean {
    effects.forEach((effect, index) => {
      const rest = effects.slice(index);
      this.point(() => this.postpone(pool, rest));
      const at = this.mono + Math.floor(this.random() * this.latencyMs);
      if (this.latencyMs === 0) this.carryOut(pool, effect, process);
      else this.flying.push({ at, call: () => this.carryOut(pool, effect, process) });
      this.point(() => this.postpone(pool, rest));
    });
    return effects.length > 0;
  }

  /** Calls of a process that died, or one that was repeated on the way. */
  private postpone(pool: AgentPool | null, effects: readonly PodEffect[]): void {
    if (!this.hasLateCalls) return;
    for (const effect of effects) this.late.push(() => this.carryOut(pool, effect, born()));
  }

  arrive(): void {
    for (const call of this.late.splice(0)) call();
    this.settle();
  }

  private carryOut(pool: AgentPool | null, effect: PodEffect, process: Process): void {
    const { cluster } = this;
    const answer = (one: EffectAnswer, uid: string): void => {
      process.answers.set(uid, [...(process.answers.get(uid) ?? []), one]);
    };
    if (effect.kind === "delete") {
      const { name, poolUid } = effect.worker;
      this.judgeWrite(name, effect.pod.uid, process);
      answer({ kind: "delete", worker: name, answer: cluster.deleteNow(effect.pod) }, poolUid);
    }
    if (pool === null) return;
    if (effect.kind === "check") {
      process.checks.set(`${pool.uid} ${pool.generation}`, cluster.checkNow());
    } else if (effect.kind === "hold") {
      answer({ kind: "hold", answer: cluster.holdNow(pool, effect.isHeld) }, pool.uid);
    } else if (effect.kind === "create") {
      const { name } = effect.worker;
      this.judgeWrite(name, null, process);
      const given = cluster.createNow(pool, effect.worker);
      answer({ kind: "create", worker: name, answer: given }, pool.uid);
    }
  }

  private point(onDeath: () => void = () => {}): void {
    this.points += 1;
    if (this.diesAt === null || this.points !== this.diesAt) return;
    onDeath();
    throw new Death();
  }

  private random(): number {
    this.seed = (this.seed * 16_807) % 2_147_483_647;
    return this.seed / 2_147_483_647;
  }
}
