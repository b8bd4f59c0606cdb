/** The size of a pool that keeps free slots ready. Pure; the arithmetic is in `idle.ts`. */
import type { Autoscaler } from "../../../schema/config.ts";
import { effectiveMaxIdle, type IdleRule, type IdleStep, stepIdle, type Worker } from "./idle.ts";
import { hold, size, type Recommendation, type Snapshot } from "./snapshot.ts";

type Idle = Extract<Autoscaler, { type: "idle" }>;

/** Silent nodes are repaired, and refused purchases back off, by the plan. */
const REPAIRED = { killUnknownMs: 0, retryMs: 0 };

/** The step that `recommendIdle` takes, for its timer; `null` while the queue is unknown. */
export function stepOf(autoscaler: Idle, snapshot: Snapshot): IdleStep | null {
  const { min, max, waiting, mono, surplus } = snapshot;
  if (waiting === null) return null;
  const { minIdle, maxIdle, slotsPerNode: slots, idleDecayMs: decayMs } = autoscaler;
  const rule: IdleRule = { min, max, minIdle, maxIdle: maxIdle ?? 0, slots, decayMs, ...REPAIRED };
  const pool = {
    workers: workersOf(slots, snapshot),
    queued: waiting,
    surplusSince: surplus.get(autoscaler)?.since ?? null,
    refusedAt: null,
  };
  return stepIdle(rule, pool, mono);
}

/** More free slots at once; fewer after the pool's cooldown and the decay. */
export function recommendIdle(autoscaler: Idle, snapshot: Snapshot): Recommendation {
  const { desired, waiting } = snapshot;
  const { minIdle, maxIdle, slotsPerNode: slots } = autoscaler;
  const step = stepOf(autoscaler, snapshot);
  if (step === null) return hold("the queue is unknown", "unknown");
  if (step.gated.length > 0) {
    const [first = "", ...more] = step.gated;
    const others = more.length === 0 ? "" : ` and ${more.length} more`;
    return hold(`whether node ${first}${others} is idle is unknown`, "unknown");
  }
  const { create, remove } = step;
  const before = step.idle - create * slots + remove.length * slots;
  const bounds = { minIdle, maxIdle: maxIdle ?? 0, slots };
  const wanted = `${minIdle} to ${effectiveMaxIdle(bounds)} are wanted`;
  const queue = waiting === 0 || waiting === null ? "" : ` after ${waiting} waiting jobs`;
  const because = `${before} slots free or on their way${queue}, ${wanted}`;
  if (create > 0) return size(desired + create, because, "bounds");
  return size(desired - remove.length, because);
}

/** The pool's nodes, with those that it wants and does not have yet, or has too many. */
function workersOf(slots: number, { workers, desired }: Snapshot): Worker[] {
  const known = workers.map((one) => {
    const { id, state, busy } = one;
    return { id, state, free: Math.max(0, slots - busy), since: 0 };
  });
  const missing = Math.max(0, desired - known.length);
  const coming = Array.from({ length: missing }, (_, index): Worker => {
    return { id: `missing-${index}`, state: "pending", free: slots, since: 0 };
  });
  let excess = Math.max(0, known.length - desired);
  const going = ["pending", "idle"].flatMap((state) => known.filter((one) => one.state === state));
  const leaving = new Set(going.slice(0, excess).map((one) => one.id));
  excess -= leaving.size;
  return [
    ...known.map((one): Worker => (leaving.has(one.id) ? { ...one, state: "leaving" } : one)),
    ...coming,
  ];
}
