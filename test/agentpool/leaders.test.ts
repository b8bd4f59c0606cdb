/**
 * AgentPools under two control planes: one is killed, or frozen in the middle of a commit or call
 * and goes on under the other, while people edit and delete, pods fail, agents die and calls are
 * slow. What callers were told of their claims stays true, and the pool comes to rest as wanted.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { anyPool } from "../world/agentpool/cluster.ts";
import { KEY, Seats } from "../world/agentpool/seats.ts";

const RUNS = 25;
const index = fc.nat(11);
const KINDS = [
  ...["claim", "claim", "claim", "claim", "release", "release", "wait", "wait", "wait", "edit"],
  ...["fail", "kill", "silence", "refuse", "allow", "dies", "sleeps", "sleeps", "wake", "dark"],
];
const story = fc.array(fc.record({ kind: fc.constantFrom(...KINDS), index }), {
  minLength: 10,
  maxLength: 40,
});
const latency = fc.constantFrom(0, 40, 2_000);

const nth = <T>(list: readonly T[], at: number): T | undefined =>
  list[at % Math.max(1, list.length)];

async function act(world: Seats, kind: string, at: number): Promise<void> {
  const { cluster, leader } = world;
  const name = nth([...cluster.live.keys()], at) ?? "";
  const id = nth([...world.held.keys()], at);
  const pool = cluster.objects.get(KEY);
  if (kind === "claim") world.claim();
  else if (kind === "release" && id !== undefined) await world.release(id);
  else if (kind === "wait") await world.pass(nth([500, 2_000, 9_000, 40_000], at) ?? 500);
  else if (kind === "fail") cluster.setPod(name, { phase: "Failed" });
  else if (kind === "kill") cluster.kill(name);
  else if (kind === "silence" && world.agents.has(name)) {
    world.excused.add(name);
    world.agents.set(name, { isAlive: false, joined: true });
  } else if (kind === "refuse") {
    cluster.refuses = { kind: "refused", reason: "QuotaExceeded", message: "no more" };
  } else if (kind === "allow") cluster.refuses = null;
  else if (kind === "dark") cluster.dark = cluster.dark === null ? "away" : null;
  else if (kind === "edit" && pool?.scaler) {
    const scaler = { ...pool.scaler, min: at % 3, max: 3 + (at % 5), minIdle: at % 3 };
    cluster.edit(KEY, { generation: pool.generation + 1, scaler });
  } else if (kind === "dies" || kind === "sleeps") {
    // The frozen one is caught wherever it is.
    leader.freeze();
    await world.pass(nth([0, 500, 12_000], at) ?? 0);
    await world.take(kind);
  } else if (kind === "wake") await world.wakeAll();
  if (kind !== "wait") await world.pass(500);
  await world.judge();
}

test("two leaders: what callers were told stays true, and the pool comes to rest", async () => {
  await fc.assert(
    fc.asyncProperty(story, latency, async (steps, latencyMs) => {
      const world = new Seats();
      world.latencyMs = latencyMs;
      const times = { decayMs: 5_000, killUnknownMs: 20_000 };
      const scaler = { min: 1, max: 5, minIdle: 1, maxIdle: 2, slots: 2, ...times };
      world.apply(anyPool("p", scaler));
      await world.take(null);
      for (const { kind, index: at } of steps) {
        await act(world, kind, at);
        expect(world.broken).toEqual([]);
      }
      // Faults end, sleepers wake, and all is quiet for a while.
      world.cluster.refuses = null;
      world.cluster.dark = null;
      await world.wakeAll();
      for (const [name, agent] of world.agents) {
        if (!world.excused.has(name)) agent.isAlive = true;
      }
      await world.pass(400_000);
      await world.judge();
      expect(world.broken).toEqual([]);
      const view = world.leader.actor?.desk.pool(KEY);
      const told = JSON.stringify(view?.status);
      const wanted = world.cluster.objects.get(KEY)?.scaler;
      expect(view?.status.size ?? 0, told).toBeGreaterThanOrEqual(wanted?.min ?? 0);
      const names = (view?.workers ?? []).map(({ worker }) => worker.name).sort();
      expect([...world.cluster.live.keys()].sort(), told).toEqual(names);
    }),
    { numRuns: RUNS },
  );
}, 120_000);
