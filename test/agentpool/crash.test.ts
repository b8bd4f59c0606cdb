/**
 * The control plane dies before and after each commit and each call of a worker's life, from its
 * creation to the deletion of its pool, and calls of the dead process arrive later: no pod is left
 * over, no slot is claimed twice, no running claim is lost.
 */
import { expect, test } from "bun:test";
import { anyPool } from "../world/agentpool/cluster.ts";
import { PoolWorld } from "../world/agentpool/world.ts";

const KEY = "default/shell";
const MAX = 4;

type Late = "never" | "soon" | "after the story";

class Life {
  readonly world: PoolWorld;
  private readonly late: Late;

  constructor(diesAt: number | null, late: Late, drains: boolean) {
    const scaler = { minIdle: 1, maxIdle: 2, max: MAX, decayMs: 5_000, killUnknownMs: 60_000 };
    const more = { hasFinalizer: false, drainsOnDelete: drains };
    this.world = new PoolWorld(anyPool("shell", scaler, more));
    this.late = late;
    this.world.diesAt = diesAt;
    this.world.hasLateCalls = late !== "never";
    this.world.joins = true;
    this.world.cluster.hasGrace = true;
  }

  wait(ms: number): void {
    const { world } = this;
    for (let i = 0; i < ms / 1_000; i++) {
      world.wait(1_000);
      if (i % 5 === 3) world.cluster.endAll();
      if (i === 4 && this.late === "soon") world.arrive();
      this.check();
    }
  }

  check(): void {
    const { world } = this;
    const running = [...world.claims.values()].filter((one) => one.state === "running");
    const slots = running.map(({ worker, slot }) => `${worker} ${slot}`);
    expect(new Set(slots).size).toBe(slots.length);
    expect(running.filter(({ slot }) => slot !== 0)).toEqual([]);
    for (const { worker } of running) {
      if (world.cluster.objects.get(KEY)?.isDeleting) continue;
      expect(world.cluster.live.get(worker ?? "")?.isDeleting).toBe(false);
    }
    const named = [...world.workers.values()].filter((one) => one.leaving === null);
    expect(named.length).toBeLessThanOrEqual(MAX);
  }

  run(drains: boolean): void {
    const { world } = this;
    world.settle();
    this.wait(8_000);
    const first = world.claim(KEY);
    const second = world.claim(KEY);
    const third = world.claim(KEY);
    this.wait(30_000);
    expect([first, second, third].map((id) => world.state(id))).toEqual(Array(3).fill("running"));
    world.release(first);
    world.release(second);
    this.wait(60_000);
    // The third has its worker, and one is idle.
    expect(world.state(third)).toBe("running");
    expect([world.live, world.status().idleSlots]).toEqual([2, 1]);
    expect(world.workers.size).toBe(2);
    const last = world.claim(KEY);
    this.wait(20_000);
    world.release(third);
    world.cluster.remove(KEY);
    this.wait(20_000);
    if (drains) {
      expect([world.state(last), world.live]).toEqual(["running", 1]);
      world.release(last);
    }
    this.wait(30_000);
    this.wait(90_000);
    world.arrive();
    this.wait(90_000);
    expect([...world.claims.values()].map(({ state }) => String(state))).toEqual([
      ...["released", "released", "released"],
      drains ? "released" : "lost",
    ]);
    const left = [world.cluster.objects, world.cluster.live, world.workers].map(({ size }) => size);
    expect(left).toEqual([0, 0, 0]);
  }
}

for (const drains of [false, true]) {
  const calm = new Life(null, "never", drains);
  const name = drains ? "a pool that drains" : "a pool";
  test(`nothing is lost in the life of ${name}`, () => calm.run(drains));

  test.each<Late>(["never", "soon", "after the story"])(
    `nothing is lost wherever the control plane of ${name} dies; late calls arrive: %s`,
    (late) => {
      const points = 400;
      let deaths = 0;
      for (let diesAt = 1; diesAt < points; diesAt++) {
        const life = new Life(diesAt, late, drains);
        try {
          life.run(drains);
        } catch (cause) {
          throw new Error(`died at point ${diesAt} of ${life.world.points}`, { cause });
        }
        if (life.world.deaths === 0) break;
        deaths += life.world.deaths;
      }
      expect(deaths).toBeGreaterThan(40);
      expect(deaths).toBeLessThan(points - 1);
    },
    60_000,
  );
}
