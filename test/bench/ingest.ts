/**
 * Measures one control plane under a fleet's reports (M5): agents with eight GPUs and one
 * connection each, a report every 10 s, a full check every 60 s; one agent in a hundred reports an
 * application fault. Latency is from send to reply at the agent, on the monotonic clock.
 *
 * Budget at 10,000 agents: p99 ≤ 50 ms and RSS ≤ 256 MiB. It is checked twice: with reports alone,
 * and ("read") while Prometheus reads the metrics page four times a minute and a person the node
 * list. At 5,000 nodes the page takes at most 300 ms, the list 200 ms.
 *
 * Estimate: 10,000 agents / 10 s = 1,000 reports/s of 5 KB. One takes about 20 µs to parse, 60 µs
 * to check and 20 µs to answer: 0.1 ms, so a tenth of a core and a queue that is mostly empty.
 * Replies are late only if one piece of work covers the whole fleet: an activation over 10,000
 * nodes in 20 ms is short enough, a page of 40 MiB is not. Memory: runtime and libsql 80 MiB; per
 * node 4 KB with inventory, 4 KB of parsed sample, 2 KB of socket: 100 MiB for 10,000. Garbage
 * before collection, at worst as much as live objects: 70 MiB. Sum: 250 MiB.
 */
import { type Bench, type BenchOptions, type Figure, held, shown, spreadOf } from "./bench.ts";
import { Load, type LoadOrder, type LoadResult } from "./load.ts";
import { openFolder, openPlane } from "./plane.ts";
import { type Watched, watchTree } from "./process.ts";
import { openScraper, type Scraped } from "./scrape.ts";

const FLEETS = [1_000, 10_000] as const;
/** POST is the fallback for a few sites behind a proxy, not for a whole fleet. */
const POST_FLEET = 500;

/** One agent in this many reports a finding during the window. */
const FINDING_EVERY = 100;

type Size = Pick<LoadOrder, "transport" | "everyMs"> & {
  agents: number;
  /** Reports before the measured window, then the window itself. */
  warmMs: number;
  measureMs: number;
  /** Time afterwards with open, idle connections, to measure memory at rest. */
  restMs: number;
};

/** `agents` is ignored in a tiny run. */
function sizeOf(options: BenchOptions, transport: Size["transport"], agents: number): Size {
  if (options.tiny) {
    const times = { everyMs: 500, warmMs: 500, measureMs: 1_000, restMs: 0 };
    return { transport, agents: 20, ...times };
  }
  const measureMs = (options.seconds ?? 60) * 1_000;
  // The first tenth, and at least one report of each agent, is not measured.
  const warmMs = Math.max(10_000, measureMs / 10);
  return { transport, agents, everyMs: 10_000, warmMs, measureMs, restMs: 3_000 };
}

type Measured = {
  registeredMs: number;
  result: LoadResult;
  registering: Watched;
  window: Watched;
  resting: Watched;
};

/** `read`: the metrics page and the node list are read at the same time. */
async function measure(options: BenchOptions, size: Size, read: boolean): Promise<Figure[]> {
  const { agents, transport } = size;
  const name = `${agents} ${transport}${read ? ", read" : ""}`;
  const folder = openFolder();
  const plane = await openPlane(options.dist);
  const watch = watchTree(plane.pid);
  const closing: (() => Promise<void>)[] = [];
  try {
    const { everyMs, warmMs, measureMs, restMs } = size;
    const tokens = Array.from({ length: agents }, (_, index) => plane.tokenOf(`load-${index}`));
    const order: LoadOrder = { url: plane.url, transport, everyMs, checkEvery: 6, tokens };
    const load = await Load.start(order, folder.path);
    closing.push(() => load.close());
    const registering = watch.mark();
    options.say(`  ${name}: registered`);
    await load.window({ forMs: warmMs, findingEvery: null });
    watch.mark();
    const scraper = read ? openScraper(plane) : null;
    const rounds = Math.max(1, Math.floor(measureMs / everyMs));
    const findingEvery = FINDING_EVERY * rounds;
    const result = await load.window({ forMs: measureMs, findingEvery });
    const window = watch.mark();
    options.say(`  ${name}: measured`);
    const scraped = await scraper?.close();
    await Bun.sleep(restMs);
    const resting = watch.mark();
    for (const error of result.errors.slice(0, 5)) options.say(`  error: ${error}`);
    const of = (what: string): string => `${name}: ${what}`;
    return [
      ...figuresOf(of, { registeredMs: load.registeredMs, result, registering, window, resting }),
      ...(scraped === undefined ? [] : scrapedFigures(of, agents, scraped)),
    ];
  } finally {
    for (const close of closing) await close();
    watch.close();
    await plane.close();
    folder.close();
  }
}

