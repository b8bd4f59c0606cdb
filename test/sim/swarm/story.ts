/**
 * One story from start to quiet end: the fleet comes up, its faults happen and stop, and then
 * everything must become well within a bound and writes must stop.
 */
import { type Fault, nameOf } from "./fault.ts";
import type { Shape } from "./shape.ts";
import { type Found, type Pace, Swarm } from "./swarm.ts";
import { isWaived, Trouble } from "./trouble.ts";
import { sayWait } from "../../../reconciler/core/say/wait.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** The longest first purchase: boots run in parallel. */
const UP_MS = 6 * HOUR;
/**
 * Time to become well after the last fault: the longest back-offs that may still run are those of
 * quotas, six hours, and then the guard's, one hour.
 */
const WELL_MS = 20 * HOUR;
const QUIET_MS = 10 * MINUTE;
/** People look after what waits for them this often. */
const TIDY_MS = 2 * HOUR;

export type Told = {
  found: Found[];
  hash: string;
  story: string[];
  virtualMs: number;
  steps: number;
  activations: number;
  lives: number;
  /** Leaders that were frozen while another took over. */
  freezes: number;
  events: number;
  faults: ReadonlyMap<string, number>;
  launches: number;
  ends: number;
  replaced: number;
};

export type StoryOptions = { pace?: Pace; endMs: number; stopAtFirst?: boolean };

export async function tellStory(
  shape: Shape,
  faults: readonly Fault[],
  options: StoryOptions,
): Promise<Told> {
  const swarm = new Swarm(shape, options.pace ?? "analytic");
  swarm.keepsBackups = faults.some(({ what }) => what.kind === "database-old");
  const trouble = new Trouble(swarm);
  const happened = new Map<string, number>();
  const goesOn = (): boolean => options.stopAtFirst !== true || swarm.found.length === 0;
  await swarm.bringUp();
  swarm.queue.put(0, () => trouble.resize());
  await swarm.run(UP_MS, () => goesOn() && !isWell(swarm));
  if (goesOn() && !isWell(swarm)) tell(swarm, "liveness", `never came up: ${whyNotWell(swarm)}`);
  const begun = swarm.now();
  for (const { at, what } of faults) {
    swarm.queue.put(begun + at, async () => {
      const name = nameOf(what);
      happened.set(name, (happened.get(name) ?? 0) + 1);
      await trouble.apply(what);
    });
  }
  for (let at = TIDY_MS; at < options.endMs; at += TIDY_MS)
    swarm.queue.put(begun + at, () => trouble.tidy());
  if (goesOn()) await swarm.run(begun + options.endMs, goesOn);
  if (goesOn()) await end(swarm, trouble, goesOn);
  return {
    found: swarm.found,
    hash: swarm.traceHash(),
    story: swarm.story,
    virtualMs: swarm.now(),
    steps: swarm.steps,
    activations: swarm.life.activations,
    lives: swarm.life.lives,
    freezes: swarm.life.freezes,
    events: swarm.events,
    faults: happened,
    launches: swarm.watch.launches,
    ends: swarm.watch.ends,
    replaced: swarm.story.filter((line) => line.includes(" node.replaced ")).length,
  };
}

function tell(swarm: Swarm, id: string, message: string): void {
  swarm.found.push({ id, message, at: swarm.now() });
}

/** Faults stop; within the bound everything is well; then nothing is written for ten minutes. */
async function end(swarm: Swarm, trouble: Trouble, goesOn: () => boolean): Promise<void> {
  const calmAt = swarm.now();
  await trouble.calm();
  for (let at = 0; at < WELL_MS; at += HOUR / 2)
    swarm.queue.put(calmAt + at, () => (isWell(swarm) ? undefined : trouble.tidy(true)));
  const restMs = 20 * MINUTE;
  await swarm.run(calmAt + restMs, goesOn);
  const whyNot = (): string => whyNotWell(swarm) || swarm.sinks.joining();
  await swarm.run(calmAt + WELL_MS, () => goesOn() && whyNot() !== "");
  if (!goesOn()) return;
  if (whyNot() !== "") return tell(swarm, "liveness", `never well again: ${whyNot()}`);
  const writesOf = (): number => swarm.watch.writes + swarm.sinks.writes;
  const before = writesOf();
  const stories = swarm.story.length;
  await swarm.run(swarm.now() + QUIET_MS, goesOn);
  const writes = writesOf() - before;
  if (writes > 0) {
    const last = swarm.watch.lastWrite();
    const said = swarm.story.slice(stories, stories + 3).join("; ");
    tell(swarm, "quiet", `${writes} writes in ten quiet minutes; last: ${last}; ${said}`);
  }
}

function isWell(swarm: Swarm): boolean {
  return whyNotWell(swarm) === "";
}

/** Empty if every slot is verified, nothing is open, and no orphan is live. */
function whyNotWell(swarm: Swarm): string {
  const { rows, live } = swarm.watch;
  if (!swarm.life.isUp()) return "no process runs";
  const [open] = rows.operations.keys();
  if (open !== undefined) return `${open} is open`;
  const [breaker] = swarm.watch.breakers;
  if (breaker !== undefined) return `${breaker} is not closed`;
  const serving = new Map<string, number>();
  const known = new Set<string>();
  for (const node of rows.nodes.values()) {
    if (node.phase.kind === "gone") continue;
    if (node.phase.kind !== "serving" || node.session !== null)
      return `${node.id} is ${node.phase.kind}, ${waitOf(swarm, node.id)}`;
    if (node.cordon.human !== null) return `${node.id} is cordoned by a person`;
    if (isWaived(node)) return `${node.id} is broken, and serves because a person said so`;
    // Advice that expires is reported when it ends.
    if (node.health.held.some(({ judgement }) => typeof judgement.hold === "object"))
      return `${node.id} holds evidence for a time`;
    serving.set(node.pool ?? "", (serving.get(node.pool ?? "") ?? 0) + 1);
    if (node.instance !== null) known.add(node.instance.id);
  }
  for (const [place, { name }] of swarm.shape.pools.entries()) {
    const have = serving.get(name) ?? 0;
    const want = swarm.sizes[place] ?? 0;
    if (have !== want) return `pool ${name} has ${have} of ${want}, ${waitOf(swarm, null)}`;
  }
  for (const one of live.values()) {
    const own = one.fleet === "fleet" && !one.decoy;
    if (own && !known.has(one.id)) return `${one.id} is live and unknown`;
  }
  return swarm.sinks.unrest();
}

function waitOf(swarm: Swarm, node: string | null): string {
  const waits = swarm.life.running?.reconciler.lastPlan().waits ?? [];
  const wait = waits.find((one) => one.node === node);
  return wait === undefined ? "and nothing waits" : `${wait.reason}: ${sayWait(wait.why)}`;
}
