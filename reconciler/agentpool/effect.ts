/**
 * Carries out what committed rows ask of the cluster: pods created, deleted and tried, finalizers.
 * Bounded at once; answers wait for the next turn of their pool.
 */
import { type AuditDraft, RECONCILER } from "../../schema/audit.ts";
import type { Worker } from "../../schema/agentpool.ts";
import type { AgentPool, DeleteAnswer, PodAnswer, PoolCluster } from "../core/agentpool/model.ts";
import type { EffectAnswer, PodEffect } from "../core/agentpool/step-model.ts";

/** Calls of one pool at once, so that a pool whose calls hang holds back no other. */
const POOL_MAX = 8;
const ALL_MAX = 64;

export type EffectPorts = {
  cluster: PoolCluster;
  wallMs(): number;
  /** Whether this process still leads, asked before each call. */
  leads(): boolean;
  /** The pool has an answer. */
  answered(poolUid: string): void;
};

type Checked = { generation: number; answer: PodAnswer };
type Wanted = { uid: string; pool: AgentPool | null; effect: PodEffect };

export class Effects {
  private readonly ports: EffectPorts;
  /** In the order in which they were given; those of a busy pool wait behind others. */
  private waiting: Wanted[] = [];
  /** Calls under way, by pool's UID. */
  private readonly running = new Map<string, number>();
  private readonly answers = new Map<string, EffectAnswer[]>();
  private readonly checks = new Map<string, Checked>();
  /** Rows of the audit for the next commit. */
  private audit: AuditDraft[] = [];
  private count = 0;

  constructor(ports: EffectPorts) {
    this.ports = ports;
  }

  inFlight(): number {
    return this.count;
  }

  /** What effects of the pool have answered; each answer is given once. */
  take(poolUid: string): readonly EffectAnswer[] {
    const all = this.answers.get(poolUid) ?? [];
    this.answers.delete(poolUid);
    return all;
  }

  takeAudit(): AuditDraft[] {
    const rows = this.audit;
    this.audit = [];
    return rows;
  }

  /** The transaction that would have kept them failed. */
  giveBack(poolUid: string, answers: readonly EffectAnswer[]): void {
    if (answers.length === 0) return;
    this.answers.set(poolUid, [...answers, ...(this.answers.get(poolUid) ?? [])]);
  }

  giveBackAudit(rows: readonly AuditDraft[]): void {
    this.audit.unshift(...rows);
  }

  /** The newest answer about this generation's template; `null` = none. */
  check({ uid, generation }: AgentPool): PodAnswer | null {
    const known = this.checks.get(uid);
    return known?.generation === generation ? known.answer : null;
  }

  forget(poolUid: string): void {
    this.checks.delete(poolUid);
    this.answers.delete(poolUid);
  }

  /** Sends all of them, as soon as there is room. */
  start(uid: string, pool: AgentPool | null, effects: readonly PodEffect[]): void {
    for (const effect of effects) this.waiting.push({ uid, pool, effect });
    this.next();
  }

  private next(): void {
    const left: Wanted[] = [];
    for (const wanted of this.waiting) {
      const { uid } = wanted;
      const own = this.running.get(uid) ?? 0;
      if (own >= POOL_MAX || this.count >= ALL_MAX) left.push(wanted);
      else this.send(wanted, own);
    }
    this.waiting = left;
  }

  private send({ uid, pool, effect }: Wanted, own: number): void {
    // A process without the lead sends nothing; the next leader derives it from the same rows.
    if (!this.ports.leads()) return;
    this.running.set(uid, own + 1);
    this.count += 1;
    void this.run(uid, pool, effect).finally(() => {
      const rest = (this.running.get(uid) ?? 1) - 1;
      if (rest === 0) this.running.delete(uid);
      else this.running.set(uid, rest);
      this.count -= 1;
      this.ports.answered(uid);
      this.next();
    });
  }

  private async run(uid: string, pool: AgentPool | null, effect: PodEffect): Promise<void> {
    const { cluster } = this.ports;
    if (effect.kind === "delete") {
      const { worker, pod } = effect;
      const answer = await cluster.delete(pod);
      this.note(uid, { kind: "delete", worker: worker.name, answer });
      return this.record("delete", worker, pod.namespace, answer, worker.leaving?.cause ?? "");
    }
    // Only deletions are left of a pool that is gone.
    if (pool === null) return;
    if (effect.kind === "create") {
      const { worker } = effect;
      const answer = await cluster.create(pool, worker);
      this.note(uid, { kind: "create", worker: worker.name, answer });
      const why = `generation ${worker.generation}`;
      return this.record("create", worker, pool.namespace, answer, why);
    }
    if (effect.kind === "check") {
      const answer = await cluster.check(pool);
      this.checks.set(uid, { generation: pool.generation, answer });
      return;
    }
    const answer = await cluster.hold(pool, effect.isHeld);
    this.note(uid, { kind: "hold", answer });
  }

  private note(uid: string, answer: EffectAnswer): void {
    const all = this.answers.get(uid);
    if (all === undefined) this.answers.set(uid, [answer]);
    else all.push(answer);
  }

  private record(
    act: "create" | "delete",
    { name, pool }: Worker,
    namespace: string,
    answer: PodAnswer | DeleteAnswer,
    why: string,
  ): void {
    const { kind } = answer;
    const said = answer.kind === "ok" ? "" : `: ${answer.message}`;
    this.audit.push({
      ...{ at: this.ports.wallMs(), refused: kind === "refused", who: RECONCILER, role: null },
      ...{ method: "", path: "", target: name, status: 0, remote: "", request: "" },
      code: kind === "lost" ? "unknown" : kind,
      ...{ verb: act, kind: "Pod", namespace },
      detail: `agentpool ${pool}, ${why}${said}`.slice(0, DETAIL_CHARS),
    });
  }
}

const DETAIL_CHARS = 500;
