/** Makes the plan of an activation, records its inputs, and logs what changed. */
import type { Config } from "../../schema/config.ts";
import type { Plan } from "../core/plan.ts";
import type { Log } from "../core/clock.ts";
import { decideActivation, type Round } from "../core/decide/activation.ts";
import { decide } from "../core/decide/decide.ts";
import { type Broken, soundPart } from "../core/decide/lint.ts";
import type { Sight } from "../core/fleet.ts";
import type { Ledger } from "./ledger.ts";
import { Recorder } from "./recorder.ts";
import { WaitLog } from "./wait-log.ts";

type PlannerOptions = {
  ledger: Ledger;
  config(): Config;
  log: Log;
  /** `false`: the plan is only shown. */
  acts: boolean;
};

export class Planner {
  /** The last plan: the actions of all rounds, and the waits after them. */
  plan: Plan = { actions: [], waits: [] };
  recorder = new Recorder();
  private broken: Broken = new Map();
  private readonly options: PlannerOptions;
  private readonly waits: WaitLog;

  constructor(options: PlannerOptions) {
    this.options = options;
    this.waits = new WaitLog(options.log);
  }

  /** Broken laws, one text for each pool. */
  breaches(): string[] {
    return [...this.broken.values()];
  }

  /** Activations before a reload cannot be replayed with the new configuration. */
  forget(): void {
    this.recorder = new Recorder();
  }

  decide(sight: Sight): void {
    const { ledger, acts } = this.options;
    const config = this.options.config();
    const done = this.recorder.begin(ledger.fleet(), sight, acts);
    try {
      const rounds = decideActivation(ledger, config, sight, acts);
      done({ kind: "decided", rounds });
      this.take(rounds);
    } catch (error) {
      done({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
      throw error;
    }
    if (acts) this.waits.look(this.plan.waits, ledger.fleet(), sight.now);
  }

  private take(rounds: readonly Round[]): void {
    for (const { broken } of rounds) {
      for (const [pool, message] of broken) {
        if (!this.broken.has(pool)) this.options.log("error", message, { pool });
      }
      this.broken = broken;
    }
    const actions = rounds.flatMap(({ plan }) => plan.actions);
    this.plan = { actions, waits: rounds.at(-1)?.plan.waits ?? [] };
  }

  /** A standby's plan, which is only shown. */
  look(sight: Sight): void {
    const { ledger } = this.options;
    const config = this.options.config();
    const fleet = ledger.fleet();
    this.plan = soundPart(fleet, config, sight, decide(fleet, config, sight)).plan;
  }
}
