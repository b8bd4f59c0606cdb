/**
 * People, jobs and faults at random, for hours of a fleet in Slurm, alone and beside Kubernetes: no
 * drain of others is touched, no job is cut off, and when it is over nothing stays drained.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { drawSeed } from "../seed.ts";
import { SlurmSeason } from "../world/slurm/season.ts";
import { closeWorlds } from "../world/story.ts";

afterEach(closeWorlds);
setDefaultTimeout(240_000);

const STEPS = 40;

/** What went wrong, with all that had happened; empty = nothing. */
async function play(seed: number, isBoth: boolean): Promise<string> {
  const season = await SlurmSeason.open(seed, isBoth);
  for (let i = 0; i < STEPS && season.wrong.length === 0; i++) await season.step();
  if (season.wrong.length === 0) await season.rest();
  await closeWorlds();
  const { wrong, told } = season;
  return wrong.length === 0 ? "" : `seed ${seed}\n${told.join("\n")}\n${wrong.join("\n")}`;
}

test.each([
  ["Slurm alone", false],
  ["Slurm and Kubernetes", true],
])("people, jobs and faults at random in %s", async (_name, isBoth) => {
  // SLURM_SEEDS=100 for more of them, FUZZ_SEED for a certain one.
  const first = drawSeed();
  const count = Number(process.env["SLURM_SEEDS"] ?? 2);
  console.log(`seasons in Slurm: seed ${first}`);
  for (let i = 0; i < count; i++) expect(await play(first + i, isBoth)).toBe("");
});
