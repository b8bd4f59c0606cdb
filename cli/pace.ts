/**
 * The polling interval of a command that keeps running. If the control plane stops answering,
 * polling continues more slowly: it may be restarting.
 */
import { backoffMs } from "../reconciler/core/turn/backoff.ts";
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
  let failures = 0;
  let isKnown = false;
  return {
    answered() {
      isKnown = true;
      failures = 0;
      return everyMs;
    },
    failed({ exit }) {
      if (exit !== EXIT.unreachable || !isKnown) return null;
      failures += 1;
      return { restMs: backoffMs(failures + 1, everyMs, REST_MAX_MS), isFirst: failures === 1 };
    },
  };
}
