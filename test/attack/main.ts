/**
 * Each attack of `order.ts` beside honest agents, on a leader and on a standby: what it does to
 * the latency of honest reports, to the control plane's memory and to honest findings. Every round
 * measures a quiet window right before each attack, so that what else the machine does is in both;
 * the median of the rounds' ratios counts. Replies that waited for the generator's own turn are
 * left out of the latencies, and counted (`../bench/lateness.ts`). Not a test by itself:
 * `bun run test/attack/main.ts --agents 10000 --seconds 10 --rounds 3`. Ends with 0 only if every
 * attack holds.
 */
import { parseArgs } from "node:util";
import { spreadOf } from "../bench/bench.ts";
import type { Load, LoadResult } from "../bench/load.ts";
import { buildStale } from "../fixture/plane/plane.ts";
import { whyNoSqld } from "../fixture/plane/sqld.ts";
import { type Attack, ATTACKS, type AttackResult } from "./order.ts";
import { memoryMax, openHonest, type Role, runAttack, World } from "./world.ts";

/** Ingest's p99 under attack, by its quiet value. */
const RATIO_MAX = 2;
/** Below it a ratio says more about timers than about the control plane. */
const FLOOR_MS = 5;
/** No verdict where the generator was late to take more of the replies than this. */
const DISTURBED_MAX = 0.5;
/** One honest report in this many carries a finding. */
const FINDING_EVERY = 50;
const CONNECTIONS: Record<Attack, number> = {
  "guessed-bodies": 1_500,
  "slow-bodies": 1_500,
  sockets: 600,
  rows: 8,
  series: 4,
};

type Options = {
  agents: number;
  /** Of the standby, whose database is a server beside it. */
  standbyAgents: number;
  seconds: number;
  rounds: number;
  everyMs: number;
  roles: Role[];
  attacks: Attack[];
  figures: string | null;
};

function readOptions(): Options {
  const text = { type: "string" } as const;
  const names = ["agents", "standby-agents", "seconds", "rounds", "every-ms"] as const;
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(names.map((name) => [name, text])),
      role: text,
      attack: text,
      figures: text,
    },
  });
  const given: Record<string, unknown> = values;
  const number = (name: (typeof names)[number], usual: number): number => {
    const value = Number(given[name] ?? usual);
    if (Number.isInteger(value) && value > 0) return value;
    throw new Error(`--${name} ${String(given[name])}: expected a whole number from 1`);
  };
  const one = <T extends string>(name: "role" | "attack", all: readonly T[]): T[] => {
    const wanted = values[name];
    const found = all.filter((each) => wanted === undefined || each === wanted);
    if (found.length > 0) return found;
    throw new Error(`--${name} ${wanted}: expected one of ${all.join(", ")}`);
  };
  const agents = number("agents", 10_000);
  return {
    agents,
    standbyAgents: number("standby-agents", Math.min(agents, 2_000)),
    seconds: number("seconds", 10),
    rounds: number("rounds", 3),
    everyMs: number("every-ms", 10_000),
    roles: one("role", ["leader", "standby"]),
    attacks: one("attack", ATTACKS),
    figures: values.figures ?? null,
  };
}

type Pair = {
  quiet: LoadResult;
  attacked: LoadResult;
  rssMiB: number;
  /** Of one core, all control planes together. */
  cpuPercent: { quiet: number; attacked: number };
  result: AttackResult;
};

/** A quiet window and one under attack. */
async function runPair(
  parts: { world: World; honest: Load; options: Options },
  attack: Attack,
): Promise<Pair> {
  const { world, honest, options } = parts;
  const windowMs = options.seconds * 1_000;
  const window = { forMs: windowMs, findingEvery: FINDING_EVERY };
  const before = world.cpuMs();
  const quiet = await honest.window(window);
  const between = world.cpuMs();
  const node = `attacker-${attack}`;
  let rssMiB = world.memory().rss;
  const timer = setInterval(() => (rssMiB = Math.max(rssMiB, world.memory().rss)), 500);
  try {
    const { folder, url } = world;
    const order = { attack, url, node, token: world.tokenOf(node) };
    // It begins before the window and ends after it.
    const forMs = windowMs + 2_000;
    const running = runAttack(folder, { ...order, connections: CONNECTIONS[attack], forMs });
    await Bun.sleep(1_000);
    const attacked = await honest.window(window);
    const result = await running;
    const share = (ms: number, overMs: number): number => (100 * ms) / overMs;
    const cpuPercent = {
      quiet: share(between - before, windowMs),
      attacked: share(world.cpuMs() - between, forMs),
    };
    // What it left in queues is not the next one's.
    await Bun.sleep(2_000);
    return { quiet, attacked, rssMiB, cpuPercent, result };
  } finally {
    clearInterval(timer);
  }
}

type Judged = { figures: Record<string, number>; held: boolean };

/** Of the replies that did not wait for the generator. */
const p99Of = ({ undisturbed }: LoadResult): number => spreadOf(undisturbed).p99;

