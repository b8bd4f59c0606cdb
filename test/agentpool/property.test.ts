/**
 * Anything happens to a pool, in any order, and the control plane dies meanwhile: what a pool
 * promises is kept at every commit and call (`world.broken`), and afterwards it comes to rest with
 * what is wanted of it.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { PoolScaler } from "../../reconciler/core/agentpool/model.ts";
import { anyPool } from "../world/agentpool/cluster.ts";
import { PoolWorld } from "../world/agentpool/world.ts";

const KEY = "default/p";
const RUNS = 60;

const scalers = fc
  .record({
    min: fc.nat(3),
    more: fc.nat(6),
    minIdle: fc.nat(4),
    maxIdle: fc.nat(6),
    decayMs: fc.constantFrom(0, 5_000, 60_000),
    killUnknownMs: fc.constantFrom(0, 5_000, 300_000),
    slots: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ more, ...rest }): PoolScaler => ({ ...rest, max: rest.min + more }));

const index = fc.nat(11);
const KINDS = [
  ...["claim", "claim", "claim", "release", "release", "fail", "kill", "end", "silence", "revive"],
  ...["fatal", "busy", "free", "trouble", "rogue", "slots", "arrive", "restart", "finish"],
];
const actions = fc.oneof(
  ...KINDS.map((kind) => fc.record({ kind: fc.constant(kind), index })),
  fc.record({ kind: fc.constantFrom("refuse", "lose", "allow", "dark", "light"), index }),
  fc.record({ kind: fc.constantFrom("template", "recycle"), index }),
  fc.record({ kind: fc.constant("die"), index: fc.nat(8) }),
  fc.record({ kind: fc.constant("edit"), index, scaler: scalers }),
  ...[1, 2, 3].map(() =>
    fc.record({ kind: fc.constant("wait"), index: fc.constantFrom(1, 3, 8, 20, 40, 70) }),
  ),
);
const stories = fc.array(actions, { minLength: 5, maxLength: 50 });
/** Beyond a minute an effect counts as unanswered and is sent again. */
const latencies = fc.constantFrom(0, 3_000, 30_000, 90_000);
type Action = { kind: string; index: number; scaler?: PoolScaler };

function pick<T>(list: readonly T[], at: number): T | undefined {
  return list[at % Math.max(1, list.length)];
}

function act(world: PoolWorld, { kind, index: at, scaler }: Action): void {
  const { cluster } = world;
  const pool = cluster.objects.get(KEY);
  if (pool === undefined) return;
  const name = pick([...cluster.live.keys()], at);
  const generation = pool.generation + 1;
  const open = [...world.claims.values()].filter(({ endedAt }) => endedAt === null);
  const agent = name === undefined ? null : world.agent(name);
  if (kind === "claim") world.claim(KEY, at === 0 ? 30_000 : null);
  else if (kind === "release") world.release(pick(open, at)?.id ?? "");
  else if (kind === "fail" && name !== undefined) cluster.setPod(name, { phase: "Failed" });
  else if (kind === "finish" && name !== undefined) cluster.setPod(name, { phase: "Succeeded" });
  else if (kind === "kill" && name !== undefined) cluster.kill(name);
  else if (kind === "end" && name !== undefined) cluster.end(name);
  else if (kind === "silence" && agent !== null) agent.isAlive = false;
  else if (kind === "revive") for (const one of world.agents.values()) one.isAlive = true;
  else if (kind === "fatal" && agent !== null) agent.isFatal = true;
  else if (kind === "busy" && agent !== null) agent.isBusy = true;
  else if (kind === "free") for (const one of world.agents.values()) one.isBusy = false;
  else if (kind === "slots" && agent !== null) agent.slots = 1 + (at % 4);
  else if (kind === "trouble" && name !== undefined && world.agents.has(name) === false) {
    cluster.setPod(name, { trouble: { kind: "image", message: "ErrImagePull" } });
  } else if (kind === "rogue") cluster.addPod(`rogue-${world.mono}`, { ownerUid: pool.uid });
  else if (kind === "arrive") world.arrive();
  else if (kind === "restart") world.restart();
  else if (kind === "die") world.diesAt = world.points + 1 + at;
  else if (kind === "refuse") {
    cluster.refuses = { kind: "refused", reason: "QuotaExceeded", message: "no more" };
  } else if (kind === "lose") cluster.refuses = { kind: "lost", message: "no answer" };
  else if (kind === "allow") cluster.refuses = null;
  else if (kind === "dark") cluster.dark = "away";
  else if (kind === "light") cluster.dark = null;
  else if (kind === "template") cluster.edit(KEY, { generation });
  else if (kind === "recycle") cluster.edit(KEY, { recycles: !pool.recycles });
  else if (kind === "edit" && scaler !== undefined) cluster.edit(KEY, { generation, scaler });
  else if (kind === "wait") world.wait(at * 1_000);
  if (kind !== "die") world.settle();
  if (at % 3 === 0) cluster.endAll();
}

