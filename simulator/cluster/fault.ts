/**
 * What can go wrong between the product and the API server, for tests and scenarios. A fault is
 * decided for each call when it is made, from the random source of the world.
 */
import type { KubeAnswer, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { refused } from "./status.ts";

/** 503 comes from a load balancer or an aggregated API, 401 from an expired credential. */
export type StormStatus = 401 | 429 | 500 | 503 | 504;

export type Storm = {
  status: StormStatus;
  /** Share of calls that get it, 0 to 1. */
  probability: number;
  retryAfterMs?: number;
  /** Share of them that are carried out all the same: a 504 only means too slow. */
  done?: number;
};

export type KubeFault = {
  /** No connection: calls and watches are lost at once. */
  down: boolean;
  /** Nothing is done and nothing answers until the caller gives up. */
  hang: boolean;
  /** From the call to the work; the answer comes with it. What outlasts its caller is done late. */
  latencyMs: number;
  /** Share of calls that are done while their answer is lost. */
  lostAnswers: number;
  storms: readonly Storm[];
  /** Watches stay open without events or bookmarks; all of them arrive when this ends. */
  frozenWatch: boolean;
  /** Delay of watch events after the change. */
  watchLagMs: number;
  /** The calls that the faults are for; `down` is for all. */
  concerns: (request: KubeRequest) => boolean;
};

export const NO_FAULT: KubeFault = {
  down: false,
  hang: false,
  latencyMs: 0,
  lostAnswers: 0,
  storms: [],
  frozenWatch: false,
  watchLagMs: 0,
  concerns: () => true,
};

/** How one call goes. `answer` stands in for the real one; `work` = it is done. */
export type Fate = {
  hang: boolean;
  latencyMs: number;
  work: boolean;
  answer: KubeAnswer | null;
};

export const LOST_CONNECTION = "connect ECONNREFUSED";
const LOST_ANSWER = "the connection was reset before the answer";

export function nextFate(fault: KubeFault, request: KubeRequest, random: () => number): Fate {
  if (fault.down) {
    const answer: KubeAnswer = { kind: "lost", message: LOST_CONNECTION };
    return { hang: false, latencyMs: 0, work: false, answer };
  }
  const { latencyMs } = fault;
  if (!fault.concerns(request)) return { hang: false, latencyMs, work: true, answer: null };
  if (fault.hang) return { hang: true, latencyMs: 0, work: false, answer: null };
  for (const storm of fault.storms) {
    if (!isDrawn(storm.probability, random)) continue;
    const done = storm.done ?? (storm.status === 504 ? 0.5 : 0);
    return { hang: false, latencyMs, work: isDrawn(done, random), answer: stormAnswer(storm) };
  }
  const isLost = isDrawn(fault.lostAnswers, random);
  const answer: KubeAnswer | null = isLost ? { kind: "lost", message: LOST_ANSWER } : null;
  return { hang: false, latencyMs, work: true, answer };
}

/** Draws only where there is a chance, so that a fault that is off changes no sequence. */
const isDrawn = (share: number, random: () => number): boolean =>
  share >= 1 || (share > 0 && random() < share);

export function stormAnswer({ status, retryAfterMs }: Storm): KubeAnswer {
  const after = retryAfterMs === undefined ? {} : { retryAfterMs };
  switch (status) {
    case 401:
      return refused(401, "Unauthorized", "Unauthorized");
    case 429:
      // Priority and fairness answers in plain text, without a Status (apiserver, filters).
      return refused(429, "", "Too many requests, please try again later.", {
        retryAfterMs: 1_000,
        ...after,
      });
    case 500:
      return refused(500, "InternalError", "Internal error occurred: etcdserver: no leader", after);
    case 503:
      return refused(
        503,
        "ServiceUnavailable",
        "the server is currently unable to handle the request",
        after,
      );
    case 504:
      return refused(
        504,
        "Timeout",
        "Timeout: request did not complete within requested timeout - context deadline exceeded",
        after,
      );
  }
}
