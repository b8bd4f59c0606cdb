/**
 * The report as one page that opens anywhere, also without a network: charts by uPlot 1.6.32 (MIT),
 * which is in the page. Pure.
 */
import plotStyle from "uplot/dist/uPlot.min.css" with { type: "text" };
import plotCode from "uplot/dist/uPlot.iife.min.js" with { type: "text" };
import type { Report } from "../run/report.ts";
import { CHART_CODE, PAGE_STYLE } from "./page.ts";

/** Rows that a person may scroll through; `report.json` has all. */
const NODES_SHOWN_MAX = 1_000;

/** Nothing may be fetched, so that a page that would need it is seen to be broken. */
const POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'";

export function formatHtml(report: Report): string {
  const { name, outcome, description } = report;
  const charts = report.timeline.length > 1 ? CHARTS : "<p>Too short for charts.</p>";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escape(name)} – Navarch simulation</title>
<style>${plotStyle}${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>${escape(name)} <span class="outcome ${outcome}">${outcome}</span></h1>
${description === null ? "" : `<p>${escape(description)}</p>`}
<p class="meta">${escape(report.start_time)} · ${escape(report.duration)} · ${
    report.configuration.total_nodes
  } nodes · seed ${report.seed}</p>
</header>
${formatErrors(report)}
<section class="cards">${cardsOf(report)}</section>
<section>${charts}</section>
<section>${formatChecks("Assertions", report.assertions)}${formatChecks(
    "Thresholds",
    report.thresholds,
  )}</section>
<section class="columns">
${formatTable("Failures", ["Type", "Count"], Object.entries(report.failures.by_type))}
${formatTable(
  "XID codes",
  ["Code", "Name", "Count", "Fatal"],
  report.failures.top_xid_codes.map((one) => [
    one.code,
    one.name,
    one.count,
    one.fatal ? "yes" : "no",
  ]),
)}
${formatTable(
  "Rules that decided",
  ["Rule", "Result", "Hits"],
  report.policy_rule_hits.map((one) => [one.name, one.result, one.hits]),
)}
</section>
<section>${formatNodes(report)}</section>
<script type="application/json" id="timeline">${embed(report.timeline)}</script>
<script>${plotCode}</script>
<script>${CHART_CODE}</script>
</body>
</html>
`;
}

const CHARTS = `<h2>Nodes</h2><div id="nodes-chart" class="chart"></div>
<h2>Failures and recoveries</h2><div id="failures-chart" class="chart"></div>`;

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** JSON that cannot end the element it stands in. */
function embed(data: unknown): string {
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}

function formatErrors({ errors }: Report): string {
  if (errors.length === 0) return "";
  const rows = errors.map((one) => `<li>${escape(one)}</li>`).join("");
  return `<section class="errors"><h2>Errors</h2><ul>${rows}</ul></section>`;
}

function cardsOf({ summary, failures }: Report): string {
  const span = (ms: number | null): string => (ms === null ? "–" : `${(ms / 1_000).toFixed(2)} s`);
  const cards: [string, string | number][] = [
    ["nodes started", summary.nodes_started],
    ["failed to start", summary.nodes_failed_to_start],
    ["healthy, lowest", summary.min_healthy_nodes],
    ["healthy, mean", summary.avg_healthy_nodes],
    ["failures", summary.total_failures],
    ["cascading", failures.cascading_failures],
    ["recoveries", summary.total_recoveries],
    ["outages", summary.total_outages],
    ["detected", summary.detected],
    ["missed", summary.undetected],
    ["false alarms", summary.false_positives],
    ["detection p99", span(summary.detection_ms.p99)],
    ["replacement p99", span(summary.replace_ms.p99)],
    ["launches", summary.launches],
    ["terminations", summary.terminations],
    ["report latency p99", `${summary.p99_latency_ms} ms`],
  ];
  return cards
    .map(([label, value]) => `<div class="card"><b>${value}</b><span>${label}</span></div>`)
    .join("");
}

function formatChecks(title: string, checks: Report["assertions"]): string {
  if (checks.length === 0) return "";
  const rows = checks.map((one) => [
    one.passed ? "passed" : "FAILED",
    one.name,
    one.expected,
    one.actual,
  ]);
  return formatTable(title, ["", "What", "Expected", "Found"], rows);
}

function formatTable(
  title: string,
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  isLogged = false,
): string {
  if (rows.length === 0) return "";
  const cells = (row: readonly (string | number)[], tag: string): string =>
    row.map((cell, at) => `<${tag}>${show(cell, isLogged && at === 0, tag)}</${tag}>`).join("");
  const body = rows.map((row) => {
    const kind = row[0] === "FAILED" ? ' class="failed"' : "";
    return `<tr${kind}>${cells(row, "td")}</tr>`;
  });
  const top = `<thead><tr>${cells(head, "th")}</tr></thead>`;
  return `<div><h2>${title}</h2><table>${top}<tbody>${body.join("")}</tbody></table></div>`;
}

/** The first cell of a node leads to its log, which lies beside the page. */
function show(cell: string | number, isLogged: boolean, tag: string): string {
  const text = escape(String(cell));
  const href = escape(`logs/${encodeURIComponent(String(cell))}.log`);
  return isLogged && tag === "td" ? `<a href="${href}">${text}</a>` : text;
}

function formatNodes({ nodes }: Report): string {
  const sorted = nodes.toSorted((a, b) => b.failure_count - a.failure_count);
  const shown = sorted.slice(0, NODES_SHOWN_MAX);
  const rows = shown.map((one) => [
    one.node_id,
    one.status,
    one.health,
    one.zone,
    one.instance_type,
    one.gpu_count,
    one.failure_count,
    one.recovery_count,
  ]);
  const head = ["Node", "Status", "Health", "Zone", "Type", "GPUs", "Failures", "Recoveries"];
  const rest = nodes.length - shown.length;
  const more = rest > 0 ? `<p>${rest} more nodes are in report.json.</p>` : "";
  return formatTable("Nodes", head, rows, true) + more;
}
