/**
 * A pool that opted into the ladder (decision 2): a fault that a reboot cures costs no machine, one
 * that it does not cure is replaced, and nothing is rebooted for ever.
 */
import { afterEach, expect, test } from "bun:test";
import type { World } from "../../simulator/world.ts";
import { BASE } from "../../simulator/setting.ts";
import { census, closeWorlds, open, order, watchEnds } from "../world/story.ts";

afterEach(closeWorlds);

const LADDER = `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 3, max_nodes: 6 }
    health: { unhealthy_threshold: 1 }
    repair: { ladder: [gpu-reset, reboot, replace] }
`;

const HOUR_MS = 3_600_000;

/** Machines come up again after a reboot as their cloud says; `cured` decides what is left. */
async function openLadder(cured: (id: string) => boolean): Promise<World> {
  const world = await open(LADDER, { store: "memory" });
  const say = world.say.bind(world);
  const boots = new Map<string, number>();
  world.say = async (id) => {
    const held = [...world.cloud.world().instances.values()].find((one) => one.nodeId === id);
    const reboots = held?.reboots ?? 0;
    if (reboots > (boots.get(id) ?? 0)) {
      boots.set(id, reboots);
      const agent = world.agent(id);
      agent.boot = reboots + 1;
      agent.active = [];
      if (!cured(id)) world.xid(id, 48);
    }
    await say(id);
  };
  expect(await world.advance(() => world.serving().length === 3, HOUR_MS)).toBe(true);
  return world;
}

const reboots = (world: World): number =>
  [...world.cloud.world().instances.values()].reduce((sum, held) => sum + held.reboots, 0);

test("a fault that a reboot cures costs one reboot and no machine", async () => {
  const world = await openLadder(() => true);
  const ends = watchEnds(world);
  const [sick = ""] = world.serving();
  world.xid(sick, 48);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  expect(world.node(sick).cordon.product).not.toBeNull();
  expect(await world.advance(() => world.serving().length === 3, HOUR_MS)).toBe(true);
  expect(world.node(sick)).toMatchObject({ session: null, cordon: { product: null } });
  expect(world.node(sick).lastSession?.how).toBe("recovered");
  expect(ends).toEqual([]);
  expect(reboots(world)).toBe(1);
  const order = ["node.cordoned", "node.draining", "node.drained", "node.repairing"];
  expect(world.story(sick).filter((kind) => order.includes(kind))).toEqual(order);
});

test("a fault that is still there after its reboots is replaced", async () => {
  const world = await openLadder(() => false);
  const [sick = ""] = world.serving();
  world.xid(sick, 48);
  const gone = (): boolean =>
    world.nodes().every((node) => node.id !== sick) && world.serving().length === 3;
  expect(await world.advance(gone, 4 * HOUR_MS)).toBe(true);
  expect(reboots(world)).toBe(2);
  expect(census(world)).toMatchObject({ live: 3, ended: 1 });
});

test("a relapse within a day is not rebooted away", async () => {
  const world = await openLadder(() => true);
  const [sick = ""] = world.serving();
  world.xid(sick, 48);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  await world.advance(() => world.serving().length === 3, HOUR_MS);
  world.xid(sick, 48);
  const gone = (): boolean =>
    world.nodes().every((node) => node.id !== sick) && world.serving().length === 3;
  expect(await world.advance(gone, 2 * HOUR_MS)).toBe(true);
  expect(reboots(world)).toBe(1);
});

test("a reboot whose answer is lost is not asked for again while the machine comes up", async () => {
  const world = await openLadder(() => true);
  const [sick = ""] = world.serving();
  const reboot = world.cloud.reboot?.bind(world.cloud);
  let asked = 0;
  world.cloud.reboot = async (id, fence) => {
    asked++;
    await reboot?.(id, fence);
    return { kind: "ambiguous", message: "the answer was lost" };
  };
  world.xid(sick, 48);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  expect(await world.advance(() => world.serving().length === 3, HOUR_MS)).toBe(true);
  expect(asked).toBe(1);
  expect(reboots(world)).toBe(1);
});

test("a machine that never comes back from its reboot is replaced", async () => {
  const world = await openLadder(() => true);
  const [sick = ""] = world.serving();
  world.xid(sick, 48);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  world.agent(sick).quiet = true;
  const ids = (): string[] => world.nodes().map((node): string => node.id);
  await world.advance(() => !ids().includes(sick), 3 * HOUR_MS);
  expect(world.node(sick).phase.kind).not.toBe("serving");
  expect(reboots(world)).toBeLessThanOrEqual(2);
});

test("a reboot that was asked for and not made is not made after a person took the node back", async () => {
  const world = await openLadder(() => true);
  const [sick = ""] = world.serving();
  const reboot = world.cloud.reboot?.bind(world.cloud);
  let asked = 0;
  world.cloud.reboot = async () => {
    asked++;
    return { kind: "refused", class: "rate_limit", message: "later", retryAfterMs: 60_000 };
  };
  world.xid(sick, 48);
  expect(await world.advance(() => asked > 0, HOUR_MS)).toBe(true);
  await order(world, sick, "uncordon", { force: true });
  if (reboot !== undefined) world.cloud.reboot = reboot;
  await world.advance(() => false, 10 * 60_000);
  expect(reboots(world)).toBe(0);
  expect(world.node(sick)).toMatchObject({ phase: { kind: "serving" }, operation: null });
});
