/**
 * All that one activation decides: upgrades, what keeps pools from being set up, and the plan. Pure
 * apart from the bench that it stages on, so that a saved activation can be decided again.
 *
 * A change of phase often has its first call follow at once, so a second plan is made of what the
 * first one moved on; both are written with the facts that led to them, before anything is called.
 */
import type { Config } from "../../../schema/config.ts";
import type { Plan } from "../../../schema/plan.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { applyPlan } from "../fold/plan.ts";
import { stepUnready } from "../fold/unready.ts";
import { stepUpgrade } from "../upgrade/step.ts";
import { hindranceOf } from "./bootstrap.ts";
import { decide } from "./decide.ts";
import { type Broken, soundPart } from "./sound.ts";

/** Where units of work are shown to what is decided after them. */
export type Bench = {
  fleet(): Fleet;
  work(): UnitOfWork;
  stage(work: UnitOfWork): void;
};

/** One plan, without the actions of pools whose plan breaks a law. */
export type Round = { plan: Plan; broken: Broken };

/** Each costs a look at the whole fleet; what needs a third has its turn in the next activation. */
const ROUNDS_MAX = 2;

/** `acts` `false`: one plan is made and nothing is staged. */
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

/** What keeps a pool's machines from being set up is stored, with an event when it changes. */
function noteUnready(fleet: Fleet, config: Config, sight: Sight, work: UnitOfWork): void {
  for (const pool of config.pools) {
    const hindrance = hindranceOf(pool, sight);
    const step = stepUnready(fleet.pools.get(pool.name), hindrance, sight);
    if (step === null) continue;
    work.putPool(step.pool);
    work.tell(step.events);
  }
}
