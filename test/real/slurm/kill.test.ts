/**
 * A slice of `npm run once -- slurm-kills`: the control plane of a repair in a real Slurm and a
 * real API server is killed by SIGKILL at some of its writes and calls, spread over the repair.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { seeded } from "../../../simulator/engine/random.ts";
import { buildStale } from "../../fixture/plane/plane.ts";
import { drawSeed } from "../../seed.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { Bed, type Tried } from "./kill/bed.ts";
import { type Case, catalogOf, spread, withMeanwhile } from "./kill/case.ts";
import { missesSlurm } from "./package.ts";

const isMissing =
  (await missesSlurm("SIGKILL in both schedulers")) || (await whyNoCluster()) !== null;
setDefaultTimeout(400_000);

let bed: Bed;
beforeAll(async () => {
  if (isMissing) return;
  await buildStale();
  bed = await Bed.open(2);
});
afterAll(async () => {
  if (!isMissing) expect(await bed.close()).toEqual([]);
});

test.skipIf(isMissing)("A5: a kill -9 in the repair of both sinks costs nothing", async () => {
  const { each, underWay, looks } = catalogOf(await bed.reference());
  const random = seeded(drawSeed());
  const some = (cases: readonly Case[], count: number): Case[] => spread(cases, count, random());
  const effects = [...each, ...underWay];
  const cases = [
    ...[...some(each, 3), ...some(underWay, 2), ...some(looks, 1)],
    ...withMeanwhile(some(effects, 2), "person"),
    ...withMeanwhile(some(effects, 1), "job"),
    ...withMeanwhile(some(effects, 1), "controller"),
  ];
  const tried = await bed.tryAll(cases, () => undefined);
  expect(tried.filter(({ wrongs }) => wrongs.length > 0)).toEqual([]);
  expect(tried).toHaveLength(10);
  // A repair may have a few points less than the one that the cases come from.
  const died = tried.filter(({ died: deaths }: Tried) => deaths.length > 0);
  expect(died.length).toBeGreaterThanOrEqual(7);
});
