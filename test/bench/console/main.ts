/**
 * What a thousand open pages of the console cost a fleet of 10,000 nodes: p99 of ingest and the
 * reconciler's period may move by a tenth at most, no stream may be without its events, and a page
 * has its first byte within 200 ms and at most 300 KiB. Windows with and without streams in turn;
 * the median of their ratios counts. `npm run once -- console-streams`.
 */
import { parseArgs } from "node:util";
import { buildStale } from "../../fixture/plane/plane.ts";
import { spreadOf } from "../bench.ts";
import { Bed, type Options, p99Of, type PageRead, type Pair, type Window } from "./run.ts";

/** Of a figure with streams, by the same without. */
const RATIO_MAX = 1.1;
const FIRST_BYTE_MS_MAX = 200;
const PAGE_KIB_MAX = 300;
/** No verdict where the generator was late to take more of the replies than this. */
const DISTURBED_MAX = 0.5;
const READS = 20;
const PAGES = ["/fleet", "/fleet?page=50", "/fleet?q=load-99", "/fleet/node/load-0", "/safety"];
const MORE_PAGES = ["/money", "/events", "/audit"];

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    ...{ agents: text, streams: text, seconds: text, rounds: text },
    ...{ "every-ms": text, figures: text },
  },
});

function number(name: "agents" | "streams" | "seconds" | "rounds" | "every-ms", usual: number) {
  const value = Number(values[name] ?? usual);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} ${values[name]}: expected a whole number from 1`);
}

const median = (list: readonly number[]): number => spreadOf(list).p50;
const mean = (list: readonly number[]): number =>
  list.reduce((sum, one) => sum + one, 0) / list.length;
const round = (value: number): number => Math.round(value * 100) / 100;

const READINGS = {
  ingestP50Ms: ({ result }: Window) => spreadOf(result.undisturbed).p50,
  ingestP99Ms: ({ result }: Window) => p99Of(result),
  ingestAllP99Ms: ({ result }: Window) => spreadOf(result.latencies).p99,
  periodMostMs: ({ periodsMs }: Window) => Math.max(...periodsMs),
  orderP50Ms: ({ ordersMs }: Window) => median(ordersMs),
  cpuPercent: ({ cpuPercent }: Window) => cpuPercent,
  rssMaxMiB: ({ rssMiB }: Window) => rssMiB,
} as const;
type Reading = keyof typeof READINGS;
const NAMES = Object.keys(READINGS) as Reading[];
/** What may not move. */
const HELD: readonly Reading[] = ["ingestP99Ms", "periodMostMs"];

type Kept = Record<string, number | Record<string, number>>;

const each = (of: (name: Reading) => number): Record<string, number> =>
  Object.fromEntries(NAMES.map((name) => [name, round(of(name))]));

function ratiosOf(pairs: readonly Pair[], name: Reading): number[] {
  const read = READINGS[name];
  return pairs.map(({ quiet, watched }) => read(watched) / read(quiet));
}

/** Of all windows together: an order begins a round early, so that one window has few. */
function periodsOf(pairs: readonly Pair[]) {
  const quiet = pairs.flatMap((pair) => pair.quiet.periodsMs);
  const watched = pairs.flatMap((pair) => pair.watched.periodsMs);
  const of = (list: readonly number[]) => ({ mean: mean(list), p99: spreadOf(list).p99 });
  const [before, after] = [of(quiet), of(watched)];
  return {
    quietMeanMs: round(before.mean),
    watchedMeanMs: round(after.mean),
    meanRatio: round(after.mean / before.mean),
    quietP99Ms: round(before.p99),
    watchedP99Ms: round(after.p99),
    p99Ratio: round(after.p99 / before.p99),
  };
}

function judgePairs(pairs: readonly Pair[], { streams, seconds }: Options) {
  const windows = pairs.flatMap(({ quiet, watched }) => [quiet, watched]);
  const sum = (of: (one: Window) => number): number =>
    windows.reduce((total, one) => total + of(one), 0);
  const all = pairs.map(({ received }) => received);
  const total = (name: string): number =>
    all.reduce((count, { events }) => count + (events[name] ?? 0), 0);
  const bytes = all.reduce((count, one) => count + one.bytes, 0);
  const firstEventMs = spreadOf(pairs.flatMap((pair) => pair.firstEventMs));
  const answers = sum(({ result }) => result.latencies.length);
  const disturbed = 1 - sum(({ result }) => result.undisturbed.length) / answers;
  const figures = {
    quiet: each((name) => median(pairs.map(({ quiet }) => READINGS[name](quiet)))),
    watched: each((name) => median(pairs.map(({ watched }) => READINGS[name](watched)))),
    ratio: each((name) => median(ratiosOf(pairs, name))),
    ratioLeast: each((name) => Math.min(...ratiosOf(pairs, name))),
    ratioMost: each((name) => Math.max(...ratiosOf(pairs, name))),
    period: periodsOf(pairs),
    reports: sum(({ result }) => result.sent),
    unanswered: sum(({ result }) => result.sent - result.answered),
    errors: sum(({ result }) => result.errors.length),
    disturbedShare: round(disturbed),
    received: {
      patches: total("patch"),
      pages: total("page"),
      beats: total("beat"),
      leastEvents: Math.min(...all.map(({ leastEvents }) => leastEvents)),
      leastBytes: Math.min(...all.map(({ leastBytes }) => leastBytes)),
      bytesPerStreamAndSecond: round(bytes / pairs.length / streams / seconds),
      ended: all.reduce((count, { ended }) => count + ended, 0),
    },
    firstEvent: { p50Ms: round(firstEventMs.p50), p99Ms: round(firstEventMs.p99) },
    generatorCpuPercent: round(median(windows.map(({ result }) => result.cpuPercent))),
  };
  const { received, ratio, period, unanswered, errors } = figures;
  const wrong = [
    ...HELD.filter((name) => !((ratio[name] ?? NaN) <= RATIO_MAX)).map((name) => `${name} moves`),
    ...(Math.max(period.meanRatio, period.p99Ratio) <= RATIO_MAX ? [] : ["the period moves"]),
    ...(received.ended > 0 ? ["streams ended"] : []),
    // A page changes at least every other tick.
    ...(received.leastEvents < Math.floor(seconds / 4) ? ["a stream had no events"] : []),
    ...(unanswered + errors > 0 ? ["reports were lost"] : []),
    ...(disturbed <= DISTURBED_MAX ? [] : ["the generator was disturbed"]),
  ];
  return { figures, wrong };
}

function judgePages(pages: readonly PageRead[]) {
  const figures: Kept = {};
  const wrong: string[] = [];
  for (const { path, firstByteMs, bytes, status } of pages) {
    const { p50, max } = spreadOf(firstByteMs);
    const kib = bytes / 1_024;
    figures[`page ${path}`] = { kib: round(kib), firstByteP50Ms: round(p50), mostMs: round(max) };
    if (status !== 200) wrong.push(`${path} answers ${status}`);
    if (!(max <= FIRST_BYTE_MS_MAX && kib <= PAGE_KIB_MAX)) wrong.push(`${path} is over`);
  }
  return { figures, wrong };
}

const options: Options = {
  agents: number("agents", 10_000),
  streams: number("streams", 1_000),
  seconds: number("seconds", 16),
  rounds: number("rounds", 7),
  everyMs: number("every-ms", 10_000),
};
await buildStale();
const bed = await Bed.open(options, console.log);
const pairs: Pair[] = [];
let pages: PageRead[] = [];
try {
  for (let at = 0; at < options.rounds; at++) {
    const pair = await bed.pair(at);
    pairs.push(pair);
    const said = NAMES.map((name) => {
      const [quiet, watched] = [READINGS[name](pair.quiet), READINGS[name](pair.watched)];
      return `${name} ${quiet.toFixed(1)} → ${watched.toFixed(1)}`;
    });
    console.log(`${at + 1}: ${said.join(", ")}; ${JSON.stringify(pair.received)}`);
  }
  pages = await bed.readPages([...PAGES, ...MORE_PAGES], READS);
} finally {
  await bed.close();
}
const streams = judgePairs(pairs, options);
const read = judgePages(pages);
const { everyMs, ...sizes } = options;
const figures: Kept = { ...sizes, everyMs, ...streams.figures, ...read.figures };
const wrong = [...streams.wrong, ...read.wrong];
for (const line of wrong) console.log(`does not hold: ${line}`);
if (values.figures !== undefined) await Bun.write(values.figures, JSON.stringify(figures));
console.log(JSON.stringify(figures, null, 2));
process.exitCode = wrong.length === 0 ? 0 : 1;
