/**
 * Idempotency keys of requests that change a pool's size. Pure. They are stored with the pool in
 * the transaction of the change, so the same request, repeated after a lost answer or to the next
 * process, changes nothing. Refused requests are not kept.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { PoolState } from "../../../schema/node.ts";

/** Longer than any client retries; `LIMIT.askedMax` bounds a client that sends a key a second. */
const KEPT_MS = 24 * 3_600_000;

type Recall =
  | { kind: "new" }
  | { kind: "done" }
  /** The key was used for another request. */
  | { kind: "other"; what: string };

/**
 * Whether `what` was carried out under `key` before; without a key nothing was. `what` has one form
 * for equal requests.
 */
export function recall(state: PoolState, key: string | null, what: string): Recall {
  const before = key === null ? undefined : state.asked?.find((one) => one.key === key);
  if (before === undefined) return { kind: "new" };
  return before.what === what ? { kind: "done" } : { kind: "other", what: before.what };
}

export function remember(
  state: PoolState,
  key: string | null,
  what: string,
  now: number,
): PoolState {
  if (key === null) return state;
  const young = (state.asked ?? []).filter((one) => now - one.at < KEPT_MS && one.key !== key);
  const asked = [...young, { key, what, at: now }].slice(-LIMIT.askedMax);
  return { ...state, asked };
}
