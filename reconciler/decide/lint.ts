/**
 * Plan lint: a plan that breaks a law is a bug in `decide`, found before anything is written. Pure, and
 * written against the laws rather than against `decide`, so that the two can disagree.
 */
import { isDestructive } from "../../schema/action.ts";
import type { Config } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import type { Plan } from "../../schema/plan.ts";
import { desiredOf, type Fleet, type Sight } from "../fleet.ts";
import { isOut, shareOf } from "./budget.ts";

/** Every law that `plan` breaks, in words; empty = sound. */
export function lintPlan(fleet: Fleet, config: Config, sight: Sight, plan: Plan): string[] {
  const broken: string[] = [];
  const acted = new Set<string>();
  const admitted = new Set<string>();
  for (const action of plan.actions) {
    if (acted.has(action.node)) broken.push(`two actions for node ${action.node}`);
    acted.add(action.node);
    if (action.kind === "admit") {
      if (fleet.nodes.has(action.node)) broken.push(`admit of ${action.node}, which exists`);
      const slot = `${action.pool}/${action.slot}`;
      if (admitted.has(slot)) broken.push(`two admits for slot ${slot}`);
      admitted.add(slot);
      lintAdmit(fleet, plan, action, broken);
      continue;
    }
    const node = fleet.nodes.get(action.node);
    if (node === undefined) {
      broken.push(`${action.kind} of ${action.node}, which does not exist`);
      continue;
    }
    if (node.operation !== null) broken.push(`${action.kind} of ${node.id} while ${node.operation} is open`);
    if (node.phase.kind === "gone") broken.push(`${action.kind} of ${node.id}, which is gone`);
    if (node.phase.kind === "held") broken.push(`${action.kind} of ${node.id}, which a person holds`);
    const forced = node.order?.force === true;
    const harmless = node.phase.kind === "requested";
    if (isDestructive(action) && sight.blind.length > 0 && !forced && !harmless && !isRecovery(action, node)) {
      broken.push(`${action.kind} of ${node.id} while blind (${sight.blind.join("; ")})`);
    }
    lintOrder(node, action, broken);
  }
  const waiting = new Set(plan.waits.map((wait) => wait.node));
  for (const node of fleet.nodes.values()) {
    if (node.phase.kind === "gone" || node.phase.kind === "serving" || acted.has(node.id)) continue;
    if (!waiting.has(node.id)) broken.push(`${node.id} is ${node.phase.kind} with neither action nor wait`);
  }
  lintBudget(fleet, config, plan, broken);
  return broken;
}

/** `draining → drained` is an observation, not a removal. */
function isRecovery(action: Plan["actions"][number], node: Node): boolean {
  return action.kind === "advance" && action.to.kind === "draining" && node.phase.kind === "draining";
}

function lintAdmit(fleet: Fleet, plan: Plan, action: Extract<Plan["actions"][number], { kind: "admit" }>, broken: string[]): void {
  for (const other of fleet.nodes.values()) {
    if (other.pool !== action.pool || other.slot !== action.slot || other.phase.kind === "gone") continue;
    const surge = plan.actions.some((a) => a.kind === "advance" && a.node === other.id && a.to.kind === "replacing");
    if (!surge) broken.push(`admit of ${action.node} into slot ${action.slot} of ${action.pool}, which ${other.id} still has`);
  }
}

/** The order of a removal (promise N65, invariant H3), and whose cordon may be lifted (law 10). */
function lintOrder(node: Node, action: Plan["actions"][number], broken: string[]): void {
  if (action.kind === "effect") {
    const { payload } = action;
    if (payload.kind === "terminate") {
      if (node.phase.kind !== "terminating") broken.push(`terminate of ${node.id} in phase ${node.phase.kind}`);
      if (node.instance?.id !== payload.instanceId) broken.push(`terminate of ${payload.instanceId}, which is not ${node.id}'s instance`);
    }
    if (payload.kind === "create" && (node.phase.kind !== "requested" || node.instance !== null)) {
      broken.push(`create for ${node.id}, which is ${node.phase.kind} and has ${node.instance === null ? "no" : "an"} instance`);
    }
    if (payload.kind === "uncordon" && node.cordon.product === null) broken.push(`uncordon of ${node.id}, which the product did not cordon`);
    const cordoned = node.cordon.product !== null || node.cordon.human !== null;
    const theirs = node.cordon.human !== null && node.order === null;
    if (payload.kind === "drain" && payload.purpose === "replace" && theirs) {
      broken.push(`repair of ${node.id}, which a person cordoned`);
    }
    if (payload.kind === "drain" && !cordoned) broken.push(`drain of ${node.id} before it is cordoned`);
  }
  if (action.kind === "advance" && action.to.kind === "terminating") {
    const { purpose } = action.to;
    const never = purpose === "failed" || purpose === "lost" || purpose === "surplus" || (purpose === "operator" && node.phase.kind !== "serving");
    const drained = node.phase.kind === "draining" && node.phase.drainedAt !== null;
    if (!never && !drained && node.order?.force !== true) broken.push(`terminating ${node.id} (${purpose}) before it is drained`);
  }
}

/** No more slots out than the pool may lose at once; nodes that are out already do not count as the plan's fault. */
function lintBudget(fleet: Fleet, config: Config, plan: Plan, broken: string[]): void {
  const cordons = new Set<string>();
  for (const action of plan.actions) {
    if (action.kind === "effect" && action.payload.kind === "cordon") cordons.add(action.node);
  }
  if (cordons.size === 0) return;
  for (const pool of config.pools) {
    const max = shareOf(pool.health.maxUnavailable, desiredOf(pool, fleet.pools.get(pool.name)));
    const out = new Set<string>();
    const fresh = new Set<string>();
    for (const node of fleet.nodes.values()) {
      if (node.pool !== pool.name) continue;
      const key = String(node.slot ?? node.id);
      if (isOut(node)) out.add(key);
      const isolates = cordons.has(node.id) && node.phase.kind === "suspect";
      if (isolates) fresh.add(key);
    }
    const added = [...fresh].filter((key) => !out.has(key)).length;
    if (added > 0 && out.size + added > max) broken.push(`pool ${pool.name}: ${out.size + added} slots out, at most ${max}`);
  }
}
