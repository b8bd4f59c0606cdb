/**
 * The bootstrap guard (docs/reference/safety.md#bootstrap-guard) records whether new nodes come up,
 * by offer and set-up. A failing combination is tried slowly, one node at a time; the first
 * verified node clears it. A timeout is a failure. Pure.
 */
import { createHash } from "node:crypto";
import type { PoolConfig } from "../../../schema/config.ts";
import type { PoolState } from "../../../schema/node.ts";
import { digestOf, machinePart } from "../machine-setting.ts";
import { backoffMs } from "../turn/backoff.ts";

type Guard = NonNullable<PoolState["guards"]>[string];

/** Suspect: this many failures in a row, or half of the last outcomes. */
const CONSECUTIVE_MAX = 3;
const OUTCOMES_KEPT = 8;
/** One try per ten minutes, doubling to an hour. */
const REST_FIRST_MS = 10 * 60_000;
const REST_MAX_MS = 60 * 60_000;
/** Keys kept for one pool: a long list of offers under a few set-ups. */
const KEYS_MAX = 64;

/** `<offer>#<set-up>`: another image or set-up starts with a clean record. */
export function guardKey(pool: PoolConfig, offerKey: string): string {
  const { bootstrap, instanceType } = pool;
  const own = pool.providers.flatMap(({ name, settings }) => {
    const machine = machinePart(settings);
    return machine === undefined ? [] : [`${name} ${digestOf(machine)}`];
  });
  const { setupCommands, sshUser, pushAgent } = bootstrap;
  // Records of pools that set nothing over their providers keep their key.
  const made = [instanceType, setupCommands, sshUser, pushAgent, ...own];
  const digest = createHash("sha256").update(JSON.stringify(made)).digest("hex").slice(0, 8);
  return `${offerKey}#${digest}`;
}

export function guardOf(state: PoolState, key: string): Guard | null {
  return state.guards?.[key] ?? null;
}

export function isSuspect(guard: Guard | null): boolean {
  if (guard === null) return false;
  const failed = guard.outcomes.filter((verified) => !verified).length;
  const half = guard.outcomes.length >= OUTCOMES_KEPT && failed * 2 >= guard.outcomes.length;
  return guard.failures >= CONSECUTIVE_MAX || (guard.failures > 0 && half);
}

/** A node of this key was verified. */
export function countVerified(state: PoolState, key: string, now: number): PoolState {
  const before = guardOf(state, key);
  // A key that has never failed needs no record.
  if (before === null) return state;
  const outcomes = [...before.outcomes, true].slice(-OUTCOMES_KEPT);
  const clean = outcomes.every(Boolean);
  const { [key]: _, ...rest } = state.guards ?? {};
  const after: Guard = { failures: 0, outcomes, notBefore: 0, at: now };
  return { ...state, guards: clean ? rest : { ...rest, [key]: after } };
}

/** A node of this key never came up, or failed its first check. */
export function countFailed(state: PoolState, key: string, now: number): PoolState {
  const before = guardOf(state, key) ?? { failures: 0, outcomes: [], notBefore: 0, at: 0 };
  const failures = before.failures + 1;
  const outcomes = [...before.outcomes, false].slice(-OUTCOMES_KEPT);
  const after: Guard = { failures, outcomes, notBefore: 0, at: now };
  if (isSuspect(after)) {
    after.notBefore = now + backoffMs(failures - CONSECUTIVE_MAX + 1, REST_FIRST_MS, REST_MAX_MS);
  }
  const guards = Object.entries({ ...state.guards, [key]: after });
  guards.sort(([, a], [, b]) => a.at - b.at);
  return { ...state, guards: Object.fromEntries(guards.slice(-KEYS_MAX)) };
}
