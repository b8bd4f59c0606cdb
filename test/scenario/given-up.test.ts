/**
 * A pool that becomes smaller while one of its nodes leaves to be replaced: that node's place is
 * the one to give up. Nobody else has to go for it, and nothing is bought for it any more.
 */
import { afterEach, expect, test } from "bun:test";
import {
  counts,
  closeWorlds,
  fleet,
  phaseOf,
  resize,
  surge,
  threshold,
  wrongs,
} from "../world/story.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

/** Three busy nodes, the first of which is emptied because of a fault. */
async function emptied(extra: string): Promise<{ w: World; sick: string; well: string[] }> {
  const w = await fleet(3, extra, { store: "memory" });
  const [sick = "", ...well] = w.serving();
  for (const id of [sick, ...well]) w.agent(id).processes = 1;
  w.xid(sick, 79);
  await w.until(() => phaseOf(w, sick) === "draining", 300);
  return { w, sick, well };
}

test.each([
  ["with its replacement in service beside it", surge(1), 4],
  ["before it is replaced", threshold(1), 3],
])("one that leaves %s gives its place up, and no other goes", async (_, extra, asks) => {
  const { w, sick, well } = await emptied(extra);
  expect(counts(w).asks).toBe(asks);
  await resize(w, 2);
  await w.live(120);
  expect(w.serving().toSorted()).toEqual(well.toSorted());
  // Work on it is still given its time.
  expect(phaseOf(w, sick)).toBe("draining");
  w.agent(sick).processes = 0;
  await w.live(120);
  expect(w.serving().toSorted()).toEqual(well.toSorted());
  expect(counts(w)).toEqual({ live: 2, ended: asks - 2, asks });
  // Whose place nobody wants is known all the same, should its hardware come back.
  expect([...w.reconciler.fleet().facts.keys()].some((key) => key.startsWith("lemon:"))).toBe(true);
  expect(wrongs(w)).toEqual([]);
});

test("one that grows again meanwhile is filled again", async () => {
  const { w, sick } = await emptied(threshold(1));
  await resize(w, 2);
  await w.live(10);
  await resize(w, 3);
  w.agent(sick).processes = 0;
  await w.until(() => w.serving().length === 3, 120);
  expect(counts(w)).toMatchObject({ live: 3, asks: 4 });
});
