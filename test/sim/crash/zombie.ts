/**
 * A frozen process: it stops at one point, another takes over on the same database after the lease
 * expires, and the frozen one resumes at some point of the other's life. Its late write must be
 * refused; its late call must be a replay, be refused, or (at a tag-only cloud, which cannot
 * refuse) leave one surplus that is ended.
 */
import { settle } from "../../../simulator/engine/clock.ts";
import { CrashInjector } from "../../world/crash-injector.ts";
import { World } from "../../world/world.ts";
import { judge } from "./judge.ts";
import {
  calm,
  copyStory,
  optionsOf,
  silence,
  stateOf,
  tell,
  type Cell,
  type Start,
} from "./life.ts";
import type { Story } from "./workflow.ts";
import { ALWAYS } from "../../../reconciler/runtime/act/run.ts";

/**
 * How long the frozen one's lease outlives it, and a little more
 * (docs/reference/safety.md#leadership, 15 s).
 */
const TAKEOVER_MS = 16_000;
/** How often the frozen one is active again before it is noticed and dies. */
const LAST_ACTIVATIONS = 5;

export type Freeze = {
  /** The point of the first life at which it freezes, counted from the end of its start. */
  at: number;
  side: "b" | "a";
  /** The point of the second life at which the first resumes; never, if it ends before. */
  thawAt: number;
};

export type Thawed = {
  wrong: string[];
  /** Points that each life passed: how far `at` and `thawAt` may go. */
  points: { first: number; second: number };
  /** What the frozen one was held at; `null` = its story ended before. */
  held: string | null;
};

/** Runs one freeze. `given` as for a life. */
export async function freeze(
  cell: Cell,
  start: Start,
  given: number,
  wanted: Freeze,
  options: { rested: Set<string>; fenced?: boolean },
): Promise<Thawed> {
  const frozen = Promise.withResolvers<string>();
  const thaw = Promise.withResolvers<void>();
  const injector = new CrashInjector();
  const { universe } = start;
  const first = await World.open(cell.workflow.yaml, {
    ...optionsOf(cell),
    prepare: injector,
    from: universe,
  });
  first.tolerant = true;
  let led = true;
  const term = { ...ALWAYS, mayStart: () => led, unfencedMs: 7_000 };
  if (options.fenced !== false) first.permit = term;
  const story = copyStory(start.story);
  const points = { first: 0, second: 0 };
  const out: Thawed = { wrong: [], points, held: null };
  try {
    await first.start();
    const begun = injector.count;
    let isHeld = false;
    injector.hold = ({ n, side, what }) => {
      points.first = n - begun;
      if (!isHeld && n - begun === wanted.at && side === wanted.side) {
        isHeld = true;
        first.stop();
        frozen.resolve(`${wanted.at}${side} ${what}`);
      }
      return isHeld ? thaw.promise : null;
    };
    const life = tell(first, cell.workflow, story).then(
      () => null,
      () => null,
    );
    out.held = await Promise.race([frozen.promise, life]);
    if (out.held === null) return out;
    // Its own driver of the clock ends before another one starts.
    for (let i = 0; i < 20; i++) await settle();
    await first.clock.pass(TAKEOVER_MS);
    led = false;
    const { thawAt } = wanted;
    const { rested } = options;
    await takeOver(cell, first, thaw.resolve, { story, given, thawAt, rested }, out);
    return out;
  } catch (error) {
    out.wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return out;
  } finally {
    thaw.resolve();
    for (let i = 0; i < 5; i++) await settle();
    await first.close();
  }
}

async function takeOver(
  cell: Cell,
  first: World,
  thaw: () => void,
  from: { story: Story; given: number; thawAt: number; rested: Set<string> },
  out: Thawed,
): Promise<void> {
  const injector = new CrashInjector();
  const second = await World.open(cell.workflow.yaml, { beside: first, prepare: injector });
  second.tolerant = true;
  let left = -1;
  injector.watch = ({ n }) => {
    out.points.second = n;
    if (n !== from.thawAt || left >= 0) return;
    left = LAST_ACTIVATIONS;
    first.goOn();
    thaw();
  };
  const { story } = from;
  try {
    await second.start();
    const wroteBefore = first.writer?.wrote ?? 0;
    // Both live from here on: a little of the one, an activation of the other.
    second.company = async () => {
      if (left <= 0) return;
      left--;
      await first.reconciler.activate().catch(() => undefined);
      await settle();
    };
    await tell(second, cell.workflow, story);
    // A frozen one that has not gone on by now never does: the rest is watched without it.
    injector.watch = null;
    await calm(second, cell.workflow);
    const late = (first.writer?.wrote ?? 0) - wroteBefore;
    if (late > 0) out.wrong.push(`a frozen process wrote ${late} rows after its time`);
    // A late ask that a tag-only cloud could not refuse is one more that landed too late.
    const reply = { ...cell.reply, lateAsks: cell.reply.lateAsks + 1 };
    out.wrong.push(...judge(second, cell.workflow, reply, from.given));
    const cordoned = second.serving().filter((id) => second.scheduler.cordoned.has(id));
    if (cordoned.length > 0) out.wrong.push(`serves but is cordoned: ${cordoned.join(", ")}`);
    second.company = null;
    out.wrong.push(...(await silence(second, story, from.rested)));
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    out.wrong.push(`${text}\n${stateOf(second)}`);
  } finally {
    await second.close();
  }
}
