/**
 * Decides one activation: upgrades, what blocks set-ups, and the plan. Pure apart from the bench
 * that it stages on, so that a saved activation can be decided again. A change of phase often
 * allows its first call at once, so a second plan follows the first; both are written with the
 * facts behind them before any call.
 */
import type { Config } from "../../../schema/config.ts";
import type { Plan } from "../plan.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { applyPlan } from "../fold/plan.ts";
import { stepUnready } from "../fold/unready.ts";
import { stepUpgrade } from "../upgrade/step.ts";
import { hindranceOf } from "./bootstrap.ts";
import { decide } from "./decide.ts";
import { type Broken, soundPart } from "./lint.ts";

/** Stages units of work, so that later decisions see them. */
export type Bench = {
  fleet(): Fleet;
  work(): UnitOfWork;
  stage(work: UnitOfWork): void;
};

/** One plan, without the actions of pools whose plan breaks a law. */
export type Round = { plan: Plan; broken: Broken };

/** Each round costs a pass over the whole fleet; the rest waits for the next activation. */
const ROUNDS_MAX = 2;

/** `acts: false` makes one plan and stages nothing. */
export function decideActivation(
  bench: Bench,
  config: Config,
  sight: Sight,
  acts: boolean,
): Round[] {
  const rounds: Round[] = [];
  if (acts) {
    stage(bench, (work) => stepUpgrade(bench.fleet(), sight, work));
    stage(bench, (work) => noteUnready(bench.fleet(), config, sight, work));
  }
  while (rounds.length < ROUNDS_MAX) {
    const fleet = bench.fleet();
    const round = soundPart(fleet, config, sight, decide(fleet, config, sight));
    const { plan } = round;
    rounds.push(round);
    if (plan.actions.length === 0 || !acts) break;
    stage(bench, (work) => applyPlan(plan, fleet, config, sight.now, work));
    if (!plan.actions.some(({ kind }) => kind === "advance")) break;
  }
  return rounds;
}

function stage(bench: Bench, fill: (work: UnitOfWork) => void): void {
  const work = bench.work();
  fill(work);
  bench.stage(work);
}

/** Stores what blocks the set-up of a pool's machines, with an event when it changes. */
function noteUnready(fleet: Fleet, config: Config, sight: Sight, work: UnitOfWork): void {
  for (const pool of config.pools) {
    const hindrance = hindranceOf(pool, sight);
    const step = stepUnready(fleet.pools.get(pool.name), hindrance, sight);
    if (step === null) continue;
    work.putPool(step.pool);
    work.tell(step.events);
  }
}
