/**
 * The page `/money`: what runs and what it costs by pool and provider, the ceilings, what is held
 * back for them, and each day. Shows what `GET /v1/cost` and `/v1/safety` answer. Pure.
 */
import { html } from "hono/html";
import type { BillView, SafetyView } from "../../../schema/api.ts";
import type { CostGroup, CostRow, CostView } from "../../../schema/cost-view.ts";
import type { WaitReason } from "../../../schema/plan.ts";
import { type WaitGroup, waitKeyOf } from "../view/wait.ts";
import { billedBlock } from "./billed.ts";
import { formatDollars, hrefOf, idOf, say, sayCount, sayDollars } from "./cell.ts";
import { sayNode, sayPool, sayAge } from "./cell.ts";
import { barsChart, CHART_SCRIPT } from "./plot.ts";
import type { Block, Column, Html, Page, Row } from "./page.ts";
import { sayWaiting } from "./safety.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** Reasons for which nothing is bought. */
const PURCHASE: readonly WaitReason[] = [
  "spend",
  "bootstrap_guard",
  "provider",
  "other_fleet",
  "backoff",
];
const WAITS_MAX = 100;

export type MoneyPageFrom = {
  cost: CostView;
  safety: SafetyView;
  waits: readonly WaitGroup[];
};

export function moneyPage({ cost, safety, waits }: MoneyPageFrom): Page {
  return {
    title: "Money",
    nav: "/money",
    blocks: [
      totalBlock(cost),
      costsBlock("pools", "By pool", cost, cost.pools, (name) => sayPool(name || null)),
      costsBlock("providers", "By provider", cost, cost.providers, say),
      idleBlock(cost.idle),
      idleInstancesBlock(cost.idle),
      ceilingsBlock(safety.bills),
      refusedBlock(waits),
      billedBlock(safety.still_billed),
      chartBlock(cost),
      daysBlock(cost),
    ],
  };
}

function periodOf({ month, from, to }: CostView): string {
  return month ?? `${from.slice(0, 10)} to ${to.slice(0, 10)}`;
}

function totalBlock(cost: CostView): Block {
  const { total, open_purchases: open } = cost;
  const unpriced = total.unknown_prices;
  const unknown = unpriced === 0 ? "" : `, ${unpriced} of them of unknown price`;
  const ahead = total.projected;
  const cards: [string, Html][] = [
    ["Now", html`${formatDollars(total.per_hour)}/h, ${total.instances} instances${unknown}`],
    ["Today (UTC)", sayDollars(total.today)],
    [periodOf(cost), sayDollars(total.period)],
  ];
  if (ahead !== null) cards.push(["Month, if all goes on", sayDollars(ahead)]);
  if (total.unknown_hours > 0) {
    cards.push(["Instance-hours of unknown price", sayCount(total.unknown_hours)]);
  }
  if (open.count > 0) {
    const most = formatDollars(open.possible);
    cards.push(["Purchases not confirmed", html`${open.count}, at most ${most} so far`]);
  }
  const body = html`<dl class="facts">
    ${cards.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>
  <form class="line" method="get" action="/money" aria-label="Month">
    <label>Month <input type="month" name="month" value="${cost.month ?? ""}"
      placeholder="YYYY-MM" maxlength="7"></label>
    <button type="submit">Show</button>
    <a href="${hrefOf("/money")}">This month</a>
  </form>`;
  return { id: "total", heading: "Fleet", kind: "text", body };
}

function costsBlock(
  id: string,
  heading: string,
  cost: CostView,
  rows: readonly CostRow[],
  sayName: (name: string) => Html,
): Block {
  const columns: Column[] = [
    { name: "Name" },
    { name: "Instances", align: "right" },
    { name: "$/h", align: "right" },
    { name: "$/h at most", align: "right" },
    { name: "Today", align: "right" },
    { name: periodOf(cost), align: "right" },
    { name: "Projected", align: "right" },
    { name: "Month at most", align: "right" },
  ];
  return {
    id,
    heading,
    kind: "table",
    above: null,
    columns,
    rows: rows.map((row): Row => {
      const { per_month_max: monthMax, per_hour_max: hourMax } = row;
      const over = monthMax !== null && (row.projected ?? row.period) > monthMax;
      const unknown = row.unknown_prices === 0 ? "" : ` + ${row.unknown_prices} unknown`;
      return {
        id: idOf(id, row.name),
        tone: over ? "warn" : row.instances === 0 ? "off" : "ok",
        cells: [
          sayName(row.name),
          sayCount(row.instances),
          html`${formatDollars(row.per_hour)}${unknown}`,
          sayDollars(hourMax),
          sayDollars(row.today),
          sayDollars(row.period),
          sayDollars(row.projected),
          sayDollars(monthMax),
        ],
      };
    }),
    empty: "Nothing costs money.",
    below: null,
  };
}

