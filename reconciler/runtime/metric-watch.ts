/**
 * Reads the sources of `external` autoscalers, each at its interval, and keeps what each said with
 * its time. A reading is an observation: whether it still counts is decided where it is used. It
 * neither decides nor retries before the next interval.
 */
import type { Config } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import { desiredOf, type Fleet, type MetricSight } from "../core/fleet.ts";
import {
  answerOf,
  type MetricAnswer,
  type MetricPool,
  type ReadMetric,
} from "../core/scaling/metric.ts";
import { type External, metricKey } from "../core/scaling/external.ts";
import { flatten } from "../core/scaling/recommend.ts";
import { inTime } from "../core/turn/time-limit.ts";

/** Readings at once; the others wait for their turn. A process costs more than a request. */
const IN_FLIGHT_MAX = { command: 16, http: 128, prometheus: 128 } as const;
/** After the source's own timeout, for an adapter that hangs. */
const LATE_MS = 10_000;
const SHOWN_CHARS = 300;

type Watched = {
  source: External;
  pool: MetricPool;
  nextMono: number;
  inFlight: boolean;
  sight: MetricSight;
};

export class MetricWatch {
  readonly #read: ReadMetric | null;
  readonly #clock: Clock;
  readonly #log: Log;
  #watched = new Map<string, Watched>();
  readonly #inFlight = { command: 0, http: 0, prometheus: 0 };

  constructor(read: ReadMetric | null, clock: Clock, log: Log) {
    this.#read = read;
    this.#clock = clock;
    this.#log = log;
  }

  /** Starts the readings that are due. */
  look(config: Config, fleet: Fleet): void {
    if (this.#read === null) return;
    this.#watched = this.#select(config, fleet);
    const mono = this.#clock.monoMs();
    const due = [...this.#watched.values()].filter((one) => !one.inFlight && one.nextMono <= mono);
    due.sort((a, b) => a.nextMono - b.nextMono);
    for (const one of due) {
      const { source } = one.source;
      if (this.#inFlight[source] >= IN_FLIGHT_MAX[source]) continue;
      one.nextMono = mono + one.source.intervalMs;
      void this.#readOne(one, this.#read);
    }
  }

  /** What each source said, by `metricKey`. */
  sights(): Map<string, MetricSight> {
    return new Map([...this.#watched].map(([key, { sight }]) => [key, sight]));
  }

  /** The sources of the configuration; a changed one starts over. */
  #select(config: Config, fleet: Fleet): Map<string, Watched> {
    const next = new Map<string, Watched>();
    for (const pool of config.pools) {
      const { name, scaling } = pool;
      if (scaling.autoscaler === null) continue;
      const { minNodes: min, maxNodes: max } = scaling;
      const desired = desiredOf(pool, fleet.pools.get(name));
      for (const [index, source] of flatten(scaling.autoscaler).entries()) {
        if (source.type !== "external") continue;
        const key = metricKey(name, index);
        const before = this.#watched.get(key);
        const isSame = before !== undefined && isEqual(before.source, source);
        const watched = isSame ? before : newWatched(source);
        watched.pool = { name, desired, min, max };
        next.set(key, watched);
      }
    }
    return next;
  }

  async #readOne(one: Watched, read: ReadMetric): Promise<void> {
    const { source } = one.source;
    one.inFlight = true;
    this.#inFlight[source] += 1;
    const at = this.#clock.wallMs();
    const answer = await this.#inTime(one, read);
    one.inFlight = false;
    this.#inFlight[source] -= 1;
    if (answer.kind === "value") {
      one.sight = { reading: { value: answer.value, at }, problem: null };
      return;
    }
    const problem = answer.message.slice(0, SHOWN_CHARS);
    if (one.sight.problem === null) {
      const about = { pool: one.pool.name, source, problem };
      this.#log("warn", "metrics source failed", about);
    }
    one.sight = { ...one.sight, problem };
  }

  /** A reading without an answer has failed, so that the next may begin. */
  async #inTime({ source, pool }: Watched, read: ReadMetric): Promise<MetricAnswer> {
    const limitMs = source.timeoutMs + LATE_MS;
    const late = (): MetricAnswer => ({
      kind: "failed",
      message: `no answer within ${limitMs / 1_000} s`,
    });
    try {
      const answer = await inTime(this.#clock, limitMs, () => read(source, pool), late);
      return answer.kind === "value" ? answerOf(answer.value) : answer;
    } catch (error) {
      return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
    }
  }
}

function newWatched(source: External): Watched {
  const pool = { name: "" as MetricPool["name"], desired: 0, min: 0, max: 0 };
  const sight = { reading: null, problem: null };
  return { source, pool, nextMono: 0, inFlight: false, sight };
}

function isEqual(a: External, b: External): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
