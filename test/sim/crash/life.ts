/**
 * One life of a control plane in a universe, from its start to the end of the story, without a
 * crash: what a crash would leave is captured at each point on the way. A process is nothing but
 * what it left, so every schedule of crashes is a chain of such lives.
 */
import { CrashInjector, type Point } from "../../world/crash-injector.ts";
import { World, type Universe } from "../../world/world.ts";
import type { ProviderClass } from "../../../reconciler/core/provider.ts";
import { watchIntents } from "./intent.ts";
import { judge } from "./judge.ts";
import { keyOf, rowsOf, shapeOf } from "./key.ts";
import { SETTLE_MS, type Reply } from "./reply.ts";
import { servingNodes, type Story, type Workflow } from "./workflow.ts";

/** One workflow at one class of provider that answers in one way. */
export type Cell = { workflow: Workflow; class: ProviderClass; reply: Reply };

/** Where a life may start: the world as it was left, and how far the story is. */
export type Start = { universe: Universe; story: Story; key: string };

/** What dying at some points of a life leaves; `times` of them leave the same. */
export type Death = Start & { times: number; first: Point };

export type Life = {
  deaths: Death[];
  /** What went wrong, in words; empty = nothing. */
  wrong: string[];
};

export type LifeOptions = {
  /** Whether deaths are captured. */
  fork: boolean;
  /** From one death to the next life. Milliseconds. */
  downMs: number;
  /** Entries of the cloud that were there before the story began. */
  given: number;
  /** Shapes of fleets at rest for which the long silence was already watched. */
  rested: Set<string>;
};

/** Longest story: the longest back-off in it is half a minute, the longest timeout one. */
const STORY_MS = 30 * 60_000;
/** Longest time from the story's end until nothing moves: two sweeps past the settle time. */
const CALM_MS = 5 * 60_000;
/** How long nothing may be written then (docs/reference/invariants.md). */
const TAIL_MS = 10 * 60_000;

export function optionsOf(cell: Cell): {
  class: ProviderClass;
  settleMs: number;
  faults: Reply["faults"];
  terms: Reply["terms"];
} {
  return {
    class: cell.class,
    settleMs: cell.class === "tag-only" ? SETTLE_MS : 0,
    faults: cell.reply.faults,
    terms: cell.reply.terms,
  };
}

export function copyStory(story: Story): Story {
  return { ...story, notes: { ...story.notes } };
}

/** Watches a life and keeps what a crash at each point would leave. */
class Deaths {
  readonly found = new Map<string, Death>();
  readonly wrong: string[] = [];
  private last: Death | null = null;
  private mark = "";
  private nextGen = 0;
  private readonly world: World;
  private readonly story: Story;

  constructor(world: World, story: Story) {
    this.world = world;
    this.story = story;
  }

  note(point: Point): void {
    const { world, story } = this;
    const { database } = world;
    if (database === null) throw new Error("captured worlds are in memory");
    // Cheap signs that nothing has changed since the last point.
    const { step, begun, asked } = story;
    const mark = [
      database.writes,
      world.cloud.entries().length,
      world.scheduler.calls.length,
      world.clock.wallMs(),
      world.said,
      `${step}${begun}${asked}`,
    ].join(" ");
    if (mark === this.mark && this.last !== null && !point.what.startsWith("cloud.")) {
      this.last.times++;
      return;
    }
    this.mark = mark;
    const rows = rowsOf(database);
    this.check(rows);
    const key = keyOf(world, story, rows);
    const known = this.found.get(key);
    if (known !== undefined) known.times++;
    this.last = known ?? {
      universe: world.capture(),
      story: copyStory(story),
      key,
      times: 1,
      first: point,
    };
    this.found.set(key, this.last);
  }

  /** What must hold after every write. */
  private check(rows: string): void {
    const gen = Number(/\\"nextGen\\":(\d+)/.exec(rows)?.[1] ?? 0);
    if (gen < this.nextGen) this.wrong.push(`generation fell from ${this.nextGen} to ${gen}`);
    this.nextGen = Math.max(this.nextGen, gen);
  }
}

/** Lives one life. Never throws: failures are in `wrong`. */
export async function live(cell: Cell, start: Start, options: LifeOptions): Promise<Life> {
  const { universe } = start;
  const injector = new CrashInjector();
  const world = await World.open(cell.workflow.yaml, {
    ...optionsOf(cell),
    prepare: injector,
    from: { ...universe, wallMs: universe.wallMs + options.downMs },
  });
  const story = copyStory(start.story);
  const deaths = new Deaths(world, story);
  const unintended = watchIntents(world);
  if (options.fork) injector.watch = (point) => deaths.note(point);
  try {
    await world.start();
    await tell(world, cell.workflow, story);
    await calm(world, cell.workflow);
    injector.watch = null;
    const wrong = judge(world, cell.workflow, cell.reply, options.given);
    wrong.push(...unintended, ...deaths.wrong, ...(await silence(world, story, options.rested)));
    return { deaths: [...deaths.found.values()], wrong };
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { deaths: [...deaths.found.values()], wrong: [...deaths.wrong, text] };
  } finally {
    await world.close();
  }
}

export async function tell(world: World, workflow: Workflow, story: Story): Promise<void> {
  const end = world.clock.monoMs() + STORY_MS;
  for (;;) {
    const step = workflow.steps[story.step];
    if (step === undefined) return;
    if (!story.begun) {
      story.begun = true;
      step.begin?.(world, story);
    }
    if (!story.asked) {
      await step.ask?.(world, story);
      story.asked = true;
    }
    const left = end - world.clock.monoMs();
    if (!(await world.advance(() => step.done(world, story), left))) {
      throw new Error(`never: step ${story.step} of ${workflow.name}: ${stateOf(world)}`);
    }
    Object.assign(story, { step: story.step + 1, begun: false, asked: false });
  }
}

/** Until nothing is on its way any more, in the cloud or in the plan. */
export async function calm(world: World, workflow: Workflow): Promise<void> {
  const isCalm = (): boolean => {
    const { pending, due } = world.cloud.world();
    if (pending.size > 0) return false;
    if (due.some(({ kind }) => kind === "run" || kind === "end")) return false;
    if (world.reconciler.fleet().operations.size > 0) return false;
    if (world.reconciler.lastPlan().actions.length > 0) return false;
    const live = world.cloud.reality().live.length;
    return live === workflow.nodes && servingNodes(world) === workflow.nodes;
  };
  await world.advance(isCalm, CALM_MS);
}

/** Nothing is written while nothing happens: for ten minutes where this rest is new. */
export async function silence(world: World, story: Story, rested: Set<string>): Promise<string[]> {
  const { database } = world;
  if (database === null) return [];
  const shape = shapeOf(world, story, rowsOf(database));
  if (rested.has(shape)) return [];
  rested.add(shape);
  // What is still in a letter box or on its way to the next look is not yet silence.
  await world.advance(() => false, 15_000);
  const before = database.writes;
  await world.advance(() => false, TAIL_MS);
  const writes = database.writes - before;
  return writes === 0 ? [] : [`${writes} rows written while nothing happens`];
}

export function stateOf(world: World): string {
  const nodes = world
    .nodes()
    .map((node) => `${node.id} ${node.phase.kind} ${node.operation ?? ""}`);
  const { live, pending } = world.cloud.reality();
  const cloud = live.map(({ id, state, tags }) => `${id} ${state} ${tags["navarch-node"]}`);
  const { waits } = world.reconciler.lastPlan();
  return `${nodes.join("; ")} | ${cloud.join("; ")} +${pending} | ${JSON.stringify(waits)}`;
}
