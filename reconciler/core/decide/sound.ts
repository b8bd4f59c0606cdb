/**
 * The part of a plan that breaks no law. Pure. A pool that is still, and says so, is safer at night
 * than a process that ends and restarts into the same plan; the other pools go on.
 */
import type { Action } from "../../../schema/action.ts";
import type { Config } from "../../../schema/config.ts";
import type { Plan } from "../../../schema/plan.ts";
import type { Fleet, Sight } from "../fleet.ts";
import { lintPlan } from "./lint.ts";

/** Pools (`null` = nodes of none) whose plan breaks a law, with how. */
export type Broken = ReadonlyMap<string | null, string>;

export function soundPart(
  fleet: Fleet,
  config: Config,
  sight: Sight,
  plan: Plan,
): { plan: Plan; broken: Broken } {
  const broken = new Map<string | null, string>();
  for (const { pool, message } of lintPlan(fleet, config, sight, plan)) {
    const before = broken.get(pool) ?? `the plan of pool ${pool ?? "-"} breaks a law: `;
    broken.set(pool, broken.has(pool) ? `${before}; ${message}` : `${before}${message}`);
  }
  const poolOf = (action: Action): string | null =>
    action.kind === "admit" ? action.pool : (fleet.nodes.get(action.node)?.pool ?? null);
  const actions = plan.actions.filter((action) => !broken.has(poolOf(action)));
  return { plan: { actions, waits: plan.waits }, broken };
}