function idleBlock(groups: readonly CostGroup[]): Block {
  return {
    id: "idle",
    heading: "Billed without serving",
    kind: "table",
    above: null,
    columns: [
      { name: "State" },
      { name: "Instances", align: "right" },
      { name: "$/h", align: "right" },
      { name: "In this state so far", align: "right" },
    ],
    rows: groups.map((group) => ({
      id: `idle-${group.state}`,
      tone: group.state === "starting" ? "busy" : "warn",
      cells: [
        say(group.state),
        sayCount(group.count),
        sayDollars(group.per_hour),
        sayDollars(group.accrued),
      ],
    })),
    empty: "Each billed instance serves.",
    below: null,
  };
}

function idleInstancesBlock(groups: readonly CostGroup[]): Block {
  const all = groups.flatMap(({ state, instances }) => instances.map((one) => ({ state, one })));
  const hidden = groups.reduce((sum, one) => sum + one.count - one.instances.length, 0);
  return {
    id: "idle-instances",
    heading: "Those instances, the most expensive first",
    kind: "table",
    above: null,
    columns: [
      { name: "Node" },
      { name: "State" },
      { name: "Since" },
      { name: "Pool" },
      { name: "Provider" },
      { name: "$/h", align: "right" },
      { name: "So far", align: "right" },
    ],
    rows: all.map(({ state, one }) => ({
      id: idOf("idle", one.provider, one.instance_id),
      cells: [
        sayNode(one.node_id),
        say(state),
        sayAge(one.since),
        sayPool(one.pool),
        say(one.provider),
        sayDollars(one.price_per_hour),
        sayDollars(one.accrued),
      ],
    })),
    empty: "None.",
    below: hidden === 0 ? null : html`<p>${hidden} more are not shown.</p>`,
  };
}

function ceilingsBlock(bills: readonly BillView[]): Block {
  const of = (most: number | null | undefined, used: number): boolean =>
    most !== null && most !== undefined && used >= most;
  return {
    id: "ceilings",
    heading: "Ceilings",
    kind: "table",
    above: html`<p>Committed spend: what is billed, and purchases that are not confirmed.</p>`,
    columns: [
      { name: "Scope" },
      { name: "Instances", align: "right" },
      { name: "At most", align: "right" },
      { name: "$/h", align: "right" },
      { name: "$/h at most", align: "right" },
      { name: "Month", align: "right" },
      { name: "Month at most", align: "right" },
    ],
    rows: bills.map((bill) => {
      const { instances_max: instancesMax, per_hour_max: hourMax, month_max: monthMax } = bill;
      const full =
        of(instancesMax, bill.instances) ||
        of(hourMax, bill.per_hour) ||
        of(monthMax, bill.month ?? 0);
      return {
        id: idOf("ceiling", bill.scope),
        tone: full ? "warn" : "ok",
        cells: [
          say(bill.scope),
          sayCount(bill.instances),
          sayCount(instancesMax),
          sayDollars(bill.per_hour),
          sayDollars(hourMax),
          sayDollars(bill.month ?? null),
          sayDollars(monthMax ?? null),
        ],
      };
    }),
    empty: "No ceiling is configured.",
    below: null,
  };
}

function refusedBlock(waits: readonly WaitGroup[]): Block {
  const held = waits.filter(({ reason }) => PURCHASE.some((one) => one === reason));
  return {
    id: "refused",
    heading: "Not bought, and why",
    kind: "table",
    above: null,
    columns: [{ name: "For" }, { name: "Reason" }, { name: "Why" }, { name: "Next try" }],
    rows: held.slice(0, WAITS_MAX).map((wait) => ({
      id: idOf("refused", waitKeyOf(wait)),
      tone: "warn",
      cells: [sayWaiting(wait), say(wait.reason), say(wait.message), sayAge(wait.until)],
    })),
    empty: "No purchase is held back.",
    below: null,
  };
}

function chartBlock({ days }: CostView): Block {
  const times = days.map(({ day }) => parseInstant(`${day}T00:00:00Z`) / 1_000);
  const dollars = { name: "Dollars", values: days.map((day) => day.dollars) };
  const chart = barsChart("Dollars for each day", { unit: "$", times }, dollars);
  const body = html`${chart}${CHART_SCRIPT}`;
  return { id: "chart", heading: "Each day", kind: "text", body };
}

function daysBlock({ days }: CostView): Block {
  return {
    id: "days",
    heading: "Days as figures (UTC)",
    kind: "table",
    above: null,
    columns: [
      { name: "Day" },
      { name: "Dollars", align: "right" },
      { name: "Hours of unknown price", align: "right" },
    ],
    rows: days.map(({ day, dollars, unknown_hours: unknown }) => ({
      id: `day-${day}`,
      cells: [say(day), sayDollars(dollars), sayCount(unknown)],
    })),
    empty: "Nothing was billed in this time.",
    below: null,
  };
}
