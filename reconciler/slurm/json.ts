/**
 * Reads nodes and jobs from the JSON of Slurm's data parsers, v0.0.38 to v0.0.44: states as one
 * word with flags beside it or as a list, numbers plain or with a mark that they are set.
 */
import { expandHostlist } from "../core/slurm/hostlist.ts";
import type { SlurmJob, SlurmNode, SlurmReservation } from "../core/slurm/object.ts";
import { readState } from "../core/slurm/state.ts";

/** The year 9999: later dates have no text. */
const SECONDS_MAX = 253_402_300_799;

type Row = Readonly<Record<string, unknown>>;

/** `null`: the text is not a list of nodes. */
export function readNodes(value: unknown): readonly SlurmNode[] | null {
  return readRows(value, "nodes", readNode);
}

/** `null`: the text is not a list of jobs, or the nodes of a job are no hostlist. */
export function readJobs(value: unknown): readonly SlurmJob[] | null {
  return readRows(value, "jobs", readJob);
}

/** One row that cannot be read spoils the list: a part of it is no list. */
function readRows<T>(value: unknown, key: string, read: (row: Row) => T | null): T[] | null {
  const rows = isRow(value) ? value[key] : undefined;
  if (!Array.isArray(rows)) return null;
  const found: T[] = [];
  for (const row of rows) {
    const one = isRow(row) ? read(row) : null;
    if (one === null) return null;
    found.push(one);
  }
  return found;
}

function readNode(row: Row): SlurmNode | null {
  const name = text(row["name"]);
  const said = [words(row["state"]), words(row["state_flags"])];
  // A part that cannot be read may be the one that says DRAIN or ALLOCATED.
  const state = readState(said.flatMap((some) => some ?? []));
  if (name === null || state === null || said.includes(null)) return null;
  const reason = text(row["reason"]);
  return {
    name,
    ...state,
    reason,
    reasonBy: reason === null ? null : text(row["reason_set_by_user"]),
    reservation: state.flags.includes("MAINTENANCE") ? text(row["reservation"]) : null,
    bootTime: instant(row["boot_time"]),
    slurmdStartedAt: instant(row["slurmd_start_time"]),
    address: text(row["address"]),
    hostname: text(row["hostname"]),
    partitions: list(row["partitions"]),
    gres: text(row["gres"]),
    features: list(row["features"]),
  };
}

/** `null`: the text is not a list of reservations. */
export function readReservations(value: unknown): readonly SlurmReservation[] | null {
  return readRows(value, "reservations", readReservation);
}

function readReservation(row: Row): SlurmReservation | null {
  const name = text(row["name"]);
  const flags = words(row["flags"]);
  const nodes = namesIn(row["node_list"]);
  if (name === null || flags === null || nodes === null) return null;
  const isMaint = flags.includes("MAINT");
  return { name, isMaint, nodes, startsAt: instant(row["start_time"]) };
}

function readJob(row: Row): SlurmJob | null {
  const number = count(row["job_id"]);
  const states = words(row["job_state"]);
  if (number === null || states === null || states.length === 0) return null;
  // A requeued job is PENDING and still COMPLETING where it ran.
  const isPending = states.includes("PENDING") && !states.includes("COMPLETING");
  const nodes = isPending ? [] : namesIn(row["nodes"]);
  if (nodes === null) return null;
  const asked = count(row["node_count"]);
  if (nodes.length === 0 && asked !== 0 && /^(RUNNING|SUSPENDED)$/.test(states.join("+"))) {
    return null;
  }
  const nodeCount = asked ?? Math.max(1, nodes.length);
  return {
    id: idOf(row, number),
    state: states.join("+"),
    user: text(row["user_name"]),
    name: text(row["name"]),
    partition: text(row["partition"]),
    reason: isPending ? text(row["state_reason"]) : null,
    nodes,
    gpus: gpusOf(row, nodeCount),
    nodeCount,
    features: text(row["features"]),
    gpuTypes: typesOf(row),
    requiredNodes: namesIn(row["required_nodes"]) ?? [],
    submittedAt: instant(row["submit_time"]),
    startedAt: isPending ? null : instant(row["start_time"]),
    tasks: tasksOf(text(row["array_task_string"])),
  };
}

/** As squeue shows it: `8_3` is a task of an array, `8+1` a part of a heterogeneous job. */
function idOf(row: Row, number: number): string {
  const [array, het] = [count(row["array_job_id"]) ?? 0, count(row["het_job_id"]) ?? 0];
  const [task, part] = [count(row["array_task_id"]), count(row["het_job_offset"])];
  if (array > 0 && task !== null) return `${array}_${task}`;
  return het > 0 && part !== null ? `${het}+${part}` : String(number);
}

