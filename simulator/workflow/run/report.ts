/**
 * Formats what a run did for `-report FILE`: JUnit for a CI server, JSON for a program, HTML for a
 * person; the file's extension says which. Pure.
 */
import { formatHtml } from "./picture.ts";
import type { RunReport, TaskResult, WorkflowResult } from "./run.ts";

type Formatter = (report: RunReport) => string;

/** By extension. */
export const REPORTS: ReadonlyMap<string, Formatter> = new Map<string, Formatter>([
  [".xml", formatJUnit],
  [".json", formatJson],
  [".html", formatHtml],
]);

function formatJson(report: RunReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

function formatJUnit(report: RunReport): string {
  const all = report.workflows.flatMap(({ tasks }) => tasks);
  const head = attributes({ ...countsOf(all), time: seconds(report.ms) });
  const suites = report.workflows.map((workflow) => formatSuite(workflow, report.startedAt));
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites${head}>
${suites.join("")}</testsuites>
`;
}

function formatSuite({ name, path, tasks, ms }: WorkflowResult, timestamp: string): string {
  const named = { name: name === "" ? (path ?? "workflow") : name };
  const file = path === null ? {} : { file: path };
  const rest = { ...countsOf(tasks), time: seconds(ms), timestamp };
  const cases = tasks.map((task) => formatCase(task, named.name)).join("");
  return `  <testsuite${attributes({ ...named, ...rest, ...file })}>\n${cases}  </testsuite>\n`;
}

function formatCase({ id, type, ms, status, message }: TaskResult, classname: string): string {
  const head = attributes({ name: `${type}/${id}`, classname, time: seconds(ms) });
  if (status === "passed") return `    <testcase${head}/>\n`;
  const why = message === null ? "" : attributes({ message });
  const tag = { failed: "failure", interrupted: "error", skipped: "skipped" }[status];
  return `    <testcase${head}><${tag}${why}/></testcase>\n`;
}

function countsOf(tasks: readonly TaskResult[]): Record<string, string> {
  const count = (status: TaskResult["status"]): string =>
    String(tasks.filter((task) => task.status === status).length);
  return {
    tests: String(tasks.length),
    failures: count("failed"),
    errors: count("interrupted"),
    skipped: count("skipped"),
  };
}

const seconds = (ms: number): string => (ms / 1_000).toFixed(3);

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXml(value)}"`)
    .join("");
}

const ENTITY: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\n": "&#10;",
  "\t": "&#9;",
};

/** XML 1.0 has no way to write other control characters, nor half a surrogate pair. */
function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\uFFFE\uFFFF]/gu, (sign) => ENTITY[sign] ?? "\uFFFD")
    .replace(/[&<>"]/g, (sign) => ENTITY[sign] ?? sign);
}
