/**
 * How long nodes were out of service, by Slurm's own accounting: events of `sacctmgr`, and jobs
 * that ended with NODE_FAIL. Times are UTC text without a zone, as the caller asks for them. Pure.
 */
import { expandHostlist } from "./hostlist.ts";
import { parseReason } from "./reason.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** Columns of both programs, the one that may hold the separator last. */
export const EVENT_FORMAT = "format=nodename,timestart,timeend,state,reason";
export const JOB_FORMAT = "--format=JobIDRaw,ElapsedRaw,AllocTRES,NodeList";

export type Window = { fromMs: number; toMs: number };

export type NodeAvailability = {
  node: string;
  gpus: number;
  /** Share of the window in service, 0 to 1. */
  availability: number;
  down_s: number;
  drained_s: number;
  /** Of both, with a reason of Navarch. */
  navarch_s: number;
  events: number;
  /** Jobs that this node took with it. */
  jobs_lost: number;
};

export type AvailabilityReport = {
  from: string;
  to: string;
  availability: number;
  gpu_hours_out: number;
  jobs_lost: number;
  job_gpu_hours_lost: number;
  /** Lines that could not be read; the figures lack them. */
  unread: number;
  /** The worst first. */
  nodes: NodeAvailability[];
};

type Interval = { fromMs: number; toMs: number };
type Event = Interval & { node: string; isDown: boolean; isOwn: boolean };

/** `nodes` are lines of `sinfo -h -N -o '%N|%G'`; a node without events was in service. */
export function reportAvailability(
  text: { events: string; jobs: string; nodes: string },
  window: Window,
): AvailabilityReport {
  let unread = 0;
  const rows = new Map<string, { gpus: number; events: Event[]; lost: number }>();
  const rowOf = (node: string) => {
    const row = rows.get(node) ?? { gpus: 0, events: [], lost: 0 };
    rows.set(node, row);
    return row;
  };
  for (const line of linesOf(text.nodes)) {
    const [node = "", gres = ""] = line.split("|");
    rowOf(node.trim()).gpus = gpusOfGres(gres);
  }
  for (const line of linesOf(text.events)) {
    const event = parseEvent(line, window);
    if (event === "unread") unread += 1;
    else if (event !== null) rowOf(event.node).events.push(event);
  }
  let jobs = 0;
  let jobGpuSeconds = 0;
  for (const line of linesOf(text.jobs)) {
    const [, elapsed = "", tres = "", list = ""] = line.split("|");
    const names = expandHostlist(list.trim());
    if (!/^\d+$/.test(elapsed) || names.kind === "invalid") {
      unread += 1;
      continue;
    }
    jobs += 1;
    jobGpuSeconds += Number(elapsed) * gpusOfTres(tres);
    for (const name of names.names) rowOf(name).lost += 1;
  }
  const nodes = [...rows].map(([node, row]) => nodeOf(node, row, window));
  nodes.sort((a, b) => a.availability - b.availability || (a.node < b.node ? -1 : 1));
  const outs = nodes.map(({ down_s, drained_s, gpus }) => gpus * (down_s + drained_s));
  const outGpuSeconds = outs.reduce((sum, one) => sum + one, 0);
  const mean = nodes.reduce((sum, one) => sum + one.availability, 0) / Math.max(1, nodes.length);
  return {
    from: new Date(window.fromMs).toISOString(),
    to: new Date(window.toMs).toISOString(),
    availability: nodes.length === 0 ? 1 : round(mean, 6),
    gpu_hours_out: round(outGpuSeconds / 3_600, 2),
    jobs_lost: jobs,
    job_gpu_hours_lost: round(jobGpuSeconds / 3_600, 2),
    unread,
    nodes,
  };
}

function nodeOf(
  node: string,
  { events, gpus, lost }: { gpus: number; events: readonly Event[]; lost: number },
  window: Window,
): NodeAvailability {
  const down = events.filter(({ isDown }) => isDown);
  const outMs = lengthOf(events);
  const downMs = lengthOf(down);
  return {
    node,
    gpus,
    availability: round(1 - outMs / Math.max(1, window.toMs - window.fromMs), 6),
    down_s: Math.round(downMs / 1_000),
    drained_s: Math.round((outMs - downMs) / 1_000),
    navarch_s: Math.round(lengthOf(events.filter(({ isOwn }) => isOwn)) / 1_000),
    events: events.length,
    jobs_lost: lost,
  };
}

/** `null` = of the cluster, outside the window, or not out of service. */
function parseEvent(line: string, window: Window): Event | "unread" | null {
  const [node = "", from = "", to = "", state = "", ...reason] = line.split("|");
  const startMs = parseTime(from);
  const endMs = to === "Unknown" ? window.toMs : parseTime(to);
  if (startMs === null || endMs === null) return "unread";
  const fromMs = Math.max(startMs, window.fromMs);
  const toMs = Math.min(endMs, window.toMs);
  const isDown = /DOWN|FAIL|NOT_RESP|INVAL/.test(state) && !/POWER/.test(state);
  const isOut = isDown || /DRAIN/.test(state);
  if (node === "" || toMs <= fromMs || !isOut) return null;
  return { node, fromMs, toMs, isDown, isOwn: parseReason(reason.join("|")) !== null };
}

/** Union: events of one node may overlap after a loss of the database daemon. */
function lengthOf(intervals: readonly Interval[]): number {
  let [sumMs, reachedMs] = [0, -Infinity];
  for (const { fromMs, toMs } of intervals.toSorted((a, b) => a.fromMs - b.fromMs)) {
    sumMs += Math.max(0, toMs - Math.max(fromMs, reachedMs));
    reachedMs = Math.max(reachedMs, toMs);
  }
  return sumMs;
}

function parseTime(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text)) return null;
  const atMs = parseInstant(`${text}Z`);
  return Number.isNaN(atMs) ? null : atMs;
}

/** `gpu:h100:8(S:0-1),gpu:a100:2` → 10. */
function gpusOfGres(gres: string): number {
  const counts = [...gres.matchAll(/(?:^|,)gpu(?::[^:,()]+)?:(\d+)/g)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** `billing=1,gres/gpu=8,gres/gpu:h100=8` → 8: the kinds are counted in the first again. */
function gpusOfTres(tres: string): number {
  return Number(/(?:^|,)gres\/gpu=(\d+)/.exec(tres)?.[1] ?? 0);
}

const linesOf = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "");

function round(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}
