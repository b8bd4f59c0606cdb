/**
 * The engine of AgentPools in virtual time, against the traces of velda-io/velda
 * (pkg/broker/autoscaler_test.go): the sizes must be those.
 */
import { describe, expect, test } from "bun:test";
import type { PoolScaler } from "../../reconciler/core/agentpool/model.ts";
import { anyPool } from "../world/agentpool/cluster.ts";
import { PoolWorld } from "../world/agentpool/world.ts";

function open(scaler: Partial<PoolScaler>): PoolWorld {
  const world = new PoolWorld(anyPool("t", scaler));
  world.settle();
  return world;
}

const edit = (world: PoolWorld, scaler: Partial<PoolScaler>): void => {
  const pool = world.cluster.objects.get("default/t");
  if (pool?.scaler == null) throw new Error("no pool");
  const generation = pool.generation + 1;
  world.cluster.edit(pool.key, { generation, scaler: { ...pool.scaler, ...scaler } });
  world.settle();
};

describe("oracle of AgentPools", () => {
  test("T1: minimum, growth by claims, the ceiling, both ways down", () => {
    const world = open({ min: 2, minIdle: 1, maxIdle: 3, max: 5 });
    expect(world.live).toBe(2);
    world.join();
    const claims: string[] = [];
    const sizes = [1, 2, 3, 4, 5].map(() => {
      claims.push(world.claim());
      const { live } = world;
      world.join();
      return live;
    });
    expect(sizes).toEqual([2, 3, 4, 5, 5]);
    const sixth = world.claim();
    expect([world.live, world.state(sixth)]).toEqual([5, "queued"]);
    expect(world.cluster.condition("default/t", "AtMax")?.status).toBe("True");
    world.release(sixth);
    expect(world.state(sixth)).toBe("cancelled");
    for (const id of claims.slice(0, 3)) world.release(id);
    world.wait(2_000);
    expect(world.live).toBe(5);
    world.release(claims[3] ?? "");
    expect(world.status().size).toBe(4);
    world.wait(2_000);
    expect(world.live).toBe(4);
    edit(world, { decayMs: 0 });
    expect(world.status().size).toBe(2);
    world.wait(3_000);
    expect(world.live).toBe(2);
    world.wait(600_000);
    expect([world.live, world.state(claims[4] ?? "")]).toEqual([2, "running"]);
  });

  test("T2: two slots a worker", () => {
    const world = open({ slots: 2, minIdle: 2, maxIdle: 4, max: 5 });
    expect(world.live).toBe(1);
    world.join();
    const claims: string[] = [];
    const sizes = [1, 2, 3].map(() => {
      claims.push(world.claim());
      const { live } = world;
      world.join();
      return live;
    });
    expect(sizes).toEqual([2, 2, 3]);
    for (const id of claims) world.release(id);
    world.wait(2_000);
    expect([world.live, world.status().idleSlots]).toEqual([2, 4]);
  });

  test("T3: a worker that is partly busy stays, however many slots are free", () => {
    const world = open({ slots: 2, minIdle: 2, maxIdle: 4, max: 5 });
    world.join();
    const claims = Array.from({ length: 10 }, () => {
      const id = world.claim();
      world.join();
      return id;
    });
    const names = world.names();
    const on = names.map((name) => claims.filter((id) => world.claims.get(id)?.worker === name));
    const free = (worker: number, slot: number) => world.release(on[worker]?.[slot] ?? "");
    free(3, 0);
    free(4, 1);
    expect([world.live, world.status().idleSlots]).toEqual([5, 2]);
    for (const worker of [0, 1, 2]) free(worker, 0);
    world.wait(2_000);
    expect([world.live, world.status().idleSlots]).toEqual([5, 5]);
    free(0, 1);
    world.wait(2_000);
    expect(world.names()).toEqual(names.slice(1));
  });

  test("T4: a claim that is cancelled while its worker is on its way", () => {
    const world = open({ max: 2, decayMs: 0 });
    expect(world.live).toBe(0);
    const id = world.claim();
    expect([...world.states.values()]).toEqual(["Pending"]);
    world.release(id);
    expect(world.live).toBe(0);
  });

  test("T5: what never joined, and what was lost, goes after its time", () => {
    const world = open({ maxIdle: 3, killUnknownMs: 5_000 });
    world.cluster.addPod("stranger", { ownerUid: "t-uid", phase: "Running" });
    world.settle();
    world.cluster.addPod("worker", { ownerUid: "t-uid" });
    world.join("worker");
    expect([...world.states]).toEqual([
      ["stranger", "Unknown"],
      ["worker", "Idle"],
    ]);
    world.silence("worker");
    world.wait(5_000);
    expect(world.names()).toEqual(["stranger", "worker"]);
    world.wait(1);
    expect(world.names()).toEqual(["worker"]);
    world.wait(10_999);
    expect(world.states.get("worker")).toBe("Lost");
    world.wait(4_000);
    expect(world.names()).toEqual(["worker"]);
    world.wait(2_000);
    expect(world.names()).toEqual([]);
    expect(world.workers.size).toBe(0);
  });

  test("T6: after a failure one attempt a minute, whatever is asked for", () => {
    const world = open({});
    world.cluster.checks = { kind: "ok", uid: "" };
    world.cluster.refuses = { kind: "refused", reason: "QuotaExceeded", message: "no more" };
    const attempts = () => world.cluster.writes.length;
    for (let i = 0; i < 4; i++) world.claim();
    expect(attempts()).toBe(1);
    const blocked = () => world.cluster.condition("default/t", "ScaleUpBlocked");
    expect(blocked()).toMatchObject({ status: "True", reason: "QuotaExceeded" });
    world.wait(59_999);
    expect(attempts()).toBe(1);
    world.wait(1);
    expect(attempts()).toBe(2);
    world.cluster.refuses = null;
    world.wait(60_000);
    expect(attempts()).toBe(6);
    expect([world.live, blocked()?.status]).toEqual([4, "True"]);
    world.join();
    expect(blocked()?.status).toBe("False");
    expect(world.status().lastAllocationError).toBeNull();
  });

  test.each([
    ["cpu-pool", { min: 2, max: 20, minIdle: 3, maxIdle: 8, decayMs: 300_000 }, 3],
    ["gpu-pool", { min: 0, max: 10, minIdle: 1, maxIdle: 3, decayMs: 600_000 }, 1],
    ["shell", { min: 0, max: 4, minIdle: 1, maxIdle: 2, decayMs: 60_000 }, 1],
  ])("%s of the seed starts with %o: %i, and stays so", (_, scaler, size) => {
    const world = open(scaler);
    expect(world.live).toBe(size);
    world.join();
    world.wait(3_600_000);
    expect(world.live).toBe(size);
  });
});
