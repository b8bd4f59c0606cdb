/** The population's process, see `population.ts`. Adapter: network, clock. */
import { PopulationAgent } from "./population-agent.ts";
import type { PopulationAnswer, PopulationOrder, PopulationSettings } from "./population.ts";
import { answerOrders } from "./talker.ts";

/** Registrations under way at once: a rolling start, not a flood. */
const AT_ONCE = 32;
const ERRORS_MAX = 20;

const settings = JSON.parse(process.argv[2] ?? "") as PopulationSettings;
const agents = new Map<string, PopulationAgent>();
const errors: string[] = [];
let reports = 0;

const failed = (why: string): void => {
  if (errors.length < ERRORS_MAX) errors.push(why);
};

async function add(wanted: { name: string; token: string }[]): Promise<void> {
  const left = wanted.values();
  const lane = async (): Promise<void> => {
    for (const { name, token } of left) {
      const agent = new PopulationAgent(agents.size, { url: settings.url, token, name, failed });
      agents.set(name, agent);
      await agent.open().catch((error: unknown) => failed(String(error)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/** Every agent in its turn, each once in the period. */
async function pace(): Promise<void> {
  const startMs = performance.now();
  for (let round = 0; ; round++) {
    for (const [i, agent] of [...agents.values()].entries()) {
      const dueMs = startMs + settings.everyMs * (round + i / agents.size);
      const waitMs = dueMs - performance.now();
      if (waitMs > 1) await Bun.sleep(waitMs);
      agent.report();
      reports++;
    }
    const restMs = startMs + settings.everyMs * (round + 1) - performance.now();
    await Bun.sleep(Math.max(1, restMs));
  }
}

async function fault(
  order: Extract<PopulationOrder, { do: "fault" }>,
): Promise<Partial<PopulationAnswer>> {
  const sent: Record<string, number> = {};
  let lagMs = 0;
  const startMs = performance.now();
  for (const [i, name] of order.names.entries()) {
    const dueMs = startMs + (order.withinMs * i) / order.names.length;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
    lagMs = Math.max(lagMs, performance.now() - dueMs);
    const agent = agents.get(name);
    if (agent === undefined) throw new Error(`no agent ${name}`);
    sent[name] = agent.fail(order.xid);
  }
  return { sent, lagMs };
}

void pace();
await answerOrders(async (raw) => {
  const order = raw as PopulationOrder;
  let more: Partial<PopulationAnswer> = {};
  if (order.do === "add") await add(order.agents);
  if (order.do === "fault") more = await fault(order);
  return { agents: agents.size, reports, errors, lagMs: 0, sent: {}, ...more };
});
process.exit(0);
