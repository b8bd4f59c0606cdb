/**
 * Charts of a page: data in an attribute, which `chart.js` draws. Each page has the same figures in
 * a table. Pure.
 */
import { html } from "hono/html";
import { ASSETS } from "./asset.ts";
import { plainText } from "./kit.ts";
import type { Html } from "./page.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** Stands once on a page with charts. */
export const CHART_SCRIPT = html`<script src="${ASSETS.chart.path}" defer></script>`;

/** One value for each time; `null` = unknown then. */
export type Line = { name: string; values: readonly (number | null)[] };

type Drawn = { unit: string; times: readonly number[] };

/** Bars a day wide; times in Unix seconds. */
export function barsChart(about: string, { unit, times }: Drawn, bars: Line): Html {
  return chart(about, { kind: "bars", unit, x: times, series: [bars] });
}

/** Lines whose values hold until the next time, and the last one until `until` (RFC 3339). */
export function linesChart(
  from: Drawn & { about: string; until: string; lines: readonly Line[] },
): Html {
  const { about, unit, times, until, lines } = from;
  const end = parseInstant(until) / 1_000;
  const isLater = end > (times.at(-1) ?? Number.POSITIVE_INFINITY);
  const series = lines.map(({ name, values }) => {
    const last = values.at(-1) ?? null;
    return { name: plainText(name), values: isLater ? [...values, last] : values };
  });
  const x = isLater ? [...times, end] : times;
  if (x.length === 0 || series.length === 0) return html`<p>There are no values yet.</p>`;
  return chart(about, { kind: "lines", unit, x, series });
}

function chart(about: string, data: object): Html {
  return html`<div class="chart" role="img" data-chart="${JSON.stringify(data)}"
    aria-label="${about}; a table below has the same figures"></div>`;
}