function open(scaler: PoolScaler, latencyMs: number): PoolWorld {
  const world = new PoolWorld(anyPool("p", scaler, { hasFinalizer: false }));
  world.latencyMs = latencyMs;
  world.joins = true;
  world.hasLateCalls = true;
  world.cluster.hasGrace = true;
  world.settle();
  return world;
}

/** Faults end; what is late arrives. */
function heal(world: PoolWorld): void {
  const { cluster } = world;
  world.diesAt = null;
  cluster.refuses = null;
  cluster.dark = null;
  world.arrive();
  for (const agent of world.agents.values()) {
    Object.assign(agent, { isAlive: true, isBusy: false, isFatal: false });
  }
  for (const name of cluster.live.keys()) cluster.setPod(name, { trouble: null });
  for (let i = 0; i < 60; i++) {
    world.wait(10_000);
    cluster.endAll();
  }
}

test("whatever happens, promises are kept, and the pool comes to rest as wanted", () => {
  fc.assert(
    fc.property(scalers, stories, latencies, (scaler, story, latencyMs) => {
      const world = open(scaler, latencyMs);
      for (const one of story) {
        act(world, one);
        expect(world.broken).toEqual([]);
      }
      heal(world);
      expect(world.broken).toEqual([]);
      const { min, max, minIdle } = world.cluster.objects.get(KEY)?.scaler ?? scaler;
      const { size, idleSlots, workers } = world.status();
      const busy = workers.Running ?? 0;
      const state = JSON.stringify({ ...world.status(), rows: [...world.workers.values()] });
      expect(size, state).toBeLessThanOrEqual(Math.max(max, busy));
      expect(size, state).toBeGreaterThanOrEqual(min);
      if (idleSlots < minIdle) expect(size, state).toBeGreaterThanOrEqual(max);
      expect((workers.Idle ?? 0) + busy, state).toBe(world.workers.size);
      expect(world.live, state).toBe(world.workers.size);
      // It rests: nothing is written in ten more minutes.
      const writes = world.cluster.writes.length;
      world.wait(600_000);
      expect(world.cluster.writes.length - writes, state).toBe(0);
    }),
    { numRuns: RUNS, includeErrorInReport: true },
  );
}, 120_000);

test("whatever happened, a pool that is deleted leaves nothing", () => {
  fc.assert(
    fc.property(
      scalers,
      stories,
      latencies,
      fc.boolean(),
      (scaler, story, latencyMs, drainsOnDelete) => {
        const world = open(scaler, latencyMs);
        for (const one of story) act(world, one);
        world.cluster.edit(KEY, { drainsOnDelete });
        world.cluster.remove(KEY);
        world.settle();
        heal(world);
        for (const { id } of world.claims.values()) world.release(id);
        heal(world);
        expect(world.broken).toEqual([]);
        const { cluster, workers } = world;
        expect([cluster.objects.size, cluster.live.size, workers.size]).toEqual([0, 0, 0]);
        const open_ = [...world.claims.values()].filter(({ endedAt }) => endedAt === null);
        expect(open_).toEqual([]);
      },
    ),
    { numRuns: RUNS, includeErrorInReport: true },
  );
}, 120_000);
