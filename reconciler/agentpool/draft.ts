/**
 * What one turn would write, pool by pool: stored rows, with what was asked since laid over them,
 * stepped. Pure.
 */
import type { SlotClaim, Worker } from "../../schema/agentpool.ts";
import type { AuditDraft } from "../../schema/audit.ts";
import type { AgentPool, AgentSight, PodAnswer, WorkerPod } from "../core/agentpool/model.ts";
import { freshMemory } from "../core/agentpool/memory.ts";
import type { AdmitAnswer, ClaimAnswer } from "../core/agentpool/service.ts";
import { stepOrphans } from "../core/agentpool/orphan.ts";
import { step } from "../core/agentpool/step.ts";
import type { EffectAnswer, OrphanInput, PoolMemory } from "../core/agentpool/step-model.ts";
import { nodeOf, type PoolStep, type Step } from "../core/agentpool/step-model.ts";
import type { WorkerChange } from "../core/store-table.ts";
import type { Rows } from "./rows.ts";

/** What was asked since the last turn, and who waits for the answer. */
export type Asked = {
  claims: { row: SlotClaim; done(answer: ClaimAnswer): void }[];
  ends: { id: string; poolUid: string; done(answer: ClaimAnswer): void }[];
  /** `uid` is the pod's. */
  joins: { poolUid: string; name: string; uid: string; done(answer: AdmitAnswer): void }[];
};

export const nothingAsked = (): Asked => ({ claims: [], ends: [], joins: [] });

export type Draft = {
  uid: string;
  /** `null`: the pool is gone, and workers or claims of it are left. */
  pool: AgentPool | null;
  step: PoolStep | Step;
  answers: readonly EffectAnswer[];
  /** Rows under those of the step. */
  workers: readonly Worker[];
  claims: readonly SlotClaim[];
};

export type DraftPorts = {
  rows: Rows;
  asked: Asked;
  now: number;
  mono: number;
  random(): number;
  podsOf(uid: string, pool: AgentPool | null): ReadonlyMap<string, WorkerPod>;
  /** Why the list of its pods is not current; `null` = it is. */
  dark(uid: string, pool: AgentPool | null): string | null;
  agent(worker: Worker): AgentSight | null;
  answers(uid: string): readonly EffectAnswer[];
  check(pool: AgentPool): PodAnswer | null;
};

export function openDraft(ports: DraftPorts) {
  const { rows, asked, now, mono, random } = ports;
  const claims = Map.groupBy(
    asked.claims.map(({ row }) => row),
    ({ poolUid }) => poolUid,
  );
  const joins = Map.groupBy(asked.joins, ({ poolUid }) => poolUid);
  const ended = new Set(asked.ends.map(({ id }) => id));
  /** Names that this turn gives. */
  const named = new Set<string>();
  const inputOf = (uid: string, pool: AgentPool | null, memory: PoolMemory | null) => {
    const open = rows.claimsIn(uid);
    const ends = open.filter(({ id }) => ended.has(id)).map((one) => endOf(one, now));
    const added = claims.get(uid) ?? [];
    const joined = (joins.get(uid) ?? []).flatMap((one) => joinOf(rows.worker(one.name), one, now));
    const own = new Map([...rows.workersIn(uid), ...joined].map((one) => [one.name, one]));
    const answers = ports.answers(uid);
    const dark = ports.dark(uid, pool);
    const input: OrphanInput = {
      workers: [...own.values()],
      claims: [...open.filter(({ id }) => !ended.has(id)), ...added],
      ...{ pods: dark === null ? ports.podsOf(uid, pool) : null, dark },
      ...{ agent: ports.agent, answers },
      ...{ memory: memory ?? freshMemory(), now, mono },
    };
    return { input, under: { uid, answers, workers: joined, claims: [...ends, ...added] } };
  };
  return {
    pool(pool: AgentPool, memory: PoolMemory | null): Draft {
      const { input, under } = inputOf(pool.uid, pool, memory);
      const isTaken = (name: string): boolean => named.has(name) || rows.worker(name) !== null;
      const done = step({ ...input, pool, check: ports.check(pool), random, isTaken });
      for (const { name } of done.workers) named.add(name);
      return { ...under, pool, step: done };
    },
    orphans(uid: string, memory: PoolMemory | null): Draft {
      const { input, under } = inputOf(uid, null, memory);
      return { ...under, pool: null, step: stepOrphans(input) };
    },
  };
}

/** The row with its join, if it is still that pod's: a UID that is stored is never exchanged. */
function joinOf(worker: Worker | null, { poolUid, uid }: Asked["joins"][number], now: number) {
  if (worker === null || worker.poolUid !== poolUid || worker.leaving !== null) return [];
  if (worker.uid !== null && worker.uid !== uid) return [];
  return [{ ...worker, uid, node: nodeOf(worker), joinedAt: worker.joinedAt ?? now }];
}

function endOf(claim: SlotClaim, now: number): SlotClaim {
  const state = claim.state === "queued" ? "cancelled" : "released";
  return { ...claim, state, endedAt: now };
}

/** One transaction; a row of a step replaces the one under it. */
export function changeOf(drafts: readonly Draft[], audit: readonly AuditDraft[]): WorkerChange {
  const workers = new Map<string, Worker>();
  const claims = new Map<string, SlotClaim>();
  const removed = new Set<string>();
  for (const draft of drafts) {
    for (const one of [...draft.workers, ...draft.step.workers]) workers.set(one.name, one);
    for (const one of [...draft.claims, ...draft.step.claims]) claims.set(one.id, one);
    for (const name of draft.step.removed) removed.add(name);
  }
  for (const name of removed) workers.delete(name);
  return {
    workers: [...workers.values()],
    claims: [...claims.values()],
    removed: [...removed],
    audit,
  };
}

export const isEmpty = (change: WorkerChange): boolean =>
  Object.values(change).every((rows) => rows.length === 0);

/** Whoever waits is told to ask again. */
export function refuse({ claims, ends, joins }: Asked, message: string): void {
  const answer: ClaimAnswer = { kind: "refused", code: "unavailable", message };
  for (const { done } of [...claims, ...ends]) done(answer);
  for (const { done } of joins) done({ kind: "unavailable", message });
}
