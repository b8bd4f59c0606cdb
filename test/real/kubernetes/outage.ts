/**
 * The API server of a real cluster is away for ten minutes in the middle of a drain whose time is
 * over long before. Not a test by itself: `bun run test/real/kubernetes/outage.ts --minutes 10`
 * takes eleven. Ends with 0 only if the control plane told that it was blind, ended no machine
 * meanwhile, went on when the server was back, and evicted nobody twice.
 */
import { parseArgs } from "node:util";
import { buildStale } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "./binary.ts";
import { Ground } from "./trouble-ground.ts";
import { playOutage } from "./trouble-outage.ts";

/** Of the drain: a fifth of the outage, so that it is over for most of it. */
const DRAIN_SHARE = 0.2;

const string = { type: "string" } as const;
const { values } = parseArgs({ options: { minutes: string, figures: string } });
const minutes = Number(values.minutes ?? 10);
if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes}: expected a number above 0`);
const missing = await whyNoCluster();
if (missing !== null) throw new Error(missing);
await buildStale();
const ground = await Ground.open();
let status = 1;
try {
  const awayMs = minutes * 60_000;
  const drainMs = Math.round((awayMs * DRAIN_SHARE) / 1_000) * 1_000;
  const told = (line: string): void => console.log(line);
  const { broken, ...counts } = await playOutage(ground, { awayMs, drainMs, told });
  for (const line of broken) console.log(`broken: ${line}`);
  const figures = { awayMs, drainMs, ...counts, broken: broken.length };
  console.log(JSON.stringify(figures));
  if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures));
  status = broken.length === 0 && counts.resumedMs > 0 ? 0 : 1;
} finally {
  const left = await ground.close();
  if (left.length > 0) console.error(`left behind: ${left.join(", ")}`);
}
process.exit(status);
