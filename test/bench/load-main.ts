/**
 * The load generator: N agents, each one WebSocket (or POSTs), reporting at a fixed pace whatever
 * the server does. Each line of standard input is a window; its result is a line on standard
 * output, as is the news that all agents have registered. Adapter: network, clock, files.
 */
import * as v from "valibot";
import { Lateness } from "./lateness.ts";
import { LoadAgent, newTally } from "./load-agent.ts";
import { type LoadLine, LoadOrder, type LoadResult, LoadWindow } from "./load.ts";

/** Connections and registrations under way at once: a rolling restart, not a flood. */
const AT_ONCE = 64;
/** Replies may be this late at the end before they count as lost. */
const REPLY_MS_MAX = 10_000;

const order = v.parse(LoadOrder, await Bun.file(process.argv[2] ?? "").json());
const isStream = order.transport === "stream";
const lateness = new Lateness();
const tally = newTally(() => lateness.isLate());
const agents = order.tokens.map((token, index) => {
  const { url, checkEvery } = order;
  return new LoadAgent(index, { url, token, name: `load-${index}`, checkEvery, tally });
});
/** Reports so far: each window goes on where the one before has ended. */
let reports = 0;

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

/** Sends every agent's reports on time: agent i at i/N of the period. */
async function pace({ forMs, findingEvery }: LoadWindow): Promise<number[]> {
  const lags: number[] = [];
  const startMs = performance.now();
  const stepMs = order.everyMs / agents.length;
  for (let n = 0; n * stepMs < forMs; n++) {
    const dueMs = startMs + n * stepMs;
    const waitMs = dueMs - performance.now();
    // Timers of a millisecond: several reports may share one wake-up, and the lag shows it.
    if (waitMs > 0) await Bun.sleep(waitMs);
    lags.push(Math.max(0, performance.now() - dueMs));
    const agent = agents[reports % agents.length];
    const says = findingEvery !== null && n % findingEvery === 0;
    reports++;
    if (isStream) agent?.next(says);
    else void agent?.post(says);
  }
  return lags;
}

async function measure(window: LoadWindow): Promise<LoadResult> {
  tally.begin();
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const lags = await pace(window);
  tally.measuring = false;
  const used = process.cpuUsage(cpu);
  const cpuPercent = (used.user + used.system) / 10 / (performance.now() - startMs);
  const untilMs = performance.now() + REPLY_MS_MAX;
  while (tally.answered + tally.errors.length < tally.sent && performance.now() < untilMs) {
    await Bun.sleep(10);
  }
  const { latencies, undisturbed, sent, answered, findingsSent, findingsAcknowledged } = tally;
  const reportBytes = tally.reportBytes / Math.max(1, sent);
  const figures = { sent, answered, findingsSent, findingsAcknowledged, cpuPercent, reportBytes };
  return { latencies, undisturbed, lags, errors: tally.errors.splice(0), ...figures };
}

const registerMs = performance.now();
if (isStream) {
  await each((agent) => agent.connect());
  await each((agent) => agent.register());
} else {
  await each((agent) => agent.post(false));
}
say({ kind: "registered", ms: performance.now() - registerMs });
for await (const line of console) {
  say({ kind: "window", result: await measure(v.parse(LoadWindow, JSON.parse(line))) });
}
for (const agent of agents) agent.close();
lateness.close();
