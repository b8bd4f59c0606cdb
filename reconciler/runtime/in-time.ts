/** Bounds the calls of clouds that only read. */
import type { Clock } from "../core/clock.ts";
import type { Failed } from "../core/provider.ts";

const CALL_MS = 60_000;

/** A call without an answer, or that throws, has failed, so that the next may begin. */
export async function inTime<A>(clock: Clock, start: () => Promise<A>): Promise<A | Failed> {
  const { promise, resolve } = Promise.withResolvers<Failed>();
  const failed = (message: string): Failed => ({ kind: "failed", class: "unavailable", message });
  const late = (): void => resolve(failed(`no answer within ${CALL_MS / 1_000} s`));
  const cancel = clock.after(CALL_MS, late);
  try {
    return await Promise.race([start(), promise]);
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  } finally {
    cancel();
  }
}
