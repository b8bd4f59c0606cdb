/**
 * Serves the AgentPools of the leader: one turn at a time takes what people, agents and the cluster
 * have said, steps the pools (`core/agentpool/step.ts`), commits all their rows in one transaction,
 * and only then answers, creates and deletes. A turn takes no input of its own, so it may run at
 * any time, twice, or after any crash.
 */
import type { Worker, WorkerReport, WorkerWord } from "../../schema/agentpool.ts";
import type { NodeId } from "../../schema/id.ts";
import type { AgentSight, PoolCluster } from "../core/agentpool/model.ts";
import { darkOf } from "../core/agentpool/name.ts";
import type { AgentPools } from "../core/agentpool/service.ts";
import type { Clock, Log } from "../core/clock.ts";
import { StaleEpoch } from "../core/store.ts";
import type { WorkerTable } from "../core/store-table.ts";
import { Desk, type Kept } from "./desk.ts";
import { type Asked, changeOf, type Draft, isEmpty, openDraft, refuse } from "./draft.ts";
import { Effects } from "./effect.ts";
import { PodsByPool } from "./pods.ts";
import { KEPT_MS, Rows } from "./rows.ts";
import { lastAfter } from "./view.ts";

/** `uid` is the pod's. */
export type WorkerNode = { id: NodeId; uid: string };

export type ActorPorts = {
  cluster: PoolCluster;
  table: WorkerTable;
  clock: Clock;
  random(): number;
  log: Log;
  review: AgentPools["review"];
  leads(): boolean;
  /** Between two comparisons of all pools. Milliseconds. */
  syncMs: number;
  /** What the fleet knows of a node, without what its agent said as a worker. */
  agent(node: NodeId): Pick<AgentSight, "isHeard" | "isSilent" | "isFatal"> | null;
  /** Nodes of workers, in the fleet or with a credential. */
  workerNodes(): readonly WorkerNode[];
  /** Their workers are gone: removes nodes and credentials. */
  retire(nodes: readonly WorkerNode[]): Promise<void>;
  /** Its agent shall hear this now; an agent that is not connected asks later. */
  push(node: NodeId, word: WorkerWord): void;
};

/** Turns follow each other no faster while no request waits, so that a burst is one turn. */
const PAUSE_MS = 25;
/** All pools are stepped this often: no event tells that an agent is silent. */
const LOOK_MS = 5_000;
const TRIM_MS = 600_000;
/** Nodes of workers that are gone are looked for this often, and after each removal. */
const TIDY_MS = 60_000;
/** An agent that said nothing of itself as a worker has the pool's slots, and serves. */
const SILENCE: WorkerReport = { slots: null, stop: "no", ignored: [] };
/** Fewer workers may well be lost together. */
const DEAF_LEAST = 3;
/** After a failed commit. */
const TROUBLE_MS = 1_000;

export class AgentPoolActor {
  readonly desk: Desk;
  private readonly ports: ActorPorts;
  private readonly effects: Effects;
  private rows: Rows;
  private readonly kept = new Map<string, Kept>();
  /** Pools that something concerns since their last turn, by UID. */
  private readonly dirty = new Set<string>();
  private readonly pods = new PodsByPool();
  private cancel: (() => void) | null = null;
  private running: Promise<void> | null = null;
  private isStopped = true;
  /** The table may hold what this copy does not. */
  private isUnsure = false;
  private isDeaf = false;
  private lookedMono = Number.NEGATIVE_INFINITY;
  private tidiedMono = Number.NEGATIVE_INFINITY;
  private trimmedMono = Number.NEGATIVE_INFINITY;
  private problem: string | null = null;

  private constructor(ports: ActorPorts, rows: Rows) {
    this.ports = ports;
    this.rows = rows;
    const { cluster, clock } = ports;
    this.effects = new Effects({
      cluster,
      wallMs: () => clock.wallMs(),
      leads: () => ports.leads() && !this.isStopped,
      answered: (uid) => this.touch(uid),
    });
    this.desk = new Desk({
      ...{ cluster, kept: this.kept, rows: () => this.rows },
      wallMs: () => clock.wallMs(),
      monoMs: () => clock.monoMs(),
      review: ports.review,
      wakeUp: (uid, isWaiting) => {
        this.dirty.add(uid);
        this.wakeUp(isWaiting ? 0 : PAUSE_MS);
      },
    });
  }

  static async open(ports: ActorPorts): Promise<AgentPoolActor> {
    return new AgentPoolActor(ports, await Rows.read(ports.table));
  }

  start(): void {
    this.isStopped = false;
    this.ports.cluster.start(() => this.wakeUp(PAUSE_MS));
    this.wakeUp(0);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancel?.();
    this.ports.cluster.stop();
    await this.running;
    refuse(this.desk.take(), "this replica no longer leads: ask again");
  }

  /** Something concerns the pool; the next turn steps it. */
  private touch(uid: string): void {
    this.dirty.add(uid);
    this.wakeUp(PAUSE_MS);
  }

