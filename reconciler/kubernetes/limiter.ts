/**
 * Limits the rate of all writes to one API server. Cordons have their own allowance, because
 * isolating a rack must not wait behind its drains; evictions and status share a rate that grows
 * while the server is healthy and halves when it is not. Cordons go first, then evictions, then
 * status, and none starves. Pure except for its queue: time is a port, and nothing is sent here.
 */
import { readAdmission } from "./admission.ts";
import type { Clock } from "../core/clock.ts";
import { Bucket, type Rate } from "../core/turn/bucket.ts";
import type { KubeAnswer, KubeApi, KubeRequest, Lane } from "./api.ts";

export type WriteLane = Exclude<Lane, "read">;
/** By priority. */
export const WRITE_LANES = ["cordon", "evict", "status"] as const satisfies readonly WriteLane[];

export type LimiterOptions = {
  clock: Clock;
  /** Writes a second of all lanes, plus a burst of a quarter of it. */
  perSecondMax: number;
};

export type Report = {
  lane: WriteLane;
  latencyMs: number;
  /** The server is overloaded: 429 or 503, but not a disruption budget. */
  throttled: boolean;
  retryAfterMs: number | null;
};

export type LimiterStatus = {
  /** Writes a second of evictions and status together, and of cordons. */
  perSecond: number;
  cordonsPerSecond: number;
  waiting: Record<WriteLane, number>;
  /** Milliseconds of a `Retry-After` that are left. */
  pausedMs: number;
};

/** An idle, healthy server does not notice this rate (docs/reference/kubernetes.md#drain). */
const START_PER_SECOND = 20;
/** Lets a server recover, and a drain of 15 pods end within its deadline. */
const FLOOR_PER_SECOND = 2;
/** Added for each healthy second: 36 s from the start to 200/s. */
const STEP_PER_SECOND = 5;
/** A cordon of 750 nodes within 5 s (docs/reference/kubernetes.md#watches): the burst, then 4 s. */
const CORDONS_PER_SECOND = 150;
const CORDONS_FLOOR_PER_SECOND = 10;
/** Least time between halvings: fifty refusals of one overload count once. */
const HALVE_THROTTLED_MS = 1_000;
/** The latency at a new rate needs some answers before it counts. */
const HALVE_SLOW_MS = 5_000;
/** Faster answers never count as slow: a webhook costs that much, and drains have deadlines. */
const SLOW_MS = 200;
/** Slowness alone does not reduce the rate below this: the server still answers. */
const SLOW_FLOOR_PER_SECOND = 10;
const SLOW_FACTOR = 2;
/** EWMA weights: about 10 samples for the current latency, 1,000 for the baseline. */
const FAST_WEIGHT = 0.1;
const NORMAL_WEIGHT = 0.001;
/** Samples before the baseline is used; until then no answer counts as slow. */
const LEARN_ANSWERS = 20;
/** Cap of `Retry-After`: a longer value is a proxy's error and would block cordons. */
const PAUSE_MS_MAX = 30_000;
/** A lower-priority lane is served after this many grants to the lanes above it. */
const PASSED_OVER_MAX = 9;
/** More than all evictions of a large fleet at once; further requests are rejected. */
const WAITING_MAX = 50_000;

/** Evictions of two seconds may queue; more would only grow old. */
const ROOM_MS = 2_000;
const ROOM_LEAST = 10;

/** How many evictions may be in flight or queued now. */
export function roomOf({ perSecond, pausedMs }: LimiterStatus): number {
  if (pausedMs > ROOM_MS) return 0;
  return Math.max(ROOM_LEAST, (perSecond * ROOM_MS) / 1_000);
}

type Latency = { answers: number; fastMs: number; normalMs: number };
type Waiting = { settle: (granted: boolean) => void };

/** Cordons may use at most 75 % of the total write rate, if that is above their default. */
function cordonsMax(perSecondMax: number): number {
  return Math.min(perSecondMax, Math.max(CORDONS_PER_SECOND, 0.75 * perSecondMax));
}

/** Writes of a quarter of a second may come at once; of cordons, those of a whole one. */
const quarter = (perSecond: number): Rate => ({ perSecond, burst: Math.max(1, perSecond / 4) });
const whole = (perSecond: number): Rate => ({ perSecond, burst: perSecond });

