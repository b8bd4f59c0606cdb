/** Work that comes to a drained node which a hold kept: without a scheduler nothing keeps it off. */
import { afterEach, expect, test } from "bun:test";
import { closeWorlds, fleet, phaseOf, threshold, told, watchEnds } from "../world/story.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

async function hold(world: World, isHeld: boolean): Promise<void> {
  await world.reconciler.change((draft) => {
    const pool = [...world.reconciler.fleet().pools.values()].find(({ name }) => name === "p");
    const until = world.clock.wallMs() + 86_400_000;
    const held = isHeld ? { by: "ann", why: "looking", until } : null;
    if (pool !== undefined) draft.putPool({ ...pool, hold: held });
  });
}

const isDrained = (world: World, id: string): boolean => {
  const { phase } = world.node(id);
  return phase.kind === "draining" && phase.drainedAt !== null;
};

test("a process that began after the drain keeps its machine until it ends", async () => {
  const world = await fleet(2, threshold(1));
  const [sick = ""] = world.serving();
  world.agent(sick).processes = 1;
  await world.live(30);
  world.xid(sick, 79);
  await world.until(() => phaseOf(world, sick) === "draining", 300);
  await hold(world, true);
  world.agent(sick).processes = 0;
  await world.until(() => isDrained(world, sick), 120);
  const ends = watchEnds(world);
  world.agent(sick).processes = 1;
  await world.live(120);
  expect([phaseOf(world, sick), isDrained(world, sick), ends]).toEqual(["draining", false, []]);
  expect(
    told(world, "node.draining").some(({ message }) =>
      message.includes("came after it was drained"),
    ),
  ).toBeTrue();
  await hold(world, false);
  await world.live(20);
  expect(ends).toEqual([]);
  world.agent(sick).processes = 0;
  await world.until(() => ends.length === 1, 300);
});
