/**
 * Requests about a pool's size that were carried out under a key of the asker's, kept with the pool
 * in the transaction that carried them out: told again after a lost answer, or to the next process,
 * the same request changes nothing. Pure. Requests that were refused are not kept.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { PoolState } from "../../../schema/node.ts";

export type Asked = {
  key: string;
  /** What was asked, in one form for equal requests. */
  what: string;
  /** Wall milliseconds. */
  at: number;
};

/** Longer than anybody tries again; the bound in number is for an asker with a key a second. */
const KEPT_MS = 24 * 3_600_000;

export type Recall =
  | { kind: "new" }
  | { kind: "done" }
  /** The key was used for something else. */
  | { kind: "other"; what: string };

/** Whether `what` was carried out under `key` before; without a key nothing was. */
export function recall(state: PoolState, key: string | null, what: string): Recall {
  const before = key === null ? undefined : askedOf(state).find((one) => one.key === key);
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
  const young = askedOf(state).filter((one) => now - one.at < KEPT_MS && one.key !== key);
  const asked = [...young, { key, what, at: now }].slice(-LIMIT.askedMax);
  return { ...state, asked };
}

function askedOf(state: PoolState): readonly Asked[] {
  return state.asked ?? [];
}
