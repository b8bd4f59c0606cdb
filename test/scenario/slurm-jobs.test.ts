/**
 * S30: a job outlasts the drain of its broken node, and the pool says what it gets then. The control
 * plane dies at every write and call: the job is requeued once, only where it ran, and none is lost.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import type { Point } from "../world/crash-injector.ts";
import {
  judgeRepair,
  liveThrough,
  type Mark,
  openRepair,
  type Repair,
  sideOf,
} from "../world/slurm/story.ts";
import { isJobOrder } from "../world/slurm/write.ts";
import { closeWorlds } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(240_000);

const DRAIN_MS = 40_000;
const REQUEUE = "    drain: { fatal_timeout: 40s, slurm_jobs: requeue, grace_period: 1m }\n";
const SIGNAL = "    drain: { fatal_timeout: 40s, slurm_jobs: signal, grace_period: 1m }\n";
/** Writes and calls from the intent of the order on, and a list before it. */
const BEFORE = 16;
const AFTER = 40;
const LONG = { lastsMs: 300_000 };

function judge(repair: Repair, most: number): string[] {
  const { world, job, name } = repair;
  const out = judgeRepair(repair);
  const { journal } = sideOf(world).slurm;
  const orders = journal.filter(({ what }) => isJobOrder(what));
  if (orders.length === 0 || orders.length > most) out.push(`${orders.length} orders to jobs`);
  if (orders.some(({ node }) => node !== job)) out.push("another job was told");
  if (orders.some(({ reason }) => reason !== name))
    out.push("a job was told where it runs no more");
  const drainedAt = journal.find(({ what }) => what === "drain")?.at ?? 0;
  if (orders.some(({ at }) => at < drainedAt + DRAIN_MS * 0.9))
    out.push("told before the deadline");
  return out;
}

const openOne = (pool: string, job: object) => openRepair(false, { pool, job });

async function pointsOf(pool: string, job: object): Promise<Mark[]> {
  const repair = await openOne(pool, job);
  const points = await liveThrough(repair, () => false);
  expect(judge(repair, 1)).toEqual([]);
  await closeWorlds();
  return points;
}

async function crashAt(pool: string, job: object, { n, side }: Point, most: number) {
  const repair = await openOne(pool, job);
  try {
    await liveThrough(repair, (point, life) => life === 0 && point.n === n && point.side === side);
    return judge(repair, most);
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  } finally {
    await closeWorlds();
  }
}

test.each([
  ["requeued once", REQUEUE, LONG, 1, "slurm.requeue"],
  // A second signal after a crash is harmless; it never reaches another node.
  ["signalled", SIGNAL, { ...LONG, stopMs: 5_000 }, 2, "slurm.signal"],
] as const)(
  "S30: a job is %s at the deadline, whatever dies",
  async (_how, pool, job, most, call) => {
    const all = await pointsOf(pool, job);
    const told = all.findIndex(({ what }) => what === call);
    expect(told).toBeGreaterThan(0);
    // What comes before and after is the repair of `slurm-crash.test.ts`.
    const points = all.slice(told - BEFORE, told + AFTER);
    const seen = new Set<string>();
    const bad: string[] = [];
    for (const point of points) {
      if (seen.has(point.leaves)) continue;
      seen.add(point.leaves);
      const wrong = await crashAt(pool, job, point, most);
      if (wrong.length > 0) {
        bad.push(`${point.n}${point.side} ${point.what}: ${wrong.join("; ").slice(0, 400)}`);
      }
    }
    expect(bad).toEqual([]);
    expect(seen.size).toBeGreaterThan(20);
  },
);

test("S30: a job that may not be requeued is left until the end of its grace", async () => {
  const repair = await openOne(REQUEUE, { ...LONG, isRequeueable: false });
  const { world, name, job } = repair;
  world.xid(repair.sick, 79);
  const { slurm } = sideOf(world);
  const told = () => world.events.find(({ kind }) => kind === "slurm.jobs_told");
  expect(await world.advance(() => told() !== undefined, 120_000)).toBe(true);
  expect(told()?.message).toBe(
    `${name}: Slurm does not requeue ${job} (Requested operation is presently disabled)`,
  );
  const toldAt = world.clock.wallMs();
  expect(await world.advance(() => slurm.ends.some(({ id }) => id === job), 200_000)).toBe(true);
  expect(world.clock.wallMs() - toldAt).toBeGreaterThan(59_000);
});
