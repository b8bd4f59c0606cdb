/**
 * Filling a pool while GPUs are scarce, in virtual time: the product over eight places beside a
 * script that asks one place every 12 seconds, which is the rate that Lambda's API permits for
 * launches. The traces of capacity are made; run by path it reads recorded ones from files, one for
 * each place, in the format of SkyPilot's spot traces ("Can't Be Late", NSDI 2024).
 */
import { waitMs } from "../../schema/millis.ts";
import type { CreateAnswer, OffersAnswer, Place } from "../../reconciler/core/provider.ts";
import { seeded } from "../../simulator/engine/random.ts";
import { BASE } from "../world/setting.ts";
import { World } from "../world/world.ts";
import { type Bench, held, shown } from "./bench.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** OpenAPI 1.10.0 of Lambda Cloud: one launch in 12 seconds, one request a second. */
const LAUNCH_MS = 12 * SECOND;
const OFFERS_MS = 15 * SECOND;
const PLACES = 8;
const NODES = 6;
/** A place sells up to two machines for minutes, then none for hours; both times exponential. */
const OPEN_MEAN_MS = 10 * MINUTE;
const EMPTY_MEAN_MS = 4 * 60 * MINUTE;
const STOCK = 2;
const HORIZON_MS = 5 * 24 * 60 * MINUTE;

/** When a place sells, as instants since the start. */
type Window = { from: number; to: number };
type Trace = Window[][];

export function madeTraces(seed: number): Trace {
  const random = seeded(seed);
  const span = (mean: number): number => -mean * Math.log(1 - random());
  return Array.from({ length: PLACES }, () => {
    const windows: Window[] = [];
    for (let at = span(EMPTY_MEAN_MS); at < HORIZON_MS;) {
      const to = at + span(OPEN_MEAN_MS);
      windows.push({ from: at, to });
      at = to + span(EMPTY_MEAN_MS);
    }
    return windows;
  });
}

/** What the places still sell; each window sells `STOCK` machines once. */
class Market {
  readonly #sold = new Map<Window, number>();
  readonly #trace: Trace;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  left(place: number, at: number): number {
    const open = this.#open(place, at);
    return open === undefined ? 0 : STOCK - (this.#sold.get(open) ?? 0);
  }

  sell(place: number, at: number): boolean {
    const open = this.#open(place, at);
    if (open === undefined || this.left(place, at) === 0) return false;
    this.#sold.set(open, (this.#sold.get(open) ?? 0) + 1);
    return true;
  }

  #open(place: number, at: number): Window | undefined {
    return this.#trace[place]?.find(({ from, to }) => from <= at && at < to);
  }
}

/** Milliseconds until a script that asks one place at the permitted rate has every machine. */
export function pollOne(trace: Trace, place: number): number {
  const market = new Market(trace);
  let have = 0;
  for (let at = 0; at < HORIZON_MS; at += LAUNCH_MS) {
    if (market.sell(place, at)) have++;
    if (have === NODES) return at;
  }
  return HORIZON_MS;
}

export type Filled = { ms: number; launches: number; closestMs: number };

