/**
 * Reads the server's events page by page, by the number of the last event read.
 */
import type { EventView } from "../schema/api.ts";
import type { Client, Query } from "./client.ts";
import type { Failure } from "./failure.ts";

export type EventFilter = { node?: string | null; pool?: string | null; since?: string | null };

export type EventPage = { ok: true; events: EventView[]; after: number; more: boolean };

/** Events of one request. */
const PAGE = 1_000;

/** The page after the event `after`; `more` = another page may follow. */
export async function getEvents(
  client: Client,
  filter: EventFilter,
  after: number,
): Promise<EventPage | Failure> {
  const query: Query = {
    node: filter.node ?? null,
    pool: filter.pool ?? null,
    since: filter.since ?? null,
    after: String(after),
    limit: String(PAGE),
  };
  const answer = await client.get<{ events: EventView[]; next?: number | null }>(
    "/events",
    ["events"],
    query,
  );
  if (!answer.ok) return answer;
  const { events, next } = answer.value;
  const last = Math.max(after, next ?? 0, ...events.map((event) => event.id));
  return { ok: true, events, after: last, more: events.length > 0 && last > after };
}

/** Every event after `after`. */
export async function getAllEvents(
  client: Client,
  filter: EventFilter,
  after = 0,
): Promise<EventPage | Failure> {
  const events: EventView[] = [];
  let at = after;
  for (;;) {
    const page = await getEvents(client, filter, at);
    if (!page.ok) return page;
    events.push(...page.events);
    at = page.after;
    if (!page.more) return { ok: true, events, after: at, more: false };
  }
}
