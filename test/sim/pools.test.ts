/**
 * AgentPools in trouble, from seeds: pods fail, vanish and are edited, the API server refuses, loses
 * and delays, people delete pools and make them again, agents fall silent, leaders die and freeze.
 */
import { expect, test } from "bun:test";
import { drawSeed } from "../seed.ts";
import { drawPoolFaults } from "./pools/fault.ts";
import { type PoolTold, tellPools } from "./pools/story.ts";

const HOURS = 2;
const TROUBLES = 60;

async function tell(seed: number, planes: 1 | 2): Promise<PoolTold> {
  const dials = { hours: HOURS, troublesPerHour: TROUBLES, planes };
  const told = await tellPools({ seed, pools: 3, hours: HOURS }, drawPoolFaults(seed, dials));
  const where = `--agentpools 3 --planes ${planes} --seed ${seed}`;
  const command = `npm run sim -- ${where} --hours ${HOURS} --troubles ${TROUBLES}`;
  const broken = told.broken.map(({ rule, message }) => `${rule}: ${message} (${command})`);
  expect(broken.slice(0, 3)).toEqual([]);
  return told;
}

test.each([
  [1, 2],
  [2, 2],
  [3, 1],
] as const)(
  "pools, seed %d, control planes %d: every promise is kept",
  async (seed, planes) => {
    const told = await tell(seed, planes);
    expect(told.totals.placed).toBeGreaterThan(50);
    expect(told.totals.lost).toBeGreaterThan(0);
    expect(told.crashes).toBeGreaterThan(1);
    if (planes === 2) expect(told.freezes).toBeGreaterThan(1);
  },
  120_000,
);

test("pools of a drawn seed", async () => {
  const seed = drawSeed();
  process.stdout.write(`pools: seed ${seed}\n`);
  await tell(seed, 2);
}, 120_000);

test("one seed tells one story", async () => {
  const faults = drawPoolFaults(7, { hours: 0.5, troublesPerHour: TROUBLES, planes: 2 });
  const shape = { seed: 7, pools: 2, hours: 0.5 };
  const [a, b] = [await tellPools(shape, faults), await tellPools(shape, faults)];
  expect(a.lines).toEqual(b.lines);
  expect(a.lines.length).toBeGreaterThan(100);
}, 120_000);