/** The same with the product, over all places of one account. */
export async function fillPool(trace: Trace, strategy: string): Promise<Filled> {
  const regions = trace.map((_, place) => `r${place}`);
  const w = await World.open(
    `${BASE}
pools:
  - name: p
    strategy: ${strategy}
    providers: [{ name: fake, regions: [${regions.join(", ")}] }]
    instance_type: h100-8x
    scaling: { min_nodes: ${NODES}, max_nodes: ${NODES} }
`,
    { store: "memory" },
  );
  const start = w.clock.monoMs();
  const market = new Market(trace);
  const asked: number[] = [];
  const placeOf = ({ region }: Place): number => Number(region?.slice(1));
  const create = w.cloud.create.bind(w.cloud);
  w.cloud.create = (request, fence, credential): Promise<CreateAnswer> => {
    const at = w.clock.monoMs() - start;
    const turnMs = (asked.at(-1) ?? -LAUNCH_MS) + LAUNCH_MS - at;
    const no = { kind: "refused", message: "none", retryAfterMs: null } as const;
    const early = { ...no, class: "rate_limit", retryAfterMs: waitMs(turnMs) } as const;
    // As the adapter's own pace refuses it before it is sent.
    if (turnMs > 0) return Promise.resolve(early);
    asked.push(at);
    if (market.sell(placeOf(request), at)) return create(request, fence, credential);
    return Promise.resolve({ ...no, class: "capacity" });
  };
  let read: { at: number; answer: OffersAnswer } | null = null;
  w.cloud.offers = (places): Promise<OffersAnswer> => {
    const at = w.clock.monoMs() - start;
    if (read === null || at - read.at >= OFFERS_MS) {
      const offers = places.map((place) => {
        return { ...place, pricePerHour: null, available: market.left(placeOf(place), at) > 0 };
      });
      read = { at, answer: { kind: "ok", offers } };
    }
    return Promise.resolve(read.answer);
  };
  try {
    await w.advance(() => w.cloud.reality().live.length === NODES, HORIZON_MS);
    const gaps = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
    const ms = w.clock.monoMs() - start;
    return { ms, launches: asked.length, closestMs: Math.min(...gaps) };
  } finally {
    await w.close();
  }
}

/** Of one place: mean and best. */
export type Compared = { seed: number; one: number; best: number; product: Filled };

/** One place: the mean over all that the script might have been given. */
export function compare(seed: number, strategy: string): Promise<Compared> {
  return compareOn(madeTraces(seed), seed, strategy);
}

async function compareOn(trace: Trace, seed: number, strategy: string): Promise<Compared> {
  const each = trace.map((_, place) => pollOne(trace, place));
  const one = each.reduce((a, b) => a + b, 0) / each.length;
  const best = Math.min(...each);
  return { seed, one, best, product: await fillPool(trace, strategy) };
}

export const scarce: Bench = {
  name: "scarce",
  summary: "a pool filled from eight places with scarce capacity, beside polling one of them",
  async run({ tiny, say }) {
    const seeds = tiny ? [1] : [1, 2, 3, 4, 5];
    const ratios: number[] = [];
    let launches = 0;
    for (const seed of seeds) {
      const { one, product } = await compare(seed, "availability");
      ratios.push(one / product.ms);
      launches += product.launches;
      const hours = (ms: number): string => `${(ms / 3_600_000).toFixed(1)} h`;
      say(`seed ${seed}: ${hours(product.ms)}, ${product.launches} launches; one: ${hours(one)}`);
    }
    const worst = 100 / Math.min(...ratios);
    return [
      held("time to fill beside polling one place, worst seed", worst, "%", 67, 33),
      shown("launches", launches, "count"),
    ];
  },
};

/** `data`: how many instances could be had at each step. */
type Recorded = { metadata: { gap_seconds: number }; data: number[] };

/** When the place sells, from the given day on. */
function windowsOf({ metadata, data }: Recorded, day: number): Window[] {
  const stepMs = metadata.gap_seconds * SECOND;
  const windows: Window[] = [];
  for (const [i, count] of data.slice(Math.floor((day * 86_400_000) / stepMs)).entries()) {
    const from = i * stepMs;
    const last = windows.at(-1);
    if (count === 0) continue;
    if (last !== undefined && last.to === from) last.to = from + stepMs;
    else windows.push({ from, to: from + stepMs });
  }
  return windows;
}

/** Five stretches of recorded traces, for docs/benchmarks.md. */
async function main(files: readonly string[]): Promise<void> {
  const all: Recorded[] = [];
  for (const file of files) all.push((await Bun.file(file).json()) as Recorded);
  for (const day of [0, 5, 10, 15, 20]) {
    const trace = all.map((one) => windowsOf(one, day));
    const { one, best, product } = await compareOn(trace, day, "availability");
    const hours = (ms: number): string => (ms / 3_600_000).toFixed(2);
    const single = `one place: mean ${hours(one)} h, best ${hours(best)} h`;
    console.log(`day ${day}: ${hours(product.ms)} h, ${product.launches} launches; ${single}`);
  }
}

if (import.meta.main) await main(process.argv.slice(2));
