/**
 * Formats a run as one HTML page for `-report FILE.html`: outcome, tasks, and the fleet over time
 * as a picture. No script and no other file, so that it can be mailed. Pure.
 */
import { formatDuration } from "../../../schema/duration.ts";
import type { RunReport, TaskResult } from "./run.ts";
import { clockOf, type FleetPoint, formatTimeline } from "../timeline.ts";

const SIZE = { width: 1000, height: 320, left: 52, right: 120, top: 16, bottom: 32 };
type Line = { name: string; count(point: FleetPoint): number; colour: string; dash: string };

/**
 * Told apart by colour, dash and the name at the line's end. Nodes that are out in place of those
 * that are healthy, so that a hundred of ten thousand are seen.
 */
const LINES: readonly Line[] = [
  { name: "not healthy", count: (at) => at.nodes - at.healthy, colour: "#d92d20", dash: "" },
  { name: "cordoned", count: (at) => at.cordoned, colour: "#dc9a12", dash: "8 4" },
  { name: "leaving", count: (at) => at.leaving, colour: "#2e7de0", dash: "2 3" },
  { name: "replaced", count: (at) => at.replaced, colour: "#16a05c", dash: "12 4 2 4" },
];

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2430;--soft:#667085;--line:#d5d9e0;--ground:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#98a2b3;--line:#313844;
--ground:#14181f}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:0 auto;
max-width:1050px;padding:24px}
h1{font-size:26px;margin:0}h2{font-size:17px;margin:28px 0 8px}p{color:var(--soft);margin:4px 0}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:5px 8px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600}
svg{width:100%;height:auto}svg text{fill:var(--soft);font-size:13px}
.grid{stroke:var(--line)}.mark{stroke:var(--soft);stroke-dasharray:1 4}
pre{overflow-x:auto}`;

export function formatHtml(report: RunReport): string {
  const title = report.workflows.map(({ name, path }) => name || (path ?? "workflow")).join(", ");
  const tasks = report.workflows.flatMap((workflow) => workflow.tasks);
  const why = report.message === null ? "" : `<p role="alert">${escape(report.message)}</p>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>
<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head><body>
<h1>${escape(title)}: ${report.status}</h1>
<p>${escape(report.startedAt)}, ${formatDuration(report.ms)}</p>
${why}
${formatFleet(report, tasks)}
<h2>Tasks</h2>
<table><thead><tr><th>task</th><th>outcome</th><th>time</th><th></th></tr></thead><tbody>
${tasks.map(formatTask).join("\n")}
</tbody></table>
</body></html>
`;
}

function formatTask({ id, type, status, ms, description, message }: TaskResult): string {
  const cells = [`${type}/${id}`, status, formatDuration(ms), message ?? description];
  return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join("")}</tr>`;
}

function formatFleet({ fleet, ms }: RunReport, tasks: readonly TaskResult[]): string {
  const last = fleet.at(-1);
  if (last === undefined) return "";
  const { nodes, healthy, replaced } = last;
  return `<h2>Fleet</h2>
<p>At the end ${nodes} nodes, of which ${healthy} are healthy; ${replaced} were replaced.</p>
${formatChart(fleet, ms, tasks)}
<details><summary>As a table</summary><pre>${formatTimeline(fleet).join("\n")}</pre></details>`;
}

/** Steps: a count holds until the next point. Vertical lines are the starts of tasks. */
function formatChart(
  points: readonly FleetPoint[],
  ms: number,
  tasks: readonly TaskResult[],
): string {
  const { width, height, left, right, top, bottom } = SIZE;
  const endMs = Math.max(1, ms, points.at(-1)?.ms ?? 0);
  const highest = Math.max(1, ...LINES.flatMap(({ count }) => points.map(count)));
  // Whole nodes, at equal distances.
  const step = Math.ceil(highest / 4);
  const most = step * Math.ceil(highest / step);
  const x = (at: number): string => (left + (at / endMs) * (width - left - right)).toFixed(1);
  const y = (count: number): string =>
    (height - bottom - (count / most) * (height - top - bottom)).toFixed(1);
  const rows = Array.from({ length: most / step + 1 }, (_, at) => {
    const count = at * step;
    const [x1, x2, level] = [left, width - right, y(count)];
    return `<line class="grid" x1="${x1}" x2="${x2}" y1="${level}" y2="${level}"/>
<text x="${left - 8}" y="${level}" text-anchor="end" dominant-baseline="middle">${count}</text>`;
  });
  const columns = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = x(share * endMs);
    const time = clockOf(share * endMs);
    return `<text x="${at}" y="${height - 10}" text-anchor="middle">${time}</text>`;
  });
  let startMs = 0;
  const marks = tasks.map((task) => {
    const at = x(Math.min(startMs, endMs));
    startMs += task.ms;
    const name = escape(`${task.type}/${task.id}`);
    const line = `x1="${at}" x2="${at}" y1="${top}" y2="${height - bottom}"`;
    return `<line class="mark" ${line}><title>${name}</title></line>`;
  });
  const lines = LINES.map((line) => formatLine(line, points, endMs, x, y));
  const last = points.at(-1);
  const names = LINES.map(({ name, count: countOf, colour }, at) => {
    const count = last === undefined ? 0 : countOf(last);
    const place = `x="${width - right + 10}" y="${top + 14 + at * 20}"`;
    return `<text ${place} style="fill:${colour}">${name} ${count}</text>`;
  });
  const body = [...rows, ...columns, ...marks, ...lines, ...names].join("\n");
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Nodes over time">
${body}
</svg>`;
}

function formatLine(
  { name, count, colour, dash }: Line,
  points: readonly FleetPoint[],
  endMs: number,
  x: (ms: number) => string,
  y: (count: number) => string,
): string {
  const steps = points.map((point, at) => {
    const before = points[at - 1];
    const here = `${x(point.ms)} ${y(count(point))}`;
    return before === undefined ? `M${here}` : `L${x(point.ms)} ${y(count(before))}L${here}`;
  });
  const last = points.at(-1);
  if (last !== undefined) steps.push(`L${x(endMs)} ${y(count(last))}`);
  const stroke = `stroke="${colour}" stroke-width="2" stroke-dasharray="${dash}"`;
  return `<path d="${steps.join("")}" fill="none" ${stroke}><title>${name}</title></path>`;
}

const ENTITY: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};
const escape = (text: string): string => text.replace(/[&<>"]/g, (char) => ENTITY[char] ?? char);
