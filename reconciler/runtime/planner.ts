/**
 * Makes the plan of an activation and stages what it changes. A change of phase often has its first
 * call follow at once, so a second plan is made of what the first one moved on; both are written
 * with the facts that led to them, before anything is called.
 */
import type { Action } from "../../schema/action.ts";
import type { Config } from "../../schema/config.ts";
import type { Plan } from "../../schema/plan.ts";
import type { Log } from "../core/clock.ts";
import { hindranceOf } from "../core/decide/bootstrap.ts";
import { decide } from "../core/decide/decide.ts";
import { type Broken, soundPart } from "../core/decide/sound.ts";
import type { Sight } from "../core/fleet.ts";
import { applyPlan } from "../core/fold/plan.ts";
import { stepUnready } from "../core/fold/unready.ts";
import type { Ledger } from "./ledger.ts";
import { stepUpgrade } from "../core/upgrade/step.ts";
import { WaitLog } from "./wait-log.ts";

/** Each costs a look at the whole fleet; what needs a third has its turn in the next activation. */
const ROUNDS_MAX = 2;

type PlannerOptions = {
  ledger: Ledger;
  config: Config;
  log: Log;
  /** `false`: the plan is only shown. */
  acts: boolean;
};

export class Planner {
  /** As last made: the actions of all rounds, and what waited after them. */
  plan: Plan = { actions: [], waits: [] };
  private broken: Broken = new Map();
  private readonly options: PlannerOptions;
  private readonly waits: WaitLog;

  constructor(options: PlannerOptions) {
    this.options = options;
    this.waits = new WaitLog(options.log);
  }

  /** Pools whose plan breaks a law, with how. */
  breaches(): string[] {
    return [...this.broken.values()];
  }

  decide(sight: Sight): void {
    this.make(sight);
    const { ledger, acts } = this.options;
    if (acts) this.waits.look(this.plan.waits, ledger.fleet(), sight.now);
  }

  private make(sight: Sight): void {
    const { ledger, config, acts } = this.options;
    const actions: Action[] = [];
    if (acts) this.stepUpgrade(sight);
    if (acts) this.noteUnready(sight);
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const fleet = ledger.fleet();
      const plan = this.sound(sight);
      actions.push(...plan.actions);
      this.plan = { actions, waits: plan.waits };
      if (plan.actions.length === 0 || !acts) return;
      const draft = ledger.draft();
      applyPlan(plan, fleet, config, sight.now, draft);
      ledger.stage(draft);
      if (!plan.actions.some(({ kind }) => kind === "advance")) return;
    }
  }

  private stepUpgrade(sight: Sight): void {
    const { ledger } = this.options;
    const draft = ledger.draft();
    stepUpgrade(ledger.fleet(), sight, draft);
    ledger.stage(draft);
  }

  /** What keeps a pool's machines from being set up is stored, and told when it begins and ends. */
  private noteUnready(sight: Sight): void {
    const { ledger, config } = this.options;
    const draft = ledger.draft();
    for (const pool of config.pools) {
      const step = stepUnready(
        ledger.fleet().pools.get(pool.name),
        hindranceOf(pool, sight),
        sight,
      );
      if (step === null) continue;
      draft.putPool(step.pool);
      draft.tell(step.events);
    }
    ledger.stage(draft);
  }

  /** A standby's look: shown, and nothing more. */
  look(sight: Sight): void {
    const { ledger, config } = this.options;
    const fleet = ledger.fleet();
    this.plan = soundPart(fleet, config, sight, decide(fleet, config, sight)).plan;
  }

  private sound(sight: Sight): Plan {
    const { ledger, config, log } = this.options;
    const fleet = ledger.fleet();
    const { plan, broken } = soundPart(fleet, config, sight, decide(fleet, config, sight));
    for (const [pool, message] of broken) {
      if (!this.broken.has(pool)) log("error", message, { pool });
    }
    this.broken = broken;
    return plan;
  }
}
