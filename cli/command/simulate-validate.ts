/**
 * `navarch simulate validate`: reports every problem of a scenario, or summarises it.
 */
import type { Summary } from "../../simulator/scenario/summary.ts";
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { formatLabels, type Style } from "../table.ts";

export const simulateValidate: Command = {
  name: ["simulate", "validate"],
  usage: "<file>",
  summary: "check a scenario and summarise it",
  examples: ["navarch simulate validate scenario.yaml"],
  more: "Unknown keys are errors. Exit 2 on errors, and with --strict also on warnings.",
  flags: [switchFlag("strict", "treat warnings as errors")],
  words: { min: 1, max: 1 },
  reach: "offline",
  async run(context) {
    const { openScenario } = await import("../../simulator/scenario/open.ts");
    const { summarize } = await import("../../simulator/scenario/summary.ts");
    const { sayProblems, showProblems } = await import("../problem-view.ts");
    const [file = ""] = context.words;
    const { scenario, problems } = await openScenario(file);
    const isWarned = problems.some((one) => one.severity === "warning");
    const strict = context.flags.on("strict") && isWarned;
    if (scenario === null || strict) return showProblems(context, problems, () => "");
    sayProblems(context, problems);
    const summary = summarize(scenario);
    const { formatDuration } = await import("../../schema/duration.ts");
    return {
      data: summary,
      names: [summary.name],
      human: (_wide, style) => formatSummary(summary, formatDuration, style),
    };
  },
};

function formatSummary(summary: Summary, span: (ms: number) => string, style: Style): string {
  const isStress = summary.mode === "stress";
  const seed = summary.seed === 0 ? "random" : String(summary.seed);
  const pairs: [string, string | null][] = [
    ["Name", summary.name],
    ["Description", summary.description],
    ["Mode", isStress ? "stress test" : "scenario"],
    ["Nodes", String(summary.nodes)],
    ["Pools", summary.pools.join(", ")],
    ["Kubernetes", summary.cluster],
    ["Events", String(summary.events)],
    ["Assertions", String(summary.assertions)],
    ["Thresholds", isStress ? String(summary.thresholds) : null],
    ["Duration", span(summary.durationMs)],
    ["Seed", isStress ? seed : null],
    ["Startup", summary.startup],
    ["Failure rate", summary.failureRate === null ? null : formatRate(summary.failureRate)],
    ["Cascading", summary.cascading],
    ["Recovery", summary.recovery],
    ["Outages", summary.outages.length === 0 ? null : summary.outages.join(", ")],
    ["Correlated", summary.correlated.length === 0 ? null : summary.correlated.join(", ")],
    ["Files", summary.files.length === 0 ? null : summary.files.join(", ")],
  ];
  const shown = pairs.flatMap(([label, value]) =>
    value === null ? [] : [[label, value] as [string, string]],
  );
  return formatLabels(shown, style);
}

function formatRate(rate: number): string {
  return `${rate} a minute per 1000 nodes`;
}