function figuresOf(of: (what: string) => string, measured: Measured): Figure[] {
  const { registeredMs, result, registering, window, resting } = measured;
  const latency = spreadOf(result.latencies);
  const lag = spreadOf(result.lags);
  // The budget is for 10,000 agents; a smaller fleet must meet it too.
  return [
    held(of("reply p99"), latency.p99, "ms", 50),
    shown(of("reply p50"), latency.p50, "ms"),
    shown(of("reply p90"), latency.p90, "ms"),
    shown(of("reply max"), latency.max, "ms"),
    held(of("RSS max"), Math.max(registering.max.rss, window.max.rss), "MiB", 256),
    shown(of("RSS max while registering"), registering.max.rss, "MiB"),
    shown(of("RSS at rest"), resting.last.rss, "MiB"),
    shown(of("PSS max"), Math.max(registering.max.pss, window.max.pss), "MiB"),
    shown(of("anonymous at rest"), resting.last.anon, "MiB"),
    shown(of("control plane CPU"), window.cpuPercent, "%"),
    held(of("reports without a good reply"), result.sent - result.answered, "count", 0),
    held(of("errors"), result.errors.length, "count", 0),
    held(
      of("findings not acknowledged"),
      result.findingsSent - result.findingsAcknowledged,
      "count",
      0,
    ),
    shown(of("reports"), result.sent, "count"),
    shown(of("findings"), result.findingsSent, "count"),
    shown(of("bytes a report"), result.reportBytes, "count"),
    shown(of("registration of all"), registeredMs / 1_000, "s"),
    shown(of("generator CPU"), result.cpuPercent, "%"),
    shown(of("generator lag p99"), lag.p99, "ms"),
    shown(of("generator lag max"), lag.max, "ms"),
  ];
}

function scrapedFigures(of: (what: string) => string, agents: number, scraped: Scraped): Figure[] {
  // Both limits grow with the fleet; a smaller fleet than 5,000 gets no smaller limit.
  const share = Math.max(1, agents / 5_000);
  return [
    held(of("metrics page max"), Math.max(...scraped.pageMs), "ms", 300 * share),
    held(of("node list max"), Math.max(...scraped.listMs), "ms", 200 * share),
    shown(of("metrics page"), scraped.pageMib, "MiB"),
    held(of("pages not served"), scraped.failed, "count", 0),
  ];
}

export const ingest: Bench = {
  name: "ingest",
  summary: "reports of 1,000 and 10,000 agents over WebSocket, and of 500 over POST",
  async run(options) {
    const fleets = options.tiny ? [0] : options.agents === null ? FLEETS : [options.agents];
    const figures: Figure[] = [];
    for (const agents of fleets) {
      const size = sizeOf(options, "stream", agents);
      figures.push(...(await measure(options, size, false)));
      // Only the largest fleet is measured with readers, whose cost grows with its size.
      if (agents !== FLEETS[0]) figures.push(...(await measure(options, size, true)));
    }
    if (options.agents === null) {
      figures.push(...(await measure(options, sizeOf(options, "post", POST_FLEET), false)));
    }
    return figures;
  },
};
