/** One pool: its size and why, what holds it back, limits, places, decisions and nodes. Pure. */
import { html } from "hono/html";
import type { EventView, ExplainView } from "../../../schema/api.ts";
import { NODES_PER_PAGE } from "../view/fleet.ts";
import type { PlaceView } from "../view/place.ts";
import type { StatusView } from "../view/pool.ts";
import { type FleetRow, NODE_COLUMNS, nodeRow, poolHealth } from "./fleet.ts";
import { formatPager, formatTone, plainText } from "./kit.ts";
import {
  facts,
  formatSpan,
  NOTHING,
  perHour,
  poolCost,
  poolPath,
  since,
  text,
} from "./node-cell.ts";
import { eventsBlock } from "./node.ts";
import type { Block, Html, Page, Row } from "./page.ts";

export type PoolValues = {
  url: URL;
  status: StatusView;
  explain: ExplainView;
  rows: FleetRow[];
  total: number;
  page: number;
  /** Newest first. */
  events: EventView[];
  /** The reader may hold and release it. */
  mayAct: boolean;
};

export function poolPage(values: PoolValues): Page {
  const { status, explain } = values;
  return {
    title: `Pool ${status.name}`,
    nav: "/fleet",
    blocks: [
      sizeBlock(values),
      lines("blockers", "What holds it back", explain.blockers, "Nothing holds the pool back."),
      lines("limits", "Limits", explain.limits ?? [], "No budget around the pool is in use."),
      placesBlock(status.places),
      nodesBlock(values),
      eventsBlock(values.events, null),
    ],
  };
}

function sizeBlock(values: PoolValues): Block {
  const { status, explain, mayAct } = values;
  const { hold, cost } = status;
  const held =
    hold === null
      ? html``
      : html`<p>${formatTone("warn", "held")} by ${plainText(hold.by)} until
${hold.until === null ? "it is released" : since(hold.until)}: ${plainText(hold.why)}</p>`;
  const next = explain.next === null ? "" : html`<p>Next: ${plainText(explain.next)}.</p>`;
  const body = html`<p>${poolHealth(status)}</p>${held}
<p>${plainText(explain.state)}.</p>${next}${decision(status)}
${facts([
  ["nodes", html`${status.total_nodes}`],
  ["wanted", html`${status.desired}`],
  ["bounds", html`${status.min_nodes}–${status.max_nodes}`],
  ["starting", html`${status.provisioning}`],
  ["draining", html`${status.draining}`],
  ["cordoned", html`${status.cordoned_nodes}`],
  ["GPU utilisation", status.utilization === null ? NOTHING : html`${status.utilization} %`],
  ["queue", queue(status)],
  ["cost", poolCost(cost)],
  ["cost this month (UTC)", cost === undefined ? NOTHING : html`$${cost.month.toFixed(2)}`],
])}${actions(status, mayAct)}`;
  return { id: "size", heading: "Size and health", kind: "text", body };
}

function decision({ decision: made, cooldown_remaining_s: rest }: StatusView): Html {
  if (made === null) return html`<p>No autoscaler sizes it.</p>`;
  const span = formatSpan((rest ?? 0) * 1_000);
  const wait = rest === null || rest === 0 ? "" : `; it may act again in ${span}`;
  const { verdict, because, at } = made;
  return html`<p>Autoscaler: ${verdict}: ${plainText(because)} <span class="soft">${since(at)}</span
>${wait}.</p>`;
}

function queue({ queue: known, pending_jobs: pending, queue_depth: depth }: StatusView): Html {
  if (known === null) return NOTHING;
  return html`${depth} deep, ${pending} waiting <span class="soft">(${known.source})</span>`;
}

function actions({ name, hold }: StatusView, mayAct: boolean): Html {
  if (!mayAct) return html``;
  const [verb, words] = hold === null ? ["hold", "Hold"] : ["release", "Release hold"];
  return html`<p class="actions"><a class="button" href="${poolPath(name, verb)}"
    aria-label="${words} of pool ${name}">${words}</a></p>`;
}

function lines(id: string, heading: string, all: readonly string[], empty: string): Block {
  const items = all.map((line) => html`<li>${plainText(line)}</li>`);
  const body =
    all.length === 0 ? html`<p class="empty">${empty}</p>` : html`<ul class="lines">${items}</ul>`;
  return { id, heading, kind: "text", body };
}

function placesBlock(places: readonly PlaceView[]): Block {
  return {
    id: "places",
    heading: "Places to buy",
    kind: "table",
    above: null,
    columns: [
      { name: "Place" },
      { name: "Price", align: "right" },
      { name: "Capacity" },
      { name: "Nodes", align: "right" },
      { name: "Rests" },
    ],
    rows: places.map(placeRow),
    empty: "No provider offers a place for this pool.",
    below: null,
  };
}

function placeRow(one: PlaceView): Row {
  const { place, price_per_hour: price, max_price: most, available, rest_until: rest, why } = one;
  const words = available === null ? "not known" : available ? "available" : "none";
  const cap = most === null ? "" : html` <span class="soft">at most $${most.toFixed(2)}/h</span>`;
  const until = rest === null ? "" : html`until ${since(rest)}: `;
  return {
    id: `place-${place}`,
    ...(rest === null ? {} : { tone: "warn" as const }),
    cells: [
      text(place),
      html`${perHour(price)}${cap}`,
      formatTone(available === null ? "off" : available ? "ok" : "warn", words),
      html`${one.nodes}`,
      html`${until}${text(why)}`,
    ],
  };
}

function nodesBlock({ url, rows, total, page, status }: PoolValues): Block {
  return {
    id: "nodes",
    heading: "Nodes",
    kind: "table",
    above: null,
    columns: NODE_COLUMNS,
    rows: rows.map(nodeRow),
    empty: `Pool ${status.name} has no nodes.`,
    below: formatPager(url, page, NODES_PER_PAGE, total),
  };
}
