/**
 * Random interleavings of a person and the product on the cordon of Nodes of a real API server.
 * Not a test by itself: `bun run test/real/kubernetes/interleaving.ts --count 10000` takes minutes.
 * Ends with 0 only if no cordon of a person was lifted, no uncordon was fought and nothing of ours
 * was left behind.
 */
import { parseArgs } from "node:util";
import { whyNoCluster } from "./binary.ts";
import { openCluster } from "./cluster.ts";
import { playMany } from "./cordon-ground.ts";

const AT_ONCE = 16;

function wholeNumber(name: string, text: string | undefined, fallback: number): number {
  const value = Number(text ?? fallback);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} ${text}: expected a whole number from 1`);
}

const string = { type: "string" } as const;
const { values, positionals } = parseArgs({
  options: { count: string, seed: string, figures: string },
  allowPositionals: true,
});
const count = wholeNumber("count", values.count ?? positionals[0], 10_000);
const seed = wholeNumber("seed", values.seed, 20_261_121);
const missing = await whyNoCluster();
if (missing !== null) throw new Error(missing);
// The controllers stay: their taint is one more writer that a cordon races with.
const cluster = await openCluster({ parts: { scheduler: false, kwok: false } });
let status = 1;
try {
  const startedMs = performance.now();
  const tally = await playMany(cluster, {
    count,
    seed,
    atOnce: AT_ONCE,
    told: ({ stories }) => {
      if (stories % 1_000 === 0) console.error(`${stories} of ${count}`);
    },
  });
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
  const { lifted, fights, stuck, ...counts } = tally;
  const bad = { lifted: lifted.length, fights: fights.length, stuck: stuck.length };
  for (const [what, lines] of Object.entries({ lifted, fights, stuck }))
    for (const line of lines.slice(0, 10)) console.log(`${what}: ${line}`);
  console.log(`interleavings: ${tally.stories} (seed ${seed}), ${tally.steps} steps`);
  console.log(`writes of the product: ${tally.writes}; refused by the server: ${tally.conflicts}`);
  console.log(`human cordons lifted: ${bad.lifted}; outlived a release: ${tally.spared}`);
  console.log(`fights: ${bad.fights}; own cordons left behind: ${bad.stuck}`);
  console.log(`time: ${seconds} s`);
  if (values.figures !== undefined)
    await Bun.write(values.figures, JSON.stringify({ ...counts, ...bad, seed, seconds }));
  status = Object.values(bad).every((n) => n === 0) && tally.stories === count ? 0 : 1;
} finally {
  const left = await cluster.close();
  if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
}
process.exit(status);
