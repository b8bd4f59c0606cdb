/**
 * Samples the fleet of a control plane while workflows run, for the picture and the timeline of a
 * rehearsal. A fleet that cannot be asked has no samples.
 */
import type { Clock } from "../../reconciler/core/clock.ts";
import type { Fleet } from "./fleet.ts";

/** Counts of nodes at one instant. */
export type FleetPoint = {
  /** Milliseconds since the first workflow began. */
  ms: number;
  /** Every node that is not gone. */
  nodes: number;
  healthy: number;
  cordoned: number;
  /** Of the cordoned: draining, in repair, or about to be replaced or terminated. */
  leaving: number;
  /** Since the first workflow began. */
  replaced: number;
};

const SAMPLE_MS = 1_000;
/** Two hours of changes; beyond it every other point is dropped. */
const POINTS_MAX = 7_200;
const LEAVING: ReadonlySet<string> = new Set(["draining", "repairing", "replacing", "terminating"]);

export type TimelineWatch = {
  /** Takes a last sample and answers the points at which a count changed, and the last one. */
  end(): Promise<FleetPoint[]>;
};

export function watchFleet(fleet: Fleet, clock: Clock): TimelineWatch {
  const startedMs = clock.monoMs();
  let points: FleetPoint[] = [];
  let isEnding = false;
  let cancel = () => {};
  const look = async (): Promise<void> => {
    const ms = Math.round(clock.monoMs() - startedMs);
    const point = await sample(fleet, ms);
    if (point !== null) points.push(point);
    if (points.length > POINTS_MAX) points = points.filter((_, at) => at % 2 === 0);
  };
  let looking = Promise.resolve();
  const turn = (): void => {
    looking = look().then(() => {
      if (!isEnding) cancel = clock.after(SAMPLE_MS, turn);
    });
  };
  turn();
  return {
    async end() {
      isEnding = true;
      cancel();
      await looking;
      await look();
      return changesOf(points);
    },
  };
}

async function sample(fleet: Fleet, ms: number): Promise<FleetPoint | null> {
  const read = await fleet.nodes();
  if (!read.ok) return null;
  const nodes = read.value;
  const count = (is: (node: (typeof nodes)[number]) => boolean): number => nodes.filter(is).length;
  const pools = [...new Set(nodes.flatMap(({ pool }) => pool ?? []))];
  const replaced = await Promise.all(pools.map((pool) => fleet.replaced(pool, ms)));
  return {
    ms,
    nodes: nodes.length,
    healthy: count(({ isHealthy }) => isHealthy),
    cordoned: count(({ isCordoned }) => isCordoned),
    leaving: count(({ phase }) => LEAVING.has(phase)),
    replaced: replaced.reduce((sum, one) => sum + (one.ok ? one.value : 0), 0),
  };
}

/** The first point, each that differs from the one before, and the last. */
export function changesOf(points: readonly FleetPoint[]): FleetPoint[] {
  return points.filter((point, at) => {
    const before = points[at - 1];
    const isLast = at === points.length - 1;
    return before === undefined || isLast || !isAlike(before, point);
  });
}

const isAlike = (a: FleetPoint, b: FleetPoint): boolean =>
  a.nodes === b.nodes &&
  a.healthy === b.healthy &&
  a.cordoned === b.cordoned &&
  a.leaving === b.leaving &&
  a.replaced === b.replaced;

const LINES_MAX = 24;

/** A table of at most two dozen lines for the terminal; empty without points. */
export function formatTimeline(points: readonly FleetPoint[]): string[] {
  if (points.length === 0) return [];
  const step = Math.max(1, (points.length - 1) / (LINES_MAX - 1));
  const count = Math.min(LINES_MAX, points.length);
  const shown = Array.from({ length: count }, (_, at) => points[Math.round(at * step)]);
  const rows = shown.flatMap((point) => (point === undefined ? [] : [cellsOf(point)]));
  const head = ["time", "nodes", "healthy", "cordoned", "leaving", "replaced"];
  const all = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)));
  return all.map((row) => row.map((cell, at) => cell.padStart(widths[at] ?? 0)).join("  "));
}

function cellsOf({ ms, nodes, healthy, cordoned, leaving, replaced }: FleetPoint): string[] {
  return [clockOf(ms), ...[nodes, healthy, cordoned, leaving, replaced].map(String)];
}

/** `2:05`. */
export function clockOf(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
