/**
 * A store that a person has given to another fleet: this process acts for it no more, and ends, so
 * that the next start opens everything with the new id.
 */
import type { Fact } from "../../../schema/safety.ts";
import type { Clock } from "../../core/clock.ts";
import { ownerIn } from "../../core/stranger.ts";
import type { Snapshot, Store } from "../../core/store.ts";

/** `restart` ends this process. */
type Acting = { fleetId: string; clock: Clock; restart(fleet: string): void };

/** The person has the answer by then, and the audit its row. */
const ANSWER_MS = 1_000;

/** What the store has, if it is this fleet's: lists of another would lack every machine of it. */
export async function loadOwn({ fleetId, restart }: Acting, store: Store): Promise<Snapshot> {
  const snapshot = await store.load();
  const owner = ownerIn(snapshot.facts, fleetId);
  if (owner === null) return snapshot;
  restart(owner);
  throw new Error(`the store is fleet ${owner}'s now`);
}

/** Called with what was committed. */
export function endForOwner({ fleetId, clock, restart }: Acting, facts: readonly Fact[]): void {
  const owner = ownerIn(facts, fleetId);
  if (owner !== null) clock.after(ANSWER_MS, () => restart(owner));
}
