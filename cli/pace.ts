/**
 * The polling interval of a command that keeps running. If the control plane stops answering,
 * polling continues more slowly: it may be restarting.
 */
import { EXIT, type Failure } from "./failure.ts";

/** Longest pause while the control plane does not answer. */
const REST_MAX_MS = 15_000;

export type Pace = {
  /** After an answer: milliseconds to the next request. */
  answered(): number;
  /** `isFirst` = first failure after an answer; `null` = permanent error. */
  failed(failure: Failure): { restMs: number; isFirst: boolean } | null;
};

export function openPace(everyMs: number): Pace {
  let restMs = everyMs;
  let isKnown = false;
  return {
    answered() {
      isKnown = true;
      restMs = everyMs;
      return restMs;
    },
    failed({ exit }) {
      if (exit !== EXIT.unreachable || !isKnown) return null;
      const isFirst = restMs === everyMs;
      restMs = Math.min(REST_MAX_MS, restMs * 2);
      return { restMs, isFirst };
    },
  };
}
