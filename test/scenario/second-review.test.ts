/**
 * What a second review found by living through it: a reboot that was forgotten by what counts
 * repairs, and an order that took over a repair without its purpose. Neither held when it was
 * written.
 */
import { afterEach, expect, test } from "bun:test";
import { factsOf } from "../../schema/safety.ts";
import { BASE } from "../world/setting.ts";
import type { World } from "../world/world.ts";
import { closeWorlds, open, order } from "../world/story.ts";

afterEach(closeWorlds);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const ladder = (size: number): string => `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 10} }
    health: { unhealthy_threshold: 1 }
    repair: { ladder: [reboot, replace] }
`;

/** Machines that are silent for four minutes when they reboot, and well after it. */
async function openLadder(size: number): Promise<World> {
  const world = await open(ladder(size), { store: "memory" });
  const reboot = world.cloud.reboot?.bind(world.cloud);
  if (reboot === undefined) throw new Error("this cloud does not reboot");
  world.cloud.reboot = async (id, fence) => {
    const agent = world.agent(fence.nodeId);
    agent.quiet = true;
    world.clock.after(4 * MINUTE_MS, () => {
      Object.assign(agent, { quiet: false, active: [], boot: agent.boot + 1 });
    });
    return reboot(id, fence);
  };
  expect(await world.advance(() => world.serving().length === size, HOUR_MS)).toBe(true);
  return world;
}

test("a batch of reboots that cured passes like a batch of replacements", async () => {
  const world = await openLadder(30);
  const sick = world.serving().slice(0, 24);
  for (const id of sick) world.xid(id, 48);
  const breaker = () =>
    factsOf(world.reconciler.fleet().facts, "breaker").find((one) => one.scope === "pool:p");
  expect(await world.advance(() => breaker()?.state === "half-open", 3 * HOUR_MS)).toBe(true);
  const goesOn = (): boolean => (breaker()?.batch ?? 2) > 1;
  expect(await world.advance(goesOn, 20 * MINUTE_MS)).toBe(true);
  expect(sick.some((id) => world.node(id).session !== null)).toBe(true);
}, 60_000);

test("a forced replacement of a node that is emptied for its reboot is told to its end", async () => {
  const world = await openLadder(3);
  const [sick = ""] = world.serving();
  world.agent(sick).processes = 1;
  world.xid(sick, 48);
  await world.advance(() => world.node(sick).phase.kind === "draining", HOUR_MS);
  await order(world, sick, "replace", { force: true });
  expect(world.node(sick).phase).toMatchObject({ kind: "terminating", purpose: "replace" });
  await world.advance(() => world.serving().length === 3, HOUR_MS);
  expect(world.story(sick)).toContain("node.replaced");
});
