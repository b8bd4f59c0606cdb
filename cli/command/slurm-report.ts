/**
 * `navarch slurm report`: how long nodes were out of service, and which jobs they took with them,
 * by Slurm's accounting.
 */
import {
  type AvailabilityReport,
  EVENT_FORMAT,
  JOB_FORMAT,
  reportAvailability,
} from "../../reconciler/core/slurm/availability.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { EXIT, failure, usage } from "../failure.ts";
import { readSince, textFlag } from "../flag.ts";
import { COMMAND_DIR, openSlurmTool } from "../slurm-tool.ts";
import { formatTable, type Style } from "../table.ts";

/** A year of events of a large cluster. */
const CALL_MS = 60_000;

export const slurmReport: Command = {
  name: ["slurm", "report"],
  usage: "",
  summary: "show how long nodes were out of service in Slurm",
  examples: ["navarch slurm report --since 720h", "navarch slurm report -o json"],
  more: `Asks slurmdbd: sacctmgr for the times in which nodes were down or drained, sacct for
jobs that ended with NODE_FAIL. BY NAVARCH is the part with a reason of Navarch. Nodes
that Slurm no longer has are shown with the events that it kept. Times are UTC.`,
  flags: [
    textFlag("since", "TIME", "from then on: 24h, or an RFC 3339 time (default 168h)"),
    COMMAND_DIR,
  ],
  words: { min: 0, max: 0 },
  lasts: () => true,
  reach: "offline",
  run: (context) => report(context),
};

async function report({ flags, world }: Context): Outcome {
  const since = readSince("since", flags.text("since") ?? "168h");
  if (!since.ok) return since;
  const toMs = world.wallMs();
  const fromMs = since.atMs(toMs);
  if (fromMs >= toMs) return usage("--since: must be in the past");
  // Accounting prints the caller's local time, without its zone.
  const utc = { ...world, env: { ...world.env, TZ: "UTC", SLURM_TIME_FORMAT: "standard" } };
  const tool = openSlurmTool(utc, flags.text("command-dir"));
  const [from, to] = [fromMs, toMs].map((ms) => new Date(ms).toISOString().slice(0, 19));
  const calls = [
    ["sacctmgr", "-nP", "show", "event", `start=${from}`, `end=${to}`, EVENT_FORMAT],
    ["sacct", "-aXnP", "-S", from ?? "", "-E", to ?? "", "-s", "NODE_FAIL", "-D", JOB_FORMAT],
    ["sinfo", "-h", "-N", "-o", "%N|%G"],
  ];
  const answers = await Promise.all(calls.map((argv) => tool.run(argv, CALL_MS)));
  const outputs: string[] = [];
  for (const answer of answers) {
    if (!answer.ok) return failure(EXIT.failed, "slurm", answer.message);
    outputs.push(answer.output);
  }
  const [events = "", jobs = "", nodes = ""] = outputs;
  const value = reportAvailability({ events, jobs, nodes }, { fromMs, toMs });
  return {
    data: value,
    names: value.nodes.map(({ node }) => node),
    human: (_wide, style) => format(value, style),
    empty: "Slurm has no nodes",
  };
}

const HEAD = ["NODE", "AVAILABLE", "DOWN", "DRAINED", "BY NAVARCH", "EVENTS", "JOBS LOST"];

function format(report: AvailabilityReport, style: Style): string {
  const rows = report.nodes.map((one) => [
    one.node,
    percent(one.availability),
    ...[one.down_s, one.drained_s, one.navarch_s].map(span),
    String(one.events),
    String(one.jobs_lost),
  ]);
  const { gpu_hours_out, job_gpu_hours_lost, jobs_lost, unread } = report;
  const lines = [
    `Available: ${percent(report.availability)} since ${report.from}`,
    `Out of service: ${gpu_hours_out} GPU hours`,
    `Jobs lost with their node: ${jobs_lost}, ${job_gpu_hours_lost} GPU hours`,
    ...(unread === 0 ? [] : [`Not counted: ${unread} lines of accounting that cannot be read`]),
  ];
  return `${formatTable(HEAD, rows, style)}${lines.map((line) => `${line}\n`).join("")}`;
}

/** Rounded down: 100 % is without any time out of service. */
const percent = (share: number): string => `${(Math.floor(share * 1e5) / 1e3).toFixed(3)}%`;

function span(seconds: number): string {
  if (seconds < 3_600) return seconds === 0 ? "0" : `${Math.ceil(seconds / 60)}m`;
  return `${Math.floor(seconds / 3_600)}h${Math.round((seconds % 3_600) / 60)}m`;
}
