/** Drafts of events: about a node in its session, or about a pool or the whole fleet. Pure. */
import type { EventDraft, EventKind } from "../../schema/event.ts";
import type { PoolName } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";

export function nodeEvent(
  { id, pool, session }: Pick<Node, "id" | "pool" | "session">,
  at: number,
  kind: EventKind,
  message: string,
  actor = "navarch",
): EventDraft {
  return { at, kind, node: id, pool, session: session?.id ?? null, actor, message };
}

/** `pool` `null` = the whole fleet. */
export function poolEvent(
  pool: PoolName | null,
  at: number,
  kind: EventKind,
  message: string,
): EventDraft {
  return { at, kind, node: null, pool, session: null, actor: "navarch", message };
}
