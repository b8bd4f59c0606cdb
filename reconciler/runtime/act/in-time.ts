/** Bounds the calls of clouds that only read. */
import type { Clock } from "../../core/clock.ts";
import type { Failed } from "../../core/provider.ts";
import { inTime } from "../../core/turn/time-limit.ts";

const CALL_MS = 60_000;

/** A call without an answer, or that throws, has failed, so that the next may begin. */
export async function callInTime<A>(
  clock: Clock,
  start: () => Promise<A>,
  limitMs = CALL_MS,
): Promise<A | Failed> {
  const failed = (message: string): Failed => ({ kind: "failed", class: "unavailable", message });
  try {
    const late = (): Failed => failed(`no answer within ${limitMs / 1_000} s`);
    return await inTime(clock, limitMs, start, late);
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}