  /** The next turn is at most `ms` away. */
  private dueMono = Number.POSITIVE_INFINITY;
  private wakeUp(ms: number): void {
    if (this.isStopped) return;
    const due = this.ports.clock.monoMs() + ms;
    if (this.running !== null || due >= this.dueMono) {
      this.dueMono = Math.min(this.dueMono, due);
      if (this.running !== null || this.cancel !== null) return;
    }
    this.arm(due);
  }

  private arm(due: number): void {
    this.cancel?.();
    this.dueMono = due;
    const ms = Math.max(0, due - this.ports.clock.monoMs());
    this.cancel = this.ports.clock.after(ms, () => {
      this.cancel = null;
      this.dueMono = Number.POSITIVE_INFINITY;
      this.running = this.turn().finally(() => {
        this.running = null;
        if (!this.isStopped) this.arm(Math.min(this.dueMono, this.nextDue()));
      });
    });
  }

  private nextDue(): number {
    const now = this.ports.clock.monoMs();
    const dues = [...this.kept.values()].map(({ dueMono }) => dueMono);
    return Math.max(now + PAUSE_MS, Math.min(now + LOOK_MS, ...dues));
  }

  /** Reads, steps, commits, then acts. Never rejects. */
  private async turn(): Promise<void> {
    const { clock, cluster, leads, log, table } = this.ports;
    const asked = this.desk.take();
    if (this.isStopped || !leads()) return refuse(asked, "this replica does not lead: ask again");
    let drafts: Draft[] = [];
    try {
      // A commit that failed may have been written.
      if (this.isUnsure) this.rows = await Rows.read(table);
      this.isUnsure = false;
      const isKnown = cluster.pools().isKnown && cluster.pods().isKnown;
      if (isKnown) {
        drafts = this.planTurn(asked);
        await this.commit(drafts, asked);
      } else refuse(asked, cluster.pools().dark ?? "the AgentPools are not listed yet: ask again");
      await this.tidy();
      if (this.problem !== null) log("info", "agentpools are kept again");
      this.problem = null;
    } catch (error) {
      if (!(error instanceof StaleEpoch)) this.isUnsure = true;
      const message = error instanceof Error ? error.message : String(error);
      if (this.problem !== message) log("warn", "agentpools cannot be kept", { error: message });
      this.problem = message;
      for (const { uid } of drafts) this.dirty.add(uid);
      refuse(asked, `it could not be stored: ${message}`);
      this.dueMono = Math.min(this.dueMono, clock.monoMs() + TROUBLE_MS);
    }
  }

  private planTurn(asked: Asked): Draft[] {
    const { clock, cluster, random } = this.ports;
    const [pools, pods] = [cluster.pools(), cluster.pods()];
    const changed = this.pods.take(pods);
    for (const uid of changed.uids) this.dirty.add(uid);
    const mono = clock.monoMs();
    const draft = openDraft({
      ...{ rows: this.rows, asked, now: clock.wallMs(), mono, random },
      podsOf: (uid, pool) =>
        pool === null ? this.pods.ownedBy(this.rows.namespaceOf(uid), uid) : this.pods.of(pool),
      dark: (uid, pool) => darkOf(pods, pool?.namespace ?? this.rows.namespaceOf(uid)),
      agent: (worker) => this.sightOf(worker),
      answers: (uid) => this.effects.take(uid),
      check: (pool) => this.effects.check(pool),
    });
    const live = new Map(pools.list.map((pool) => [pool.uid, pool]));
    const isDue = (uid: string): boolean => {
      const known = this.kept.get(uid);
      return known === undefined || this.dirty.has(uid) || known.dueMono <= mono;
    };
    const isAll = this.isLookDue(mono);
    if (isAll) this.isDeaf = this.hearsNone();
    const drafts: Draft[] = [];
    const isNow = (uid: string): boolean => isAll || isDue(uid);
    for (const [uid, pool] of live) {
      const known = this.kept.get(uid);
      const isChanged = known?.pool !== pool || (changed.isLoose && pool.adopts);
      if (!isChanged && !isNow(uid)) continue;
      drafts.push(draft.pool(pool, known?.memory ?? null));
    }
    // A list that is not current proves no deletion.
    const isCurrent = (namespace: string): boolean => darkOf(pools, namespace) === null;
    const left = [...this.rows.poolUids()].filter((uid) => !live.has(uid));
    const gone = left.filter((uid) => isCurrent(this.rows.namespaceOf(uid)));
    for (const uid of gone) {
      if (!isNow(uid)) continue;
      drafts.push(draft.orphans(uid, this.kept.get(uid)?.memory ?? null));
    }
    if (pools.dark === null) {
      const known = new Set([...live.keys(), ...left]);
      for (const uid of this.kept.keys()) if (!known.has(uid)) this.forget(uid);
    }
    // What comes while these are written concerns the turn after.
    this.dirty.clear();
    return drafts;
  }

