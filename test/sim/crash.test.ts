/**
 * Every single crash of a replacement, and of the first purchase: before and after each write and
 * each call to the cloud, the process dies and another one comes up on what is durable. Afterwards
 * the cloud's own record is asked: the wanted number of instances, none unknown, never two for one
 * slot.
 */
import { expect, test } from "bun:test";
import { Gate } from "../../simulator/gate.ts";
import { World, poolYaml } from "../../simulator/world.ts";

const YAML = poolYaml(2, "    health: { unhealthy_threshold: 1 }\n");

/** One life after another until the story is over; returns how many calls were passed. */
async function story(crashes: string[], cls: "token" | "name" | "tag-only"): Promise<Gate> {
  const gate = new Gate(crashes);
  const world = await openThrough(gate, cls);
  try {
    await through(world, gate, () => world.serving().length === 2);
    const [sick = ""] = world.serving();
    world.xid(sick, 79);
    await through(
      world,
      gate,
      () => world.reconciler.fleet().nodes.get(sick as never)?.phase.kind === "gone",
    );
    await through(world, gate, () => world.serving().length === 2);
    await through(world, gate, () => world.nodes().length === 2);
    const reality = world.cloud.reality();
    const known = new Set(world.nodes().map((node) => node.instance?.id as string));
    expect(reality.overlaps).toEqual([]);
    expect(reality.live.length).toBe(2);
    expect(reality.live.filter((instance) => !known.has(instance.id))).toEqual([]);
    expect(reality.live.length + reality.terminated.length).toBe(3);
    return gate;
  } catch (error) {
    throw new Error(
      `crashes ${crashes.join(",")} ${cls}: ${String(error)}\n${gate.trail.join(" ")}`,
      { cause: error },
    );
  } finally {
    await world.close();
  }
}

/** Opening the first life may itself be what crashes. */
async function openThrough(gate: Gate, cls: "token" | "name" | "tag-only"): Promise<World> {
  const world = await World.open(YAML, { class: cls, prepare: gate });
  world.tolerant = true;
  await restart(world, gate);
  return world;
}

async function restart(world: World, gate: Gate): Promise<void> {
  for (let i = 0; i < 10; i++) {
    gate.revive();
    try {
      await world.start();
      return;
    } catch {
      await world.crash();
      await world.clock.pass(1_000);
    }
  }
  throw new Error("does not start");
}

async function through(world: World, gate: Gate, done: () => boolean): Promise<void> {
  for (let i = 0; i < 1_500; i++) {
    if (!gate.dead && done()) return;
    try {
      if (gate.dead) throw new Error("dead");
      await world.live(1);
    } catch {
      if (!gate.dead) throw new Error("an activation failed without a crash");
      await world.crash();
      await world.clock.pass(500);
      await restart(world, gate);
    }
  }
  const nodes = world.nodes().map((n) => `${n.id} ${n.phase.kind} ${n.operation ?? ""}`);
  throw new Error(
    `never: ${done.toString()} ${nodes.join("; ")} ${JSON.stringify(world.reconciler.lastPlan().waits)}`,
  );
}

for (const cls of ["token", "name", "tag-only"] as const) {
  test(`a crash before or after any write or call of a replacement costs nothing (${cls})`, async () => {
    const clean = await story([], cls);
    expect(clean.count).toBeGreaterThan(30);
    for (let n = 1; n <= clean.count; n++) {
      await story([`${n}b`], cls);
      await story([`${n}a`], cls);
    }
  }, 300_000);
}
