/** Records in a pool why its machines cannot be set up, with an event for each change. Pure. */
import type { EventDraft } from "../../../schema/event.ts";
import type { PoolState } from "../../../schema/node.ts";
import { poolEvent } from "../event-draft.ts";
import { type Hindrance, sayHindrance } from "../say/limit.ts";

/** `null` = no change. A hindrance with `known: false` changes nothing. */
export function stepUnready(
  state: PoolState | undefined,
  hindrance: { why: Hindrance; known: boolean } | null,
  { now }: { now: number },
): { pool: PoolState; events: EventDraft[] } | null {
  if (state === undefined || hindrance?.known === false) return null;
  const before = state.unready ?? null;
  const why = hindrance === null ? null : sayHindrance(hindrance.why);
  if (why === (before?.why ?? null)) return null;
  const message =
    why === null
      ? `machines can be set up again; resolved: ${before?.why ?? ""}`
      : `no machine can be set up, so none is bought: ${why}`;
  return {
    pool: { ...state, unready: why === null ? null : { why, since: before?.since ?? now } },
    events: [poolEvent(state.name, now, "pool.condition", message)],
  };
}