  private forget(uid: string): void {
    this.kept.delete(uid);
    this.effects.forget(uid);
  }

  private sightOf({ node }: Worker): AgentSight | null {
    if (node === null) return null;
    const seen = this.ports.agent(node);
    const said = this.desk.reportOf(node);
    const none = { isHeard: false, isSilent: false, isFatal: false };
    const isSilent = seen?.isSilent === true && !this.isDeaf;
    const isHeard = seen?.isHeard === true || this.desk.isExpected(node);
    const { slots, stop, ignored } = said ?? SILENCE;
    return { ...(seen ?? none), isHeard, isSilent, slots, stop, ignored };
  }

  private async commit(drafts: Draft[], asked: Asked): Promise<void> {
    const audit = this.effects.takeAudit();
    const change = changeOf(drafts, audit);
    try {
      if (!isEmpty(change)) await this.ports.table.commit(change);
    } catch (error) {
      this.effects.giveBackAudit(audit);
      for (const { uid, answers } of drafts) this.effects.giveBack(uid, answers);
      throw error;
    }
    this.rows.take(change);
    for (const draft of drafts) this.keep(draft);
    for (const { row, done } of asked.claims) done(this.desk.answerTo(row));
    for (const { id, done } of asked.ends) done(this.desk.answerTo(this.rows.claim(id)));
    for (const { done, ...join } of asked.joins) done(this.desk.joinedAs(join));
    const ended = change.claims.filter(({ endedAt }) => endedAt !== null);
    this.pushTo(ended.map(({ worker }) => worker).filter((name) => this.finishes(name)));
    if (change.removed.length > 0) this.tidiedMono = Number.NEGATIVE_INFINITY;
  }

  private finishes(name: string | null): boolean {
    const worker = name === null ? null : this.rows.worker(name);
    if (worker?.node === null || worker === null) return false;
    const stop = this.desk.reportOf(worker.node)?.stop ?? "no";
    return worker.leaving !== null || stop !== "no";
  }

  /** What is durable now is carried out and shown. */
  private keep({ uid, pool, step }: Draft): void {
    const { clock, cluster } = this.ports;
    const before = this.kept.get(uid);
    const isPool = pool !== null && "status" in step;
    const last = isPool ? lastAfter(before?.last ?? {}, step, clock.wallMs()) : {};
    const dueMono = clock.monoMs() + (step.dueMs ?? Number.POSITIVE_INFINITY);
    this.kept.set(uid, { pool, memory: step.memory, step, last, dueMono });
    this.effects.start(uid, pool, step.effects);
    if (isPool) {
      cluster.show(pool, step.status);
      for (const event of step.events) cluster.tell(pool, event);
    }
    const isNew = (name: string): boolean => before?.step.stops.has(name) !== true;
    this.pushTo([...step.stops].filter(isNew));
  }

  /** Agents that finish wait for the end of their claims. */
  private pushTo(names: Iterable<string | null>): void {
    for (const name of new Set(names)) {
      const node = name === null ? null : (this.rows.worker(name)?.node ?? null);
      const word = node === null ? null : this.desk.wordOf(node);
      if (node !== null && word !== null) this.ports.push(node, word);
    }
  }

  /** The fault is then more likely ours: none is given up for its silence. */
  private hearsNone(): boolean {
    const nodes = this.ports.workerNodes();
    const known = nodes.flatMap(({ id }) => this.ports.agent(id) ?? []);
    const isNone = known.length >= DEAF_LEAST && known.every(({ isSilent }) => isSilent);
    if (isNone !== this.isDeaf) {
      const agents = "agents of workers";
      const message = isNone ? `no ${agents} are heard` : `${agents} are heard again`;
      this.ports.log(isNone ? "warn" : "info", message, { workers: known.length });
    }
    return isNone;
  }

  private isLookDue(mono: number): boolean {
    if (mono - this.lookedMono < Math.min(LOOK_MS, this.ports.syncMs)) return false;
    this.lookedMono = mono;
    return true;
  }

  /** Nodes whose worker is gone, and claims that ended long ago. */
  private async tidy(): Promise<void> {
    const { clock, retire, table, workerNodes } = this.ports;
    const mono = clock.monoMs();
    if (mono - this.tidiedMono < TIDY_MS) return;
    this.tidiedMono = mono;
    const over = workerNodes().filter(({ id, uid }) => this.rows.ofNode(id)?.uid !== uid);
    this.desk.forget(over.map(({ id }) => id));
    if (over.length > 0) {
      // A claim does not wait for the fleet; what fails is tried again.
      void retire(over).catch((error: unknown) => {
        this.ports.log("warn", "nodes of ended workers are kept", { error: String(error) });
      });
    }
    if (mono - this.trimmedMono < TRIM_MS) return;
    this.trimmedMono = mono;
    this.rows.trim(clock.wallMs());
    await table.trim(clock.wallMs() - KEPT_MS);
  }
}
