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
  const turn = openTurns(pace, clock);
  return {
    async call(request) {
      await turn();
      // The reason may have passed while the call waited.
      return request.isWanted?.() === false ? notWanted() : api.call(request);
    },
    async watch(path, query, take, options) {
      await turn();
      return api.watch(path, query, take, options);
    },
    close: () => api.close(),
  };
}

/** Each call takes the next turn; turns that were not used are saved up to `burst`. */
function openTurns({ perSecond, burst }: Pace, clock: Clock): () => Promise<void> {
  const spanMs = 1_000 / perSecond;
  let freeMs = clock.monoMs() - burst * spanMs;
  return () => {
    const nowMs = clock.monoMs();
    freeMs = Math.max(freeMs, nowMs - burst * spanMs) + spanMs;
    const waitMs = freeMs - nowMs;
    if (waitMs <= 0) return Promise.resolve();
    return new Promise((resolve) => void clock.after(Math.ceil(waitMs), resolve));
  };
}
