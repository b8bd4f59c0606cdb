/**
 * Keeps a number of free slots ready: the arithmetic, for nodes of a pool and for any other kind of
 * worker. Pure. Workers that are on their way count with their slots, so nothing is asked for
 * twice, and a worker with work is never removed. While the state of a worker is unknown, nothing
 * is created or removed.
 */
export type IdleRule = {
  /** Least and most workers. */
  min: number;
  max: number;
  /** Free slots that are kept, and above which workers leave at once. */
  minIdle: number;
  maxIdle: number;
  /** Of a worker that has not said otherwise. */
  slots: number;
  /** How long one worker too many stays. */
  decayMs: number;
  /** Age from which an unknown or lost worker is removed; 0 = never. */
  killUnknownMs: number;
  /** Pause after a creation that failed. */
  retryMs: number;
};

export type Worker = {
  id: string;
  /**
   * `pending`: asked for, not there yet. `idle` and `running`: it has `free` of its slots.
   * `unknown`: it exists, and was not heard. `lost`: it was heard, and is no more. `leaving`: it
   * is going.
   */
  state: "pending" | "idle" | "running" | "unknown" | "lost" | "leaving";
  /** Free slots; all of them if idle. */
  free: number;
  /** Since when it is in this state, in milliseconds of any clock. */
  since: number;
};

export type IdlePool = {
  /** Those that should leave first come first; of those on their way the newest leaves first. */
  workers: readonly Worker[];
  /** Jobs that wait for a slot. */
  queued: number;
  /** Since when one worker too many is there; `null` = none is. */
  surplusSince: number | null;
  /** When a creation last failed, with no worker arrived since; `null` = not. */
  refusedAt: number | null;
  /** An unknown worker counts with no free slot, and holds nothing back. */
  ignoresUnknown?: boolean;
};

export type IdleStep = {
  /** Workers whose state is unknown: nothing else is done. */
  gated: string[];
  create: number;
  remove: string[];
  /** Unknown or lost for too long. */
  kill: string[];
  /** To be kept until the next step. */
  surplusSince: number | null;
  size: number;
  idle: number;
};

/** A smaller value could never be kept: a worker leaves with all of its slots. */
export function effectiveMaxIdle(rule: Pick<IdleRule, "minIdle" | "maxIdle" | "slots">): number {
  const { minIdle, maxIdle, slots } = rule;
  return Math.max(maxIdle, minIdle + slots - 1);
}

export function stepIdle(rule: IdleRule, pool: IdlePool, now: number): IdleStep {
  const kill = pool.workers.filter((one) => isOverdue(rule, one, now)).map((one) => one.id);
  const workers = pool.workers.filter((one) => !kill.includes(one.id));
  const gated = workers.filter((one) => one.state === "unknown").map((one) => one.id);
  const counted = workers.filter((one) => one.state !== "lost" && one.state !== "leaving");
  const held = { create: 0, remove: [], kill, surplusSince: null };
  const before = { size: counted.length, idle: idleOf(rule, counted) - pool.queued };
  if (gated.length > 0 && !pool.ignoresUnknown) return { ...held, ...before, gated };
  const create = createdBy(rule, before, pool.refusedAt, now);
  const size = before.size + create;
  const idle = before.idle + create * rule.slots;
  if (create > 0) return { ...held, gated, create, size, idle };
  return { ...held, gated, ...shrink(rule, { ...before, counted, pool, now }) };
}

function idleOf(rule: IdleRule, workers: readonly Worker[]): number {
  return workers.reduce((sum, one) => sum + freeOf(rule, one), 0);
}

function freeOf({ slots }: IdleRule, { state, free }: Worker): number {
  if (state === "pending") return slots;
  return state === "idle" || state === "running" ? free : 0;
}

function isOverdue({ killUnknownMs }: IdleRule, { state, since }: Worker, now: number): boolean {
  const isGone = state === "unknown" || state === "lost";
  return isGone && killUnknownMs > 0 && now - since > killUnknownMs;
}

/** After a failure nothing is asked for, whatever waits; then it is tried again. */
function createdBy(
  { min, max, minIdle, slots, retryMs }: IdleRule,
  { size, idle }: { size: number; idle: number },
  refusedAt: number | null,
  now: number,
): number {
  if (refusedAt !== null && now - refusedAt < retryMs) return 0;
  const wanted = Math.max(Math.ceil((minIdle - idle) / slots), min - size);
  return Math.max(0, Math.min(wanted, max - size));
}

type Shrinking = {
  size: number;
  idle: number;
  counted: readonly Worker[];
  pool: IdlePool;
  now: number;
};

/**
 * Above `max`, which may have been lowered, and above `maxIdle` as many as needed leave at once;
 * else one leaves after the decay.
 */
function shrink(rule: IdleRule, { size, idle, counted, pool, now }: Shrinking) {
  const staying = victimsOf(counted);
  const remove: string[] = [];
  const next = (): number => {
    if (size > rule.max) return staying.length > 0 ? 0 : -1;
    if (size <= rule.min) return -1;
    return staying.findIndex((one) => idle - freeOf(rule, one) >= rule.minIdle);
  };
  const hasSurplus = (): boolean => next() >= 0;
  const take = (): boolean => {
    const [victim] = hasSurplus() ? staying.splice(next(), 1) : [];
    if (victim === undefined) return false;
    remove.push(victim.id);
    size -= 1;
    idle -= freeOf(rule, victim);
    return true;
  };
  while ((size > rule.max || idle > effectiveMaxIdle(rule)) && take());
  if (!hasSurplus()) return { remove, surplusSince: null, size, idle };
  const since = pool.surplusSince ?? now;
  if (now - since < rule.decayMs || !take()) return { remove, surplusSince: since, size, idle };
  return { remove, surplusSince: hasSurplus() ? now : null, size, idle };
}

/** Workers that may leave: those on their way first, then those without work. */
function victimsOf(counted: readonly Worker[]): Worker[] {
  const pending = counted.filter((one) => one.state === "pending").reverse();
  return [...pending, ...counted.filter((one) => one.state === "idle")];
}
