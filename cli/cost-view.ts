/** Formats what the fleet costs: totals, then pools, providers and what does not serve. Pure. */
import type { CostRow, CostView, PoolCostView } from "../schema/cost-view.ts";
import { formatSpan, formatTime } from "./age.ts";
import { formatLabels, formatTable, plain, type Style } from "./table.ts";
import { parseInstant } from "../schema/instant.ts";

export function formatCost(view: CostView, nowMs: number, style: Style): string {
  const { total, open_purchases: open, other_fleets: others = [] } = view;
  const isCurrent = total.projected !== null;
  const period = isCurrent ? "Month to Date" : "Period Cost";
  const labels: [string, string][] = [
    ["Period", `${day(view.from)} to ${formatTime(view.to)} (UTC)`],
    ["Now", `${hourly(total)} for ${count(total.instances, "instance")}${unpriced(total)}`],
    ["Today", money(total.today)],
    [period, `${money(total.period)}${unknownHours(total)}`],
  ];
  if (total.projected !== null) labels.push(["Projected Month", money(total.projected)]);
  labels.push(...ceilingsOf(total));
  if (open.count > 0) {
    const possible = `${money(open.possible)} so far at ${money(open.per_hour)}/h`;
    const more = open.unknown_prices === 0 ? "" : `, ${open.unknown_prices} of unknown price`;
    labels.push(["Open Purchases", `${open.count}: up to ${possible}${more}, not included`]);
  }
  for (const { fleet_id: id, machines, per_hour: hour, unknown_prices: none } of others) {
    const open = none === 0 ? "" : `, ${none} of unknown price`;
    const what = `${count(machines, "machine")} of ${plain(id)}: ${money(hour)}/h${open}`;
    labels.push(["Other Fleet", `${what}, not included (navarch fleet list)`]);
  }
  return [
    formatLabels(labels, style),
    rowsOf("Pool", view.pools, style),
    rowsOf("Provider", view.providers, style),
    idleOf(view, style),
    instancesOf(view, nowMs, style),
  ].join("");
}

/** One line for `pool status`. */
export function formatPoolCost(cost: PoolCostView): string {
  const { per_hour, unknown_prices, today, month, month_max } = cost;
  const more = unknown_prices === 0 ? "" : `, ${unknown_prices} of unknown price`;
  const most = month_max === null ? "" : ` of at most ${money(month_max)}`;
  return `${money(per_hour)}/h${more}; today ${money(today)}, month ${money(month)}${most}`;
}

/** A column that says nothing in any row is left out. */
function rowsOf(what: string, rows: readonly CostRow[], style: Style): string {
  if (rows.length === 0) return "";
  const hasUnknown = rows.some((row) => row.unknown_prices > 0 || row.unknown_hours > 0);
  const head = [what, "Billed", "$/h", "Today", "Period", "Projected", "Used"];
  const cells = rows.map((row) => [
    row.name === "" ? "(none)" : row.name,
    `${row.instances}`,
    round(row.per_hour),
    round(row.today),
    round(row.period),
    row.projected === null ? "" : round(row.projected),
    tightest(row),
    ...(hasUnknown ? [`${row.unknown_prices} (${row.unknown_hours} h)`] : []),
  ]);
  return `\n${formatTable(hasUnknown ? [...head, "Unknown"] : head, cells, style)}`;
}

/** The ceiling that is used most. */
function tightest(row: CostRow): string {
  const used: { text: string; share: number }[] = [];
  const add = (is: number, max: number | null, unit: string): void => {
    if (max === null) return;
    const share = shareOf(is, max);
    used.push({ text: `${percent(share)} (${unit})`, share });
  };
  add(row.per_hour, row.per_hour_max, "$/h");
  if (row.projected !== null) add(row.period, row.per_month_max, "month");
  return used.sort((x, y) => y.share - x.share)[0]?.text ?? "";
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

function shareOf(is: number, max: number): number {
  if (max > 0) return is / max;
  return is > 0 ? Infinity : 1;
}

function ceilingsOf(total: CostRow): [string, string][] {
  const out: [string, string][] = [];
  const { per_hour: hour, per_hour_max: hourMax, per_month_max: monthMax, period } = total;
  if (hourMax !== null) {
    out.push(["Hourly Ceiling", `${money(hourMax)}/h, ${percent(shareOf(hour, hourMax))} used`]);
  }
  if (monthMax !== null && total.projected !== null) {
    out.push(["Monthly Ceiling", `${money(monthMax)}, ${percent(shareOf(period, monthMax))} used`]);
  }
  return out;
}

function idleOf({ idle }: CostView, style: Style): string {
  if (idle.length === 0) return "\nEvery billed instance serves.\n";
  const rows = idle.map((group) => [
    group.state,
    `${group.count}`,
    round(group.per_hour),
    round(group.accrued),
    `${group.unknown_prices}`,
  ]);
  const head = ["Not Serving", "Instances", "$/h", "Accrued", "Unknown Prices"];
  return `\n${formatTable(head, rows, style)}`;
}

/** States that last until a person or the cloud acts; the others pass. */
const LASTING: readonly string[] = ["held", "silent", "surplus", "terminating"];

function instancesOf({ idle }: CostView, nowMs: number, style: Style): string {
  const rows = idle
    .filter(({ state }) => LASTING.includes(state))
    .flatMap(({ state, instances }) =>
      instances.map((one) => [
        one.node_id,
        state,
        formatSpan(nowMs - parseInstant(one.since)),
        one.price_per_hour === null ? "unknown" : one.price_per_hour.toFixed(2),
        one.accrued === null ? "unknown" : round(one.accrued),
        one.provider,
        one.instance_id,
      ]),
    );
  if (rows.length === 0) return "";
  const head = ["Node ID", "State", "For", "$/h", "Accrued", "Provider", "Instance ID"];
  return `\n${formatTable(head, rows, style)}`;
}

/** `$1,234.50`. */
export function money(dollars: number): string {
  return `$${plainMoney(dollars)}`;
}

function plainMoney(dollars: number): string {
  return dollars.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

/** From $10,000 on without cents, so that a row fits. */
function round(dollars: number): string {
  if (dollars < 10_000) return plainMoney(dollars);
  return Math.round(dollars).toLocaleString("en-US");
}

const day = (at: string): string => at.slice(0, 10);
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;
const hourly = ({ per_hour }: CostRow): string => `${money(per_hour)}/h`;
const unpriced = ({ unknown_prices: n }: CostRow): string =>
  n === 0 ? "" : `, ${n} of them of unknown price`;
const unknownHours = ({ unknown_hours: n }: CostRow): string =>
  n === 0 ? "" : `, and ${n} instance-hours of unknown price`;
