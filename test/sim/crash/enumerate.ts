/**
 * Every schedule of at most so many crashes of one cell, depth first. Deaths that leave the same
 * universe are lived on from once; the schedules that they stand for are all counted. Both numbers
 * are kept apart: what was covered, and what was run.
 */
import type { ProviderClass } from "../../../reconciler/core/provider.ts";
import type { PoolName } from "../../../schema/id.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { CrashInjector } from "../../world/crash-injector.ts";
import { World, type Universe } from "../../world/world.ts";
import { live, optionsOf, type Cell, type Death, type Start } from "./life.ts";
import { replyOf } from "./reply.ts";
import type { Story, Workflow } from "./workflow.ts";

export type Found = { path: string[]; wrong: string[] };

export type Tally = {
  /** Schedules covered, by their number of crashes. */
  schedules: number[];
  /** Lives run. */
  lives: number;
  found: Found | null;
};

export type Limits = {
  depth: number;
  downMs?: number;
  /** Stops when true: the rest is not covered and not counted. */
  enough?: () => boolean;
};

export function newTally(depth: number): Tally {
  return { schedules: Array.from({ length: depth + 1 }, () => 0), lives: 0, found: null };
}

const FIRST: Story = { step: 0, begun: false, asked: false, notes: {} };
const DOWN_MS = 500;

function nameOf({ first, times }: Death): string {
  return `${first.n}${first.side} ${first.what}${times > 1 ? ` (×${times})` : ""}`;
}

const starts = new Map<string, Promise<Universe>>();

/** The universe in which a cell begins; made once for each class. */
function universeOf(workflow: Workflow, cls: ProviderClass): Promise<Universe> {
  const key = `${workflow.name} ${cls}`;
  const known = starts.get(key) ?? makeUniverse(workflow, cls);
  starts.set(key, known);
  return known;
}

async function makeUniverse(workflow: Workflow, cls: ProviderClass): Promise<Universe> {
  const { start } = workflow;
  const injector = new CrashInjector();
  const world = await World.open(workflow.yaml, {
    ...optionsOf({ workflow, class: cls, reply: replyOf("ok") }),
    store: "memory",
    prepare: injector,
  });
  try {
    const nothing = world.capture();
    switch (start.kind) {
      case "nothing":
        return nothing;
      case "bought-unknown":
        return await boughtUnknown(world, injector);
      case "steady":
        await becomeSteady(world, start.nodes);
        break;
      default:
        return unreachable(start);
    }
    if (start.amid === "instance-deleted") {
      for (const { id } of world.cloud.reality().live.slice(0, 1)) world.cloud.deleteInstance(id);
    }
    const left = world.capture();
    return start.amid === "database-lost" ? { ...left, database: nothing.database } : left;
  } finally {
    await world.close();
  }
}

async function boughtUnknown(world: World, injector: CrashInjector): Promise<Universe> {
  const caught: Universe[] = [];
  injector.watch = ({ side, what }) => {
    if (what === "cloud.create" && side === "a") caught.push(world.capture());
  };
  await world.start();
  await world.advance(() => caught.length > 0, 60_000);
  const [first] = caught;
  if (first === undefined) throw new Error("nothing was bought");
  return first;
}

async function becomeSteady(world: World, nodes: number): Promise<void> {
  await world.start();
  await world.reconciler.change((draft) => {
    const state = draft.pool("p" as PoolName);
    if (state !== null) draft.putPool({ ...state, desired: nodes });
  });
  const serves = (): boolean => world.serving().length === nodes;
  if (!(await world.advance(serves, 120_000))) throw new Error("the fleet never came up");
  await world.advance(() => false, 30_000);
}

/** The beginning of a cell, and how much the cloud had on record by then. */
export async function beginningOf(cell: Cell): Promise<{ start: Start; given: number }> {
  const universe = await universeOf(cell.workflow, cell.class);
  const given = cell.workflow.start.kind === "nothing" ? 1 : universe.cloud.entries.length;
  return { start: { universe, story: FIRST, key: "" }, given };
}

