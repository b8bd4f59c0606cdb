/**
 * The load generator: N agents, each one WebSocket (or POSTs), reporting at a fixed pace whatever
 * the server does. It tells its stages and its result as lines of JSON on standard output.
 * Adapter: network, clock, files.
 */
import * as v from "valibot";
import { LoadAgent, type Tally } from "./load-agent.ts";
import { LoadOrder, type LoadLine } from "./load.ts";

/** Connections and registrations under way at once: a rolling restart, not a flood. */
const AT_ONCE = 64;
/** One agent in this many reports a finding during the window. */
const FINDING_EVERY = 100;
/** Replies may be this late at the end before they count as lost. */
const REPLY_MS_MAX = 5_000;

const order = v.parse(LoadOrder, await Bun.file(process.argv[2] ?? "").json());
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
const agents = order.tokens.slice(0, order.agents).map((token, index) => {
  const { url, checkEvery } = order;
  return new LoadAgent(index, { url, token, name: `load-${index}`, checkEvery, tally });
});
const isStream = order.transport === "stream";

function say(line: LoadLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Does `work` for every agent, a few at a time. */
async function each(work: (agent: LoadAgent) => Promise<void>): Promise<void> {
  const left = agents.values();
  const lane = async (): Promise<void> => {
    for (const agent of left) await work(agent);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/**
 * Sends every agent's reports on time for `forMs`: agent i at i/N of the period. Returns by how
 * much each send was late.
 */
async function pace(forMs: number, finding: (index: number, round: number) => boolean) {
  const lags: number[] = [];
  const startMs = performance.now();
  const stepMs = order.everyMs / agents.length;
  for (let n = 0; n * stepMs < forMs; n++) {
    const dueMs = startMs + n * stepMs;
    const waitMs = dueMs - performance.now();
    // Timers of a millisecond: several reports may share one wake-up, and the lag shows it.
    if (waitMs > 0) await Bun.sleep(waitMs);
    lags.push(Math.max(0, performance.now() - dueMs));
    const index = n % agents.length;
    const says = finding(index, Math.floor(n / agents.length));
    if (isStream) agents[index]?.next(says);
    else void agents[index]?.post(says);
  }
  return lags;
}

const registerMs = performance.now();
if (isStream) {
  await each((agent) => agent.connect());
  await each((agent) => agent.register());
} else {
  await each((agent) => agent.post(false));
}
const registeredMs = performance.now() - registerMs;
say({ stage: "registered" });

await pace(order.warmMs, () => false);
tally.measuring = true;
say({ stage: "measuring" });
const cpu = process.cpuUsage();
const windowMs = performance.now();
// Spread over the first round, so that every run has all of them.
const lags = await pace(order.measureMs, (index, round) => {
  return round === 0 && index % FINDING_EVERY === 0;
});
tally.measuring = false;
const used = process.cpuUsage(cpu);
const cpuPercent = (used.user + used.system) / 10 / (performance.now() - windowMs);
say({ stage: "measured" });
const untilMs = performance.now() + REPLY_MS_MAX;
while (tally.answered + tally.errors.length < tally.sent && performance.now() < untilMs) {
  await Bun.sleep(10);
}
await Bun.sleep(order.restMs);
say({
  stage: "done",
  result: {
    registerMs: registeredMs,
    latencies: tally.latencies,
    lags,
    sent: tally.sent,
    answered: tally.answered,
    errors: tally.errors,
    findingsSent: tally.findingsSent,
    findingsAcknowledged: tally.findingsAcknowledged,
    cpuPercent,
    reportBytes: tally.reportBytes / Math.max(1, tally.sent),
  },
});
for (const agent of agents) agent.close();
