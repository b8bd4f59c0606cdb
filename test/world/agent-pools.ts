/**
 * `AgentPools` in memory, for tests of what routes, commands and metrics make of them: one worker
 * with free slots for each pool, and a queue. The rules of the real one are tested with the engine.
 */
import { isOpenClaim, type SlotClaim, type Worker } from "../../schema/agentpool.ts";
import type { AgentPool, PoolStatus } from "../../reconciler/core/agentpool/model.ts";
import type { AgentPools, ClaimAnswer, PoolView } from "../../reconciler/core/agentpool/service.ts";

export const BEGAN = Date.parse("2026-11-23T12:00:00Z");

export function agentPool(key: string, more: Partial<AgentPool> = {}): AgentPool {
  const [namespace = "", name = ""] = key.split("/");
  return {
    ...{ key, namespace, name, uid: `uid-${name}`, resourceVersion: "7", generation: 2 },
    ...{ isDeleting: false, hasFinalizer: true, drainsOnDelete: false, recycles: false },
    ...{ adopts: false, pendingTimeoutMs: 900_000, template: {}, problems: [] },
    scaler: {
      ...{ min: 1, max: 5, minIdle: 1, maxIdle: 3 },
      ...{ decayMs: 60_000, killUnknownMs: 300_000, slots: 1 },
    },
    ...more,
  };
}

export const QUIET: PoolStatus = {
  ...{ size: 1, idleSlots: 1, queuedClaims: 0, workers: { Idle: 1 }, effectiveMaxIdle: 3 },
  lastAllocationError: null,
  conditions: [{ type: "Ready", status: "True", reason: "Ready", message: "1 of 1 workers" }],
};

export function worker(pool: AgentPool, name: string, more: Partial<Worker> = {}): Worker {
  return {
    ...{ name, pool: pool.key, poolUid: pool.uid, generation: pool.generation, at: BEGAN },
    ...{ uid: `uid-${name}`, found: false, joinedAt: BEGAN, node: null, slots: null },
    ...{ lostSince: null, leaving: null, ...more },
  };
}

export type FakePools = AgentPools & {
  views: PoolView[];
  /** All that were made, the ended ones too. */
  made: Map<string, SlotClaim>;
};

const NO_AGENTS: Pick<AgentPools, "admit" | "workerOf" | "heard"> = {
  admit: async () => ({ kind: "refused", message: "none joins here" }),
  workerOf: () => null,
  heard: () => null,
};

export function fakePools(keys: readonly string[], slots = 1): FakePools {
  const made = new Map<string, SlotClaim>();
  const open = (key: string): SlotClaim[] =>
    [...made.values()].filter((one) => one.pool === key && isOpenClaim(one));
  const views = keys.map((key): PoolView => {
    const pool = agentPool(key);
    return {
      ...{ pool, status: QUIET, last: {} },
      get workers() {
        const claims = open(key).filter(({ state }) => state === "running").length;
        const state = claims > 0 ? ("Running" as const) : ("Idle" as const);
        return [{ worker: worker(pool, `${pool.name}-aaaaa`), state, claims, slots }];
      },
      get claims() {
        return open(key);
      },
    };
  });
  const answer = (claim: SlotClaim): ClaimAnswer => {
    if (claim.state === "running") return { kind: "running", claim };
    if (claim.state !== "queued") return { kind: "ended", claim };
    const queue = open(claim.pool).filter(({ state }) => state === "queued");
    const because = "no slot is free and AtMax: 1 of 1 workers";
    return { kind: "queued", claim, position: queue.indexOf(claim) + 1, because };
  };
  const of = (id: string): ClaimAnswer | null => {
    const claim = made.get(id);
    return claim === undefined ? null : answer(claim);
  };
  const place = (key: string): void => {
    const all = open(key);
    const taken = new Set(all.flatMap(({ slot }) => slot ?? []));
    const next = all.find(({ state }) => state === "queued");
    const slot = [...Array(slots).keys()].find((one) => !taken.has(one));
    if (next === undefined || slot === undefined) return;
    const name = `${key.split("/")[1] ?? ""}-aaaaa`;
    Object.assign(next, { state: "running", worker: name, slot, placedAt: BEGAN });
  };
  return {
    ...{ views, made },
    whyNot: () => null,
    pools: () => views,
    pool: (key) => views.find((one) => one.pool.key === key) ?? null,
    review: () => Promise.resolve({ kind: "unknown", problem: "no cluster" }),
    async claim({ id, pool, label, ttlMs, by }) {
      const before = of(id);
      if (before !== null) return before;
      made.set(id, {
        ...{ id, pool, poolUid: "u", label, by, ordinal: made.size, at: BEGAN },
        expiresAt: ttlMs === null ? null : BEGAN + ttlMs,
        ...{ state: "queued", worker: null, slot: null, placedAt: null, endedAt: null },
      });
      place(pool);
      return of(id) ?? { kind: "refused", code: "not_found", message: "gone" };
    },
    claimOf: async (id) => of(id),
    async release(id) {
      const claim = made.get(id);
      if (claim === undefined) return null;
      if (isOpenClaim(claim)) {
        const state = claim.state === "queued" ? "cancelled" : "released";
        Object.assign(claim, { state, endedAt: BEGAN });
      }
      place(claim.pool);
      return answer(claim);
    },
    ...NO_AGENTS,
  };
}