export class Limiter {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #all: Bucket;
  readonly #cordons: Bucket;
  readonly #others: Bucket;
  readonly #waiting: Record<WriteLane, Set<Waiting>> = {
    cordon: new Set(),
    evict: new Set(),
    status: new Set(),
  };
  /** Grants to higher lanes since the lane's last one, while a request waited in it. */
  readonly #passedOver: Record<WriteLane, number> = { cordon: 0, evict: 0, status: 0 };
  readonly #latency = new Map<WriteLane, Latency>();
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #halvedMs = Number.NEGATIVE_INFINITY;
  #grownMs: number;
  #cancelTimer: (() => void) | null = null;
  #closed = false;

  constructor({ clock, perSecondMax }: LimiterOptions) {
    const nowMs = clock.monoMs();
    this.#clock = clock;
    this.#max = Math.max(1, perSecondMax);
    this.#grownMs = nowMs;
    this.#all = new Bucket(quarter(this.#max));
    this.#cordons = new Bucket(whole(cordonsMax(this.#max)));
    this.#others = new Bucket(quarter(Math.min(START_PER_SECOND, this.#max)));
  }

  /**
   * Waits for a turn. `false`: nothing may be sent, because the signal aborted, the limiter was
   * closed or `WAITING_MAX` requests wait.
   */
  acquire(lane: WriteLane, signal?: AbortSignal): Promise<boolean> {
    const waiting = this.#waiting[lane];
    const refused = this.#closed || signal?.aborted || waiting.size >= WAITING_MAX;
    if (refused) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const abort = () => entry.settle(false);
    const entry: Waiting = {
      settle: (granted) => {
        waiting.delete(entry);
        signal?.removeEventListener("abort", abort);
        resolve(granted);
      },
    };
    signal?.addEventListener("abort", abort);
    waiting.add(entry);
    this.#pump();
    return promise;
  }

  /** Takes every answer to a write, so that the rate follows the server. */
  report({ lane, latencyMs, throttled, retryAfterMs }: Report): void {
    const nowMs = this.#clock.monoMs();
    const slow = this.#learn(lane, latencyMs);
    if (throttled) {
      const pauseMs = Math.min(retryAfterMs ?? 0, PAUSE_MS_MAX);
      this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + pauseMs);
      if (this.#halve(nowMs, HALVE_THROTTLED_MS, FLOOR_PER_SECOND)) {
        const { perSecond } = this.#cordons;
        const half = Math.min(perSecond, Math.max(perSecond / 2, CORDONS_FLOOR_PER_SECOND));
        this.#cordons.set(whole(half), nowMs);
      }
    } else if (slow) {
      // Cordons keep their rate: isolating broken hardware must not wait.
      this.#halve(nowMs, HALVE_SLOW_MS, SLOW_FLOOR_PER_SECOND);
    } else {
      this.#grow(nowMs);
    }
    this.#pump();
  }

  status(): LimiterStatus {
    return {
      perSecond: this.#others.perSecond,
      cordonsPerSecond: this.#cordons.perSecond,
      waiting: {
        cordon: this.#waiting.cordon.size,
        evict: this.#waiting.evict.size,
        status: this.#waiting.status.size,
      },
      pausedMs: Math.max(0, this.#pausedUntilMs - this.#clock.monoMs()),
    };
  }

  /** Refuses all queued requests. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    for (const lane of WRITE_LANES) {
      for (const entry of [...this.#waiting[lane]]) entry.settle(false);
    }
  }

  #learn(lane: WriteLane, latencyMs: number): boolean {
    const held = this.#latency.get(lane);
    if (held === undefined) {
      this.#latency.set(lane, { answers: 1, fastMs: latencyMs, normalMs: latencyMs });
      return false;
    }
    held.answers += 1;
    const isLearning = held.answers <= LEARN_ANSWERS;
    held.fastMs += (latencyMs - held.fastMs) * FAST_WEIGHT;
    const weight = isLearning ? FAST_WEIGHT : NORMAL_WEIGHT;
    // A better latency counts at once, so that a bad minute does not become the baseline.
    const better = held.fastMs < held.normalMs;
    held.normalMs += (held.fastMs - held.normalMs) * (better ? FAST_WEIGHT : weight);
    return !isLearning && held.fastMs > SLOW_MS && held.fastMs > held.normalMs * SLOW_FACTOR;
  }

  /** False within `apartMs` of the last halving. A rate below the floor stays. */
  #halve(nowMs: number, apartMs: number, floor: number): boolean {
    this.#grownMs = nowMs;
    if (nowMs - this.#halvedMs < apartMs) return false;
    this.#halvedMs = nowMs;
    const { perSecond } = this.#others;
    this.#others.set(quarter(Math.min(perSecond, Math.max(perSecond / 2, floor))), nowMs);
    return true;
  }

  /** Only answers raise the rate: an unused limiter learns nothing. */
  #grow(nowMs: number): void {
    if (nowMs - this.#grownMs < 1_000) return;
    this.#grownMs = nowMs;
    this.#others.set(quarter(Math.min(this.#others.perSecond + STEP_PER_SECOND, this.#max)), nowMs);
    const most = cordonsMax(this.#max);
    const cordons = Math.min(this.#cordons.perSecond + STEP_PER_SECOND * 2, most);
    this.#cordons.set(whole(cordons), nowMs);
  }

  /** Grants the turns that are due, and sets a timer for the next one. */
  #pump(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    for (;;) {
      const nowMs = this.#clock.monoMs();
      const turn = this.#next(nowMs);
      if (turn === null) return;
      if (turn.waitMs > 0) {
        // Whole milliseconds, at least one: a timer of 0.2 ms fires early and comes back.
        this.#cancelTimer = this.#clock.after(Math.ceil(turn.waitMs), () => this.#pump());
        return;
      }
      this.#grant(turn.lane);
    }
  }

  /** The next lane and its wait in milliseconds; `null`: nothing is queued. */
  #next(nowMs: number): { lane: WriteLane; waitMs: number } | null {
    const waiting = WRITE_LANES.filter((lane) => this.#waiting[lane].size > 0);
    const sharedMs = Math.max(this.#pausedUntilMs - nowMs, this.#all.waitMs(nowMs));
    const turns = waiting.map((lane) => {
      const bucket = lane === "cordon" ? this.#cordons : this.#others;
      return { lane, waitMs: Math.max(sharedMs, bucket.waitMs(nowMs)) };
    });
    const ready = turns.filter(({ waitMs }) => waitMs <= 0);
    const starved = ready.find(({ lane }) => this.#passedOver[lane] >= PASSED_OVER_MAX);
    const [first] = ready;
    if (first !== undefined) return starved ?? first;
    return turns.sort((a, b) => a.waitMs - b.waitMs)[0] ?? null;
  }

  #grant(lane: WriteLane): void {
    const nowMs = this.#clock.monoMs();
    this.#all.spend(nowMs);
    (lane === "cordon" ? this.#cordons : this.#others).spend(nowMs);
    this.#passedOver[lane] = 0;
    for (const lower of WRITE_LANES.slice(WRITE_LANES.indexOf(lane) + 1)) {
      if (this.#waiting[lower].size > 0) this.#passedOver[lower] += 1;
    }
    const [entry] = this.#waiting[lane];
    entry?.settle(true);
  }
}

/**
 * The same API with limited writes. A write waits for its turn for `timeoutMs` at most and then has
 * that time for the call. Without a turn it was certainly not sent, so it is `refused`.
 */
export function limited(api: KubeApi, limiter: Limiter, clock: Clock): KubeApi {
  return {
    async call(request) {
      if (request.verb === "get" || request.verb === "list") return api.call(request);
      const lane = request.lane === "read" ? "status" : request.lane;
      if (!(await waitForTurn(limiter, lane, request, clock))) {
        const why = `no turn within ${request.timeoutMs} ms under the write limit`;
        return unsent("ClientThrottled", why);
      }
      // This process may have been suspended meanwhile: check the reason again.
      if (request.isWanted?.() === false) return notWanted();
      const startedMs = clock.monoMs();
      const answer = await api.call(request);
      const latencyMs = clock.monoMs() - startedMs;
      const isSlow = latencyMs >= request.timeoutMs * 0.9;
      // A connection refused at once says nothing about the server's latency.
      if (answer.kind !== "lost" || isSlow) {
        const throttled = isThrottled(answer);
        const retryAfterMs = answer.kind === "refused" ? answer.retryAfterMs : null;
        limiter.report({ lane, latencyMs, throttled, retryAfterMs });
      }
      return answer;
    },
    watch: (path, query, take, options) => api.watch(path, query, take, options),
    close() {
      limiter.close();
      api.close();
    },
  };
}

async function waitForTurn(
  limiter: Limiter,
  lane: WriteLane,
  { timeoutMs }: KubeRequest,
  clock: Clock,
): Promise<boolean> {
  const late = new AbortController();
  const cancel = clock.after(timeoutMs, () => late.abort());
  try {
    return await limiter.acquire(lane, late.signal);
  } finally {
    cancel();
  }
}

/** The write was certainly not sent: its reason has passed, or there was no room. */
export function unsent(reason: "NotWanted" | "ClientThrottled", why: string): KubeAnswer {
  const status = reason === "NotWanted" ? 412 : 429;
  const message = `not sent: ${why}`;
  return { kind: "refused", status, reason, message, causes: [], retryAfterMs: null };
}

export const notWanted = (): KubeAnswer => unsent("NotWanted", "no longer wanted");

/** 503, or a 429 that is neither a disruption budget's nor an admission webhook's. */
export function isThrottled(answer: KubeAnswer): boolean {
  if (answer.kind !== "refused" || readAdmission(answer.message) !== null) return false;
  if (answer.status === 503) return true;
  if (answer.status !== 429) return false;
  return !answer.causes.some(({ reason }) => reason === "DisruptionBudget");
}
