/**
 * A pool that opted into the ladder: a fault that a reboot cures costs no machine, one that it does
 * not cure is replaced, and nothing is rebooted for ever.
 */
import { waitMs } from "../../schema/millis.ts";
import { afterEach, expect, test } from "bun:test";
import type { World } from "../world/world.ts";
import { logXid } from "../world/agent.ts";
import { BASE } from "../world/setting.ts";
import { counts, closeWorlds, open, order, watchEnds } from "../world/story.ts";

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

/** Nobody wrote a ladder, and somebody wrote that there is none but replacement. */
const UNASKED = LADDER.replace(/ {4}repair: .*\n/, "");
const NO_REBOOT = LADDER.replace("[gpu-reset, reboot, replace]", "[replace]");

const HOUR_MS = 3_600_000;

/** The fabric manager of a machine is gone: its GPUs are not in their fabric any more. */
function loseFabric(world: World, id: string): void {
  const agent = world.agent(id);
  for (const [gpu, uuid] of agent.uuids.entries()) {
    logXid(agent, 0, gpu, world.clock.wallMs());
    const row = agent.spool.at(-1);
    if (row === undefined) throw new Error("nothing was logged");
    const fabric = { kind: "nvlink", reason: "fabric_status", severity: "serious" } as const;
    const message = `GPU ${gpu}: joining the fabric ended with 999`;
    row.finding = { ...row.finding, ...fabric, code: null, message, metrics: {} };
    agent.active.push(`nvlink/fabric_status/${uuid}`);
  }
}

/** Machines come up again after a reboot as their cloud says; `cured` decides what is left. */
async function openLadder(cured: (id: string) => boolean, yaml = LADDER): Promise<World> {
  const world = await open(yaml, { store: "memory" });
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
      if (!cured(id) && yaml === LADDER) world.xid(id, 48);
      else if (!cured(id)) loseFabric(world, id);
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
  expect(counts(world)).toMatchObject({ live: 3, ended: 1 });
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
    return { kind: "refused", class: "rate_limit", message: "later", retryAfterMs: waitMs(60_000) };
  };
  world.xid(sick, 48);
  expect(await world.advance(() => asked > 0, HOUR_MS)).toBe(true);
  await order(world, sick, "uncordon", { force: true });
  if (reboot !== undefined) world.cloud.reboot = reboot;
  await world.advance(() => false, 10 * 60_000);
  expect(reboots(world)).toBe(0);
  expect(world.node(sick)).toMatchObject({ phase: { kind: "serving" }, operation: null });
});

test("a fabric that needs its manager started costs one reboot, also where nobody wrote a ladder", async () => {
  const world = await openLadder(() => true, UNASKED);
  const ends = watchEnds(world);
  const [sick = ""] = world.serving();
  loseFabric(world, sick);
  await world.advance(() => world.node(sick).phase.kind === "repairing", HOUR_MS);
  expect(await world.advance(() => world.serving().length === 3, HOUR_MS)).toBe(true);
  expect(world.node(sick)).toMatchObject({ session: null, cordon: { product: null } });
  expect([ends, reboots(world)]).toEqual([[], 1]);
  expect(counts(world)).toMatchObject({ live: 3, ended: 0 });
});

test("a fabric that one reboot does not cure is replaced", async () => {
  const world = await openLadder(() => false, UNASKED);
  const [sick = ""] = world.serving();
  loseFabric(world, sick);
  const gone = (): boolean =>
    world.nodes().every((node) => node.id !== sick) && world.serving().length === 3;
  expect(await world.advance(gone, 2 * HOUR_MS)).toBe(true);
  expect(reboots(world)).toBe(1);
});

test.each([
  ["a fault of the fabric beside another one", UNASKED, 48],
  ["a fault of the fabric where the ladder is replacement alone", NO_REBOOT, null],
])("%s is replaced without a reboot", async (_what, yaml, xid) => {
  const world = await openLadder(() => true, yaml);
  const [sick = ""] = world.serving();
  loseFabric(world, sick);
  if (xid !== null) world.xid(sick, xid);
  const gone = (): boolean =>
    world.nodes().every((node) => node.id !== sick) && world.serving().length === 3;
  expect(await world.advance(gone, 2 * HOUR_MS)).toBe(true);
  expect(reboots(world)).toBe(0);
});
