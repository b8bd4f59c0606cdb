/**
 * How often a command that goes on asks its question. A control plane that goes away after it
 * answered is waited for: it may be restarting.
 */
import { EXIT, type Failure } from "./failure.ts";

/** While the control plane is away it is asked less and less often, up to this. */
const REST_MAX_MS = 15_000;

export type Pace = {
  /** An answer came; milliseconds to the next question. */
  answered(): number;
  /** `isFirst` = it went away just now; `null` = another question would change nothing. */
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
