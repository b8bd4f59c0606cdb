/**
 * The honest agents: N of them, one WebSocket each, reporting at a fixed pace whatever the server
 * does. A line `MILLISECONDS` on standard input measures that long; its figures are one line of
 * JSON on standard output, as is `{}` when all have registered.
 */
import * as v from "valibot";
import { spreadOf } from "../bench/bench.ts";
import { LoadAgent, type Tally } from "../bench/load-agent.ts";
import { HonestOrder, type HonestWindow } from "./order.ts";

/** Connections and registrations under way at once. */
const AT_ONCE = 64;
/** One report in this many carries a finding. */
const FINDING_EVERY = 50;
const REPLY_MS_MAX = 10_000;

const order = v.parse(HonestOrder, await Bun.file(process.argv[2] ?? "").json());
const tally: Tally = {
  latencies: [],
  sent: 0,
  answered: 0,
  errors: [],
  findingsSent: 0,
  findingsAcknowledged: 0,
  reportBytes: 0,
  measuring: false,
};
let lags: number[] = [];
const agents = order.tokens.map((token, index) => {
  return new LoadAgent(index, {
    url: order.url,
    token,
    name: `load-${index}`,
    checkEvery: 6,
    tally,
  });
});

async function each(work: (agent: LoadAgent) => Promise<void>): Promise<void> {
  const left = agents.values();
  const lane = async (): Promise<void> => {
    for (const agent of left) await work(agent);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/** For ever: agent i at i/N of the period. */
async function pace(): Promise<never> {
  const stepMs = order.everyMs / agents.length;
  const startMs = performance.now();
  for (let n = 0; ; n++) {
    const dueMs = startMs + n * stepMs;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    if (tally.measuring) lags.push(Math.max(0, performance.now() - dueMs));
    agents[n % agents.length]?.next(n % FINDING_EVERY === 0);
  }
}

async function measure(forMs: number): Promise<HonestWindow> {
  // Connections that broke since the last window are part of this one.
  Object.assign(tally, { latencies: [], sent: 0, answered: 0 });
  Object.assign(tally, { findingsSent: 0, findingsAcknowledged: 0, measuring: true });
  lags = [];
  await Bun.sleep(forMs);
  tally.measuring = false;
  const untilMs = performance.now() + REPLY_MS_MAX;
  while (tally.answered < tally.sent && performance.now() < untilMs) await Bun.sleep(10);
  const { p50, p99 } = spreadOf(tally.latencies);
  return {
    p50,
    p99,
    reports: tally.sent,
    unanswered: tally.sent - tally.answered,
    findings: tally.findingsSent,
    unacknowledged: tally.findingsSent - tally.findingsAcknowledged,
    errors: tally.errors.splice(0).slice(0, 5),
    lagP99: spreadOf(lags).p99,
  };
}

await each((agent) => agent.connect());
await each((agent) => agent.register());
console.log("{}");
void pace();
for await (const line of console) console.log(JSON.stringify(await measure(Number(line))));
process.exit(0);
