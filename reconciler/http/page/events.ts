/** The page `/events`: events of the fleet, newest first, with filters in the URL. Pure. */
import type { EventView } from "../../../schema/api.ts";
import { EVENT_KINDS, EVENTS } from "../../../schema/event.ts";
import { say, sayFilters, sayNode, sayPager, sayPool, sayTime } from "./cell.ts";
import { formatTone } from "./kit.ts";
import type { Page, Tone } from "./page.ts";

/** Filters as the URL has them; `null` = any. */
export type EventFilters = {
  node: string | null;
  pool: string | null;
  kind: string | null;
  since: string | null;
  q: string | null;
};

export type EventsPageFrom = {
  events: readonly EventView[];
  filters: EventFilters;
  /** The cursor of this page, and of the next older one. */
  before: string | null;
  next: string | null;
};

export function eventsPage({ events, filters, before, next }: EventsPageFrom): Page {
  const { node, pool, kind, since, q } = filters;
  return {
    title: "Events",
    nav: "/events",
    blocks: [
      {
        id: "events",
        heading: "Events, newest first",
        kind: "table",
        above: sayFilters("/events", "Filter events", [
          { name: "node", label: "Node", value: node },
          { name: "pool", label: "Pool", value: pool },
          { name: "kind", label: "Kind", value: kind, choices: EVENT_KINDS },
          { name: "since", label: "Since", value: since, placeholder: "24h or 2026-11-23T12:00Z" },
          { name: "q", label: "Text", value: q, placeholder: "XID 79" },
        ]),
        columns: [
          { name: "Time" },
          { name: "Kind" },
          { name: "Node" },
          { name: "Pool" },
          { name: "What happened" },
          { name: "Repair" },
          { name: "By" },
        ],
        rows: events.map((event) => ({
          id: `event-${event.id}`,
          tone: toneOf(event.kind),
          cells: [
            sayTime(event.at),
            formatTone(toneOf(event.kind), event.kind),
            sayNode(event.node_id),
            sayPool(event.pool),
            say(event.message),
            say(event.session_id),
            say(event.actor),
          ],
        })),
        empty: "No event matches. Remove a filter, or choose an earlier start.",
        below: sayPager("events", "/events", filters, { key: "before", current: before, next }),
      },
    ],
  };
}

function toneOf(kind: string): Tone {
  const known: readonly [level: string, text: string] | null =
    (EVENTS as Readonly<Record<string, readonly [string, string] | null>>)[kind] ?? null;
  const level = known?.[0];
  return level === "error" ? "bad" : level === "warn" ? "warn" : "ok";
}
