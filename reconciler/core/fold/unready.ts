/**
 * What keeps the machines of a pool from being set up, as the pool remembers it: stored when it
 * begins, or is another thing than before, and forgotten when it ends, with an event each time.
 * Pure; told the same twice, it changes nothing the second time.
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { PoolState } from "../../../schema/node.ts";

/** `null` = nothing changes. What is not `known` yet leaves what was known before. */
export function stepUnready(
  state: PoolState | undefined,
  hindrance: { message: string; known: boolean } | null,
  { now }: { now: number },
): { pool: PoolState; events: EventDraft[] } | null {
  if (state === undefined || hindrance?.known === false) return null;
  const before = state.unready ?? null;
  const why = hindrance?.message ?? null;
  if (why === (before?.why ?? null)) return null;
  const message =
    why === null
      ? `machines can be set up again: ${before?.why ?? ""} is no more`
      : `no machine can be set up, so none is bought: ${why}`;
  const about = { at: now, node: null, pool: state.name, session: null, actor: "navarch" };
  return {
    pool: { ...state, unready: why === null ? null : { why, since: before?.since ?? now } },
    events: [{ ...about, kind: "pool.condition", message }],
  };
}
