/**
 * Why a node or pool is as it is, what happens next and when, and what is in the way. Pure: made
 * from the node, its recorded events and the newest plan, which are the same values the loop acted
 * on.
 */
import { groupIncidents } from "../../health/policy/incident.ts";
import type { ExplainView, PlanView } from "../../schema/api.ts";
import type { Action } from "../../schema/action.ts";
import type { PoolConfig } from "../../schema/config.ts";
import type { Event } from "../../schema/event.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Plan } from "../../schema/plan.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { desiredOf, verdictOfNode } from "../fleet.ts";
import { countPool, conditionsOf } from "./pool.ts";
import { iso, isoOrNull } from "./node.ts";

/** One line about an action, as a person would say it. */
export function sayAction(action: Action): string {
  switch (action.kind) {
    case "admit":
      return `add node ${action.node} to slot ${action.slot} of pool ${action.pool}`;
    case "advance":
      return `move to ${action.to.kind}`;
    case "effect": {
      const { payload } = action;
      switch (payload.kind) {
        case "create":
          return `ask ${payload.provider} for a ${payload.request.instanceType}`;
        case "terminate":
          return `end instance ${payload.instanceId} at ${payload.provider}`;
        case "cordon":
          return "cordon";
        case "uncordon":
          return "lift the product's own cordon";
        case "drain":
          return payload.deadlineAt === 0 ? "drain" : `drain until ${iso(payload.deadlineAt)}`;
        default:
          return unreachable(payload);
      }
    }
    default:
      return unreachable(action);
  }
}

export function viewPlan(plan: Plan, blind: string[], frozen: string | null): PlanView {
  return {
    actions: plan.actions.map((a) => ({
      node_id: a.node,
      kind: a.kind === "effect" ? a.payload.kind : a.kind,
      what: sayAction(a),
      because: a.because,
    })),
    waits: plan.waits.map((w) => ({
      node_id: w.node,
      pool: w.pool,
      reason: w.reason,
      message: w.message,
      until: isoOrNull(w.until),
    })),
    blind,
    frozen,
  };
}

export function explainNode(node: Node, events: Event[], plan: Plan): ExplainView {
  const wait = plan.waits.find((one) => one.node === node.id);
  const action = plan.actions.find((one) => one.node === node.id);
  const state = `${node.phase.kind}, health ${verdictOfNode(node)}`;
  const cordons = [node.cordon.product, node.cordon.human].flatMap((c) =>
    c === null ? [] : [`cordoned by ${c.by}: ${c.why}`],
  );
  const held = groupIncidents(node.health.held).map((incident) => {
    const { judgement } = incident.root;
    const more =
      incident.findings.length > 1
        ? `, with ${incident.findings.length - 1} that follow from it`
        : "";
    const rule = `by rule ${judgement.rule} (${judgement.rank})`;
    const mend = `would be mended by: ${incident.action}`;
    const text = `held: ${judgement.because} → ${incident.result} ${rule}${more}; ${mend}`;
    return { at: iso(incident.fromAt), text };
  });
  return {
    subject: node.id,
    kind: "node",
    state: [state, ...cordons].join("; "),
    since: iso(node.phase.since),
    causes: [
      ...events.map((e) => ({
        at: iso(e.at),
        text: `${e.kind}: ${e.message}${e.actor === "navarch" ? "" : ` (${e.actor})`}`,
      })),
      ...held,
    ],
    next:
      action !== undefined
        ? sayAction(action)
        : wait !== undefined
          ? `wait (${wait.reason}): ${wait.message}`
          : null,
    earliest: isoOrNull(wait?.until ?? null),
    blockers: wait === undefined ? [] : [wait.message],
  };
}

export function explainPool(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: Node[],
  events: Event[],
  from: { plan: Plan; now: number },
): ExplainView {
  const count = countPool(nodes);
  const desired = desiredOf(pool, state);
  const own = from.plan.waits.filter((wait) => wait.pool === pool.name);
  const actions = from.plan.actions.filter((a) =>
    a.kind === "admit" ? a.pool === pool.name : nodes.some((n) => n.id === a.node),
  );
  const untils = own.flatMap((wait) => (wait.until === null ? [] : [wait.until]));
  const { minNodes, maxNodes } = pool.scaling;
  const by = state?.desiredBy ?? "config";
  return {
    subject: pool.name,
    kind: "pool",
    state: `${count.serving} serving of ${desired} wanted by ${by} (${minNodes}…${maxNodes})`,
    since: state === undefined ? null : iso(state.desiredAt),
    causes: events.map((e) => ({
      at: iso(e.at),
      text: `${e.kind}${e.node === null ? "" : ` ${e.node}`}: ${e.message}`,
    })),
    next: actions.length === 0 ? null : actions.map((a) => `${a.node}: ${sayAction(a)}`).join("; "),
    earliest: untils.length === 0 ? null : iso(Math.min(...untils)),
    blockers: [
      ...own.map((w) => (w.node === null ? w.message : `${w.node}: ${w.message}`)),
      ...conditionsOf(pool.name, state, { actions: [], waits: [] }, from.now),
    ],
  };
}