/** Enumerates a cell; adds to `tally` and stops at the first thing that is wrong. */
export async function enumerate(cell: Cell, limits: Limits, tally: Tally): Promise<void> {
  const { start, given } = await beginningOf(cell);
  const rested = new Set<string>();
  const seen = new Map<string, number[]>();
  const downMs = limits.downMs ?? DOWN_MS;

  /** Schedules from here on, by how many more crashes they have. */
  const explore = async (from: Start, left: number, path: string[]): Promise<number[]> => {
    const key = `${from.key} ${left}`;
    const known = seen.get(key);
    if (known !== undefined) return known;
    const life = await live(cell, from, { fork: left > 0, downMs, given, rested });
    tally.lives++;
    if (life.wrong.length > 0) tally.found ??= { path, wrong: life.wrong };
    const counts = Array.from({ length: left + 1 }, () => 0);
    counts[0] = 1;
    for (const death of left > 0 ? life.deaths : []) {
      if (tally.found !== null || limits.enough?.() === true) break;
      const below = await explore(death, left - 1, [...path, nameOf(death)]);
      below.forEach((n, i) => (counts[i + 1] = (counts[i + 1] ?? 0) + n * death.times));
    }
    if (tally.found === null && limits.enough?.() !== true) seen.set(key, counts);
    return counts;
  };

  const counts = await explore(start, limits.depth, []);
  counts.forEach((n, i) => (tally.schedules[i] = (tally.schedules[i] ?? 0) + n));
}

/**
 * Schedules of exactly `depth` crashes, drawn with their multiplicity: `walks` chains of deaths,
 * each lived to its end in up to `leaves` ways.
 */
export async function sample(
  cell: Cell,
  from: { depth: number; walks: number; leaves: number; random: () => number; downMs?: number },
  tally: Tally,
): Promise<void> {
  const { start, given } = await beginningOf(cell);
  const { depth, random } = from;
  const rested = new Set<string>();
  const downMs = from.downMs ?? DOWN_MS;
  const step = async (at: Start, path: string[], fork: boolean): Promise<Death[]> => {
    const life = await live(cell, at, { fork, downMs, given, rested });
    tally.lives++;
    if (life.wrong.length > 0) tally.found ??= { path, wrong: life.wrong };
    return life.deaths;
  };
  const roots = await step(start, [], true);
  for (let walk = 0; walk < from.walks && tally.found === null; walk++) {
    let deaths = roots;
    const path: string[] = [];
    for (let i = 1; i < depth && deaths.length > 0; i++) {
      const death = drawn(deaths, random());
      path.push(nameOf(death));
      deaths = await step(death, path, true);
    }
    for (let leaf = 0; leaf < from.leaves && deaths.length > 0; leaf++) {
      const death = drawn(deaths, random());
      await step(death, [...path, nameOf(death)], false);
      tally.schedules[depth] = (tally.schedules[depth] ?? 0) + 1;
    }
  }
}

/** One of the deaths by how many points they stand for; `at` is 0 up to but not including 1. */
function drawn(deaths: readonly Death[], at: number): Death {
  let left = at * deaths.reduce((sum, { times }) => sum + times, 0);
  for (const death of deaths) {
    left -= death.times;
    if (left < 0) return death;
  }
  const last = deaths.at(-1);
  if (last === undefined) throw new Error("no death to draw");
  return last;
}

/** The shortest schedule that goes wrong in a cell: fewer crashes are tried first. */
export async function shortest(cell: Cell, depth: number): Promise<Found | null> {
  for (let crashes = 0; crashes <= depth; crashes++) {
    const tally = newTally(crashes);
    await enumerate(cell, { depth: crashes }, tally);
    if (tally.found !== null) return tally.found;
  }
  return null;
}
