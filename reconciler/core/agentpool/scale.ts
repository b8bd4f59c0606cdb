/**
 * How many workers a pool has: the arithmetic of `scaling/idle.ts` over its members, behind the
 * start gate. Removes by asking, or at once where no agent has joined yet.
 */
import { type IdleRule, stepIdle, type Worker as IdleWorker } from "../scaling/idle.ts";
import { byAge } from "./claim.ts";
import type { Draft } from "./draft.ts";
import type { Member } from "./member.ts";
import type { AgentPool, PoolScaler } from "./model.ts";
import type { Blocked } from "./step-model.ts";

export const RETRY_MS = 60_000;
/** A pool that is being deleted waits so long for a silent worker if its scaler says nothing. */
const KILL_UNKNOWN_MS = 300_000;
/** Pods whose creation is not answered yet, for each pool. */
export const CREATES_AT_ONCE = 16;

const STATIC: PoolScaler = {
  ...{ min: 0, max: 0, minIdle: 0, maxIdle: 0, decayMs: 0, killUnknownMs: 0, slots: 1 },
};

export const scalerOf = ({ scaler }: AgentPool): PoolScaler => scaler ?? STATIC;

export type Scale = {
  gated: string[];
  /** Workers to be created, as far as the arithmetic goes. */
  create: number;
  surplusSince: number | null;
  size: number;
  idle: number;
};

export type ScaleContext = {
  pool: AgentPool;
  members: readonly Member[];
  queued: number;
  /** Gate passed before. */
  isOpen: boolean;
  surplusSince: number | null;
  blocked: Blocked | null;
  /** Free slots of a worker that is replaced once as many are free elsewhere. */
  spare: number;
};

/** Members that count: all but those lost or leaving. */
export const counts = ({ state }: Member): boolean =>
  state === "Idle" || state === "Running" || state === "Pending" || state === "Unknown";

/** The counts alone, while the pods are not known: nothing is created or removed. */
export function measure({ pool, members, queued }: ScaleContext): Scale {
  const { slots } = scalerOf(pool);
  const counted = members.filter(counts);
  const free = counted.map((one) => (one.state === "Pending" ? slots : one.free));
  const idle = free.reduce((sum, one) => sum + one, 0) - queued;
  return { gated: [], create: 0, surplusSince: null, size: counted.length, idle };
}

export function scale(draft: Draft, from: ScaleContext): Scale {
  const { pool, members, isOpen, queued, blocked } = from;
  const { recall } = draft;
  const surplusSince = from.surplusSince === null ? null : from.surplusSince + recall.slept;
  const rule = withSpare(ruleOf(pool), from.spare);
  const workers = members.toSorted(byDeparture(pool)).map((one) => idleWorker(draft, one));
  const refusedAt = blocked === null || blocked.isProbed ? null : blocked.atMono;
  const step = stepIdle(
    rule,
    { workers, queued, surplusSince, refusedAt, ignoresUnknown: isOpen },
    recall.mono,
  );
  for (const { worker, state } of members.filter((one) => step.kill.includes(one.worker.name))) {
    draft.kill(worker, state === "Unknown" ? "unknown" : "lost");
    draft.warn("WorkerLost", `Worker ${worker.name} is deleted: ${silence(state)} for too long`);
  }
  dueOf(draft, rule, workers, step.surplusSince);
  const isSettled = pool.isDeleting || pool.scaler === null || pool.problems.length > 0;
  if (isSettled) return { ...measure(from), gated: isOpen ? [] : step.gated };
  const gone = new Set(step.remove);
  for (const { worker, state } of members.filter((one) => gone.has(one.worker.name))) {
    if (state === "Pending") draft.kill(worker, "surplus");
    else draft.ask(worker, "surplus");
  }
  const { create, size, idle } = step;
  const before = { size: size - create, idle: idle - create * rule.slots };
  return { gated: isOpen ? [] : step.gated, create, surplusSince: step.surplusSince, ...before };
}

const silence = (state: Member["state"]): string =>
  state === "Unknown" ? "it has not joined since this control plane started" : "it is silent";

function ruleOf(pool: AgentPool): IdleRule {
  const { min, max, minIdle, maxIdle, decayMs, slots, killUnknownMs } = scalerOf(pool);
  const kill = pool.isDeleting && killUnknownMs === 0 ? KILL_UNKNOWN_MS : killUnknownMs;
  const bounds = { min, max, minIdle, maxIdle, decayMs, slots };
  return { ...bounds, killUnknownMs: kill, retryMs: RETRY_MS };
}

function idleWorker({ recall }: Draft, { worker, state, free }: Member): IdleWorker {
  const id = worker.name;
  const since = (key: string): number => recall.start(`${key}:${id}`);
  if (state === "Unknown") return { id, state: "unknown", free: 0, since: since("unknown") };
  if (state === "Lost") return { id, state: "lost", free: 0, since: since("lost") };
  if (state === "Pending") return { id, state: "pending", free: 0, since: worker.at };
  if (state === "Running") return { id, state: "running", free, since: worker.at };
  // A worker that can take nothing is no victim of the arithmetic.
  if (state === "Idle") return { id, state: free > 0 ? "idle" : "running", free, since: worker.at };
  return { id, state: "leaving", free: 0, since: worker.at };
}

/** Of those that may leave, those of an older template first, then the oldest. */
function byDeparture({ generation }: AgentPool): (a: Member, b: Member) => number {
  const isOld = ({ worker }: Member): number => (worker.generation < generation ? 1 : 0);
  return (a, b) => {
    const isJoined = a.state !== "Pending" && b.state !== "Pending";
    return (isJoined ? isOld(b) - isOld(a) : 0) || byAge(a, b);
  };
}

/**
 * Replaces one idle worker of an older template at a time. Gives its free slots while others have
 * not as many to spare, 0 otherwise.
 */
export function recycle(draft: Draft, pool: AgentPool, members: readonly Member[]): number {
  const { recycles, scaler, problems, isDeleting, generation } = pool;
  if (!recycles || scaler === null || problems.length > 0 || isDeleting) return 0;
  if (members.some(({ worker: { leaving } }) => leaving?.cause === "recycled")) return 0;
  const [victim] = members
    .filter((one) => one.state === "Idle" && one.free > 0 && one.worker.generation < generation)
    .toSorted(byAge);
  if (victim === undefined) return 0;
  const ready = members.reduce((sum, { free }) => sum + free, 0) - draft.queued.length;
  if (ready - victim.free < scaler.minIdle) return victim.free;
  draft.ask(victim.worker, "recycled");
  return 0;
}

/** One more worker than the rule wants, until another can be spared. */
function withSpare(rule: IdleRule, spare: number): IdleRule {
  if (spare === 0) return rule;
  const { min, max, minIdle, maxIdle } = rule;
  const idle = { minIdle: minIdle + spare, maxIdle: maxIdle + spare };
  return { ...rule, min: Math.min(max, min + 1), ...idle };
}

function dueOf(
  { recall }: Draft,
  { decayMs, killUnknownMs }: IdleRule,
  workers: readonly IdleWorker[],
  surplusSince: number | null,
): void {
  if (surplusSince !== null) recall.dueIn(surplusSince + decayMs - recall.mono);
  if (killUnknownMs === 0) return;
  for (const { state, since } of workers) {
    const isTimed = state === "unknown" || state === "lost";
    if (isTimed) recall.dueIn(since + killUnknownMs + 1 - recall.mono);
  }
}
