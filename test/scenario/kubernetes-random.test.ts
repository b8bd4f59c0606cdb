/**
 * People and faults at random, for hours of a fleet in a cluster: no person's cordon is lifted, no
 * mark is fought over, and when it is over everything comes to rest.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { drawSeed } from "../seed.ts";
import { Season } from "../world/people.ts";
import { closeWorlds } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(240_000);

/** Some four minutes each, on average. */
const STEPS = 20;

/** What went wrong, with all that had happened; empty = nothing. */
async function play(seed: number, steps: number): Promise<string> {
  const season = await Season.open(seed, 4);
  for (let i = 0; i < steps && season.wrong.length === 0; i++) await season.step();
  if (season.wrong.length === 0) await season.rest();
  await closeWorlds();
  const { wrong, told } = season;
  return wrong.length === 0 ? "" : `seed ${seed}\n${told.join("\n")}\n${wrong.join("\n")}`;
}

// The second one drains a node, cordons it with navarch, and has its Node deleted and recreated.
test.each([2, 24])("people and faults at random (seed %d)", async (seed) => {
  expect(await play(seed, seed === 24 ? 60 : STEPS)).toBe("");
});

test("people and faults at random (drawn seed)", async () => {
  // KUBERNETES_SEEDS=100 for more of them, FUZZ_SEED for a certain one.
  const first = drawSeed();
  const count = Number(process.env["KUBERNETES_SEEDS"] ?? 1);
  console.log(`seasons in a cluster: seed ${first}`);
  for (let i = 0; i < count; i++) expect(await play(first + i, STEPS)).toBe("");
});
