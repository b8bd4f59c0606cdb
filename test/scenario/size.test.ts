/** Sizes that people give: what could not be written is not acted upon. */
import { afterEach, expect, test } from "bun:test";
import { breakStore, counts, closeWorlds, fleet, resize, threshold } from "../world/story.ts";

afterEach(closeWorlds);

test("a size whose write failed buys nothing, then or later", async () => {
  const world = await fleet(2, threshold(1));
  const asks = counts(world).asks;
  const store = breakStore(world);
  await expect(resize(world, 5)).rejects.toThrow("SQLITE_FULL");
  store.down = false;
  await world.live(120);
  expect(counts(world)).toMatchObject({ live: 2, asks });
  expect([...world.reconciler.fleet().pools.values()].map(({ desired }) => desired)).toEqual([2]);
});

test("a smaller size whose write failed ends nothing, then or later", async () => {
  const world = await fleet(3, threshold(1));
  const store = breakStore(world);
  await expect(resize(world, 1)).rejects.toThrow("SQLITE_FULL");
  store.down = false;
  await world.live(120);
  expect(counts(world)).toMatchObject({ live: 3, ended: 0 });
});
