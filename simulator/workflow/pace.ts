/**
 * Limits the rate of calls to an API server as client-go does: a token for each call, `burst` saved
 * at most, first come first served. Time is a port.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { notWanted } from "../../reconciler/kubernetes/limiter.ts";

export type Pace = { perSecond: number; burst: number };

/** The time limit of a call begins with its turn. */
export function paced(api: KubeApi, pace: Pace, clock: Clock): KubeApi {
  const turns = new Turns(pace, clock);
  return {
    async call(request) {
      const isWanted = () => request.isWanted?.() !== false;
      return (await turns.next(isWanted)) && isWanted() ? api.call(request) : notWanted();
    },
    async watch(path, query, take, options) {
      const isTurn = await turns.next(() => !options.signal.aborted);
      return isTurn ? api.watch(path, query, take, options) : { kind: "ended" };
    },
    close: () => api.close(),
  };
}

type Waiting = { isWanted: () => boolean; settle: (isTurn: boolean) => void };

class Turns {
  readonly #spanMs: number;
  readonly #savedMs: number;
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  /** Instant of the next turn; one that lies in the past is saved, up to the burst. */
  #nextMs: number;
  #isTimed = false;

  constructor({ perSecond, burst }: Pace, clock: Clock) {
    this.#clock = clock;
    this.#spanMs = 1_000 / perSecond;
    this.#savedMs = (burst - 1) * this.#spanMs;
    this.#nextMs = clock.monoMs() - this.#savedMs;
  }

  /** False without taking a turn once the call is not wanted any more. */
  next(isWanted: () => boolean): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.push({ isWanted, settle: resolve });
    if (!this.#isTimed) this.#pump();
    return promise;
  }

  #pump(): void {
    this.#isTimed = false;
    for (let [head] = this.#waiting; head !== undefined; [head] = this.#waiting) {
      const nowMs = this.#clock.monoMs();
      const isWanted = head.isWanted();
      if (isWanted && this.#nextMs > nowMs) {
        this.#isTimed = true;
        this.#clock.after(Math.ceil(this.#nextMs - nowMs), () => this.#pump());
        return;
      }
      this.#waiting.shift();
      if (isWanted) this.#nextMs = Math.max(this.#nextMs, nowMs - this.#savedMs) + this.#spanMs;
      head.settle(isWanted);
    }
  }
}