/** `null`: not a hostlist. A job that never had nodes shows "(null)" in some releases. */
function namesIn(hostlist: unknown): readonly string[] | null {
  if ((hostlist ?? "") === "" || hostlist === "(null)") return [];
  if (typeof hostlist !== "string") return null;
  const expanded = expandHostlist(hostlist);
  return expanded.kind === "ok" ? expanded.names : null;
}

/** All GPUs of a job: from its TRES if they are counted there, else from what it asked for. */
function gpusOf(row: Row, nodeCount: number): number {
  for (const key of ["tres_alloc_str", "tres_req_str"]) {
    const counted = gpusIn(text(row[key]));
    if (counted > 0) return counted;
  }
  const ofJob = gpusIn(text(row["tres_per_job"]));
  if (ofJob > 0) return ofJob;
  const ofNode = gpusIn(text(row["tres_per_node"])) * nodeCount;
  if (ofNode > 0) return ofNode;
  return gpusIn(text(row["tres_per_task"])) * (count(row["tasks"]) ?? 1);
}

/** As in `gres:gpu:h100:2`, `gres/gpu:4`, `gres/gpu=8,gres/gpu:h100=8` (the sum and its parts). */
function gpusIn(tres: string | null): number {
  const all = /gres[:/]gpu=(\d{1,9})/.exec(tres ?? "")?.[1];
  if (all !== undefined) return Number(all);
  return partsIn(tres).reduce((sum, { count }) => sum + count, 0);
}

const ASKED = ["tres_per_job", "tres_per_node", "tres_per_task"];

function typesOf(row: Row): string[] {
  const parts = ASKED.flatMap((key) => partsIn(text(row[key])));
  return [...new Set(parts.flatMap(({ type }) => type ?? []))];
}

/** Of each part with GPUs. A type may begin with a digit: `gres:gpu:1g.10gb:2` are two. */
function partsIn(tres: string | null): { type: string | null; count: number }[] {
  return (tres ?? "").split(",").flatMap((part) => {
    const [whole = ""] = part.trim().slice(0, 256).split("(");
    const [kind, name, ...words] = whole.split(/[:/=]/);
    if (kind !== "gres" || name !== "gpu" || words.length > 2) return [];
    const last = words.at(-1) ?? "";
    const isCounted = /^\d{1,9}$/.test(last);
    const type = (isCounted ? words.at(-2) : words.at(-1)) ?? null;
    return [{ type, count: isCounted ? Number(last) : 1 }];
  });
}

/** Tasks that wait, at most as many as may run at once: `0-9%2` starts no third one. */
function tasksOf(tasks: string | null): number {
  if (tasks === null) return 1;
  const [indexes = "", limit] = tasks.split("%");
  let sum = 0;
  for (const part of indexes.split(",")) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?(?::(\d{1,9}))?$/.exec(part);
    if (match === null) continue;
    const [first, last, step] = [Number(match[1]), Number(match[2] ?? match[1]), match[3] ?? 1];
    sum += Math.max(0, Math.floor((last - first) / Math.max(1, Number(step))) + 1);
  }
  const most = limit === undefined || Number(limit) === 0 ? sum : Number(limit);
  return Math.max(1, Math.min(sum, Number.isFinite(most) ? most : sum));
}

const isRow = (value: unknown): value is Row => {
  return typeof value === "object" && value !== null && !Array.isArray(value);
};

/** `null` for the empty text and for placeholders. */
function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** Upper-case words of `idle`, `["IDLE","DRAIN"]` or `IDLE+DRAIN`; `null` = a part is no text. */
function words(value: unknown): string[] | null {
  const parts: unknown[] = Array.isArray(value) ? value : [value ?? ""];
  if (!parts.every((part) => typeof part === "string")) return null;
  return parts.flatMap((part) => part.toUpperCase().split("+").filter(Boolean));
}

/** Of `a,b` or `["a", "b"]`. */
function list(value: unknown): string[] {
  const parts = Array.isArray(value) ? value : [value];
  return parts.flatMap((part) => (typeof part === "string" ? part.split(",").filter(Boolean) : []));
}

/** A number as such, or as `{set, infinite, number}`. */
function count(value: unknown): number | null {
  if (isRow(value)) return value["set"] === true ? count(value["number"]) : null;
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** Wall milliseconds; Slurm writes 0 for never. What no calendar has is not known. */
function instant(value: unknown): number | null {
  const seconds = count(value) ?? 0;
  return seconds === 0 || seconds > SECONDS_MAX ? null : seconds * 1_000;
}
