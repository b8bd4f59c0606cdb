/**
 * Reads what Slurm's commands print: jobs as columns of `squeue`, nodes as blocks of `scontrol`.
 * Both become rows as the JSON of slurmrestd has them, so that one reader judges them all.
 */
import type { SlurmJob, SlurmNode, SlurmReservation } from "../core/slurm/object.ts";
import { readJobs, readNodes, readReservations } from "./json.ts";
import { parseInstant } from "../../schema/instant.ts";

/** Between columns; Slurm itself writes none into those asked for. */
const SEPARATOR = "\u001f";

/**
 * Columns of `squeue -O`, by the key in JSON. A job's name is left out: any user can put a line
 * break into it, and a whole row behind that.
 */
const COLUMNS = {
  job_id: "JobID",
  array_job_id: "ArrayJobID",
  array_task_string: "ArrayTaskID",
  het_job_id: "HetJobID",
  het_job_offset: "HetJobOffset",
  job_state: "State",
  user_name: "UserName",
  partition: "Partition",
  state_reason: "Reason",
  nodes: "NodeList",
  node_count: "NumNodes",
  tres_alloc_str: "tres-alloc",
  tres_per_job: "tres-per-job",
  tres_per_node: "tres-per-node",
  tres_per_task: "tres-per-task",
  tasks: "NumTasks",
  features: "Feature",
  required_nodes: "ReqNodes",
  submit_time: "SubmitTime",
  start_time: "StartTime",
} as const;
const NAMES = Object.keys(COLUMNS);

export const JOB_FORMAT = Object.values(COLUMNS)
  .map((column) => `${column}:${SEPARATOR}`)
  .join(",");

/** `null`: a row cannot be read, so nothing is known of the others either. */
export function readJobText(text: string): readonly SlurmJob[] | null {
  const jobs: unknown[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const values = line.split(SEPARATOR);
    if (values.length !== NAMES.length + 1 || values.at(-1) !== "") return null;
    jobs.push(jobRow(new Map(NAMES.map((name, i) => [name, shown(values[i])]))));
  }
  return readJobs({ jobs });
}

function jobRow(values: ReadonlyMap<string, string>): Record<string, unknown> {
  const row: Record<string, unknown> = Object.fromEntries(values);
  const task = values.get("array_task_string") ?? "";
  const isArray = task !== "";
  const numbers = ["job_id", "array_job_id", "het_job_id", "het_job_offset", "node_count", "tasks"];
  for (const key of numbers) row[key] = numberOf(row[key]);
  if (!isArray) row["array_job_id"] = 0;
  row["array_task_id"] = /^\d+$/.test(task) ? Number(task) : null;
  for (const key of ["submit_time", "start_time"]) row[key] = secondsOf(values.get(key));
  return row;
}

/** `scontrol show reservation --oneliner`, or the sentence that there is none. */
export function readReservationText(text: string): readonly SlurmReservation[] | null {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines[0]?.startsWith("No reservations in the system") === true) return [];
  const reservations = lines.map((line) => {
    const words = line.split(" ");
    const word = (key: string): string => {
      return valueIn(words.find((one) => one.startsWith(`${key}=`)));
    };
    return {
      name: word("ReservationName"),
      flags: word("Flags").split(","),
      node_list: word("Nodes"),
      start_time: secondsOf(word("StartTime")),
    };
  });
  return readReservations({ reservations });
}

/** `scontrol show node`: blocks of lines; a value that may hold spaces has a line of its own. */
export function readNodeText(text: string): readonly SlurmNode[] | null {
  const blocks = text.split(/^(?=NodeName=)/m).filter((block) => block.trim() !== "");
  return readNodes({ nodes: blocks.map((block) => nodeRow(block)) });
}

function nodeRow(block: string): Record<string, unknown> {
  const lines = block.split("\n").flatMap((line) => {
    const begin = /^(?:NodeName=\S+ | {3})/.exec(line)?.[0];
    return begin === undefined ? [] : [line.slice(begin.length).split(" ")];
  });
  // The last in its line: a free text before it may hold the same word.
  const word = (key: string): string => {
    const isIts = (one: string): boolean => one.startsWith(`${key}=`);
    return valueIn(lines.find((words) => words.some(isIts))?.findLast(isIts));
  };
  const reason = /^ {3}Reason=(.*?)(?: \[([^[\]@]+)@[^[\]]+\])?$/m.exec(block);
  return {
    name: /^NodeName=(\S+)/.exec(block)?.[1],
    state: /^ {3}State=(\S+)/m.exec(block)?.[1],
    reason: reason?.[1],
    reason_set_by_user: reason?.[2],
    boot_time: secondsOf(word("BootTime")),
    slurmd_start_time: secondsOf(word("SlurmdStartTime")),
    address: word("NodeAddr"),
    hostname: word("NodeHostName"),
    partitions: word("Partitions"),
    gres: word("Gres"),
    features: word("AvailableFeatures"),
  };
}

const PLACEHOLDERS: ReadonlySet<string> = new Set(["N/A", "(null)", "None", "Unknown", "n/a"]);

const shown = (value: string | undefined): string =>
  value === undefined || PLACEHOLDERS.has(value) ? "" : value;

/** Of `KEY=VALUE`, which ends at any white space. */
const valueIn = (word: string | undefined): string =>
  shown(word?.slice(word.indexOf("=") + 1).split(/\s/)[0]);

const numberOf = (value: unknown): number | null => {
  const digits = /^\d+/.exec(String(value))?.[0];
  return digits === undefined ? null : Number(digits);
};

/** The commands run with `TZ=UTC`. */
function secondsOf(text: string | undefined): number {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text ?? "")) return 0;
  return Math.floor(parseInstant(`${text}Z`) / 1_000);
}