function judge(pairs: readonly Pair[]): Judged {
  const ratioOf = (quiet: number, attacked: number): number => attacked / Math.max(quiet, FLOOR_MS);
  const ratios = pairs.map(({ quiet, attacked }) => ratioOf(p99Of(quiet), p99Of(attacked)));
  const every = (one: LoadResult): number => spreadOf(one.latencies).p99;
  const median = (values: number[]): number => spreadOf(values).p50;
  const both = pairs.flatMap(({ quiet, attacked }) => [quiet, attacked]);
  const sum = (of: (window: LoadResult) => number): number =>
    both.reduce((total, window) => total + of(window), 0);
  const figures = {
    quietP99Ms: median(pairs.map(({ quiet }) => p99Of(quiet))),
    attackP99Ms: median(pairs.map(({ attacked }) => p99Of(attacked))),
    ratio: median(ratios),
    ratioMin: Math.min(...ratios),
    ratioMax: Math.max(...ratios),
    ratioOfAllReplies: median(
      pairs.map(({ quiet, attacked }) => ratioOf(every(quiet), every(attacked))),
    ),
    disturbedShare: 1 - sum((one) => one.undisturbed.length) / sum((one) => one.latencies.length),
    rssMaxMiB: Math.max(...pairs.map(({ rssMiB }) => rssMiB)),
    reports: sum(({ sent }) => sent),
    unanswered: sum(({ sent, answered }) => sent - answered),
    findings: sum(({ findingsSent }) => findingsSent),
    unacknowledged: sum((one) => one.findingsSent - one.findingsAcknowledged),
    errors: sum(({ errors }) => errors.length),
    attackConnects: pairs.reduce((total, { result }) => total + result.connects, 0),
    attackMiB: pairs.reduce((total, { result }) => total + result.mebibytes, 0),
    cpuQuietPercent: median(pairs.map(({ cpuPercent }) => cpuPercent.quiet)),
    cpuAttackPercent: median(pairs.map(({ cpuPercent }) => cpuPercent.attacked)),
    generatorCpuPercent: median(pairs.map(({ attacked }) => attacked.cpuPercent)),
    generatorLagP99Ms: median(pairs.map(({ attacked }) => spreadOf(attacked.lags).p99)),
  };
  const rounded = Object.entries(figures).map(([name, value]) => {
    return [name, Math.round(value * 100) / 100];
  });
  const { ratio, rssMaxMiB, unanswered, unacknowledged, errors, disturbedShare } = figures;
  const lost = unanswered + unacknowledged + errors;
  const isFast = ratio <= RATIO_MAX && disturbedShare <= DISTURBED_MAX;
  const held = isFast && rssMaxMiB < memoryMax() && lost === 0;
  return { figures: Object.fromEntries(rounded), held };
}

/** All attacks on one role, in turn, as many rounds as wanted. */
async function attackRole(role: Role, options: Options): Promise<Map<Attack, Pair[]>> {
  const world = await World.start(role);
  let honest: Load | null = null;
  try {
    const agents = role === "leader" ? options.agents : options.standbyAgents;
    honest = await openHonest(world, agents, options.everyMs);
    console.log(`${role}: ${agents} agents have registered`);
    // The compiler has seen the code, and the collector the fleet.
    await honest.window({ forMs: options.seconds * 1_000, findingEvery: FINDING_EVERY });
    const pairs = new Map<Attack, Pair[]>();
    for (let round = 1; round <= options.rounds; round++) {
      for (const attack of options.attacks) {
        const pair = await runPair({ world, honest, options }, attack);
        pairs.set(attack, [...(pairs.get(attack) ?? []), pair]);
        const { quiet, attacked, rssMiB, result } = pair;
        const times = `p99 ${p99Of(quiet).toFixed(1)} → ${p99Of(attacked).toFixed(1)} ms`;
        const said = [...quiet.errors, ...attacked.errors].slice(0, 2).join("; ");
        const answers = JSON.stringify(result.answers);
        const rss = `${rssMiB.toFixed(0)} MiB`;
        console.log(`${role} ${round} ${attack}: ${times}, ${rss}, ${answers} ${said}`);
      }
    }
    return pairs;
  } finally {
    await honest?.close();
    await world.close();
  }
}

const options = readOptions();
const missing = options.roles.includes("standby") ? whyNoSqld() : null;
if (missing !== null) throw new Error(missing);
await buildStale();
const figures: Record<string, number | Record<string, number>> = {
  agents: options.agents,
  standbyAgents: options.standbyAgents,
  windowSeconds: options.seconds,
  rounds: options.rounds,
  memoryMaxMiB: memoryMax(),
};
let good = true;
for (const role of options.roles) {
  for (const [attack, pairs] of await attackRole(role, options)) {
    const judged = judge(pairs);
    figures[`${role} ${attack}`] = judged.figures;
    good &&= judged.held;
    if (!judged.held) console.log(`${role} ${attack} does not hold`);
  }
}
if (options.figures !== null) await Bun.write(options.figures, JSON.stringify(figures));
console.log(JSON.stringify(figures, null, 2));
process.exitCode = good ? 0 : 1;
