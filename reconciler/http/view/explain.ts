/**
 * Explains a node or pool: its state and causes, what happens next and when, and what blocks it.
 * Made from the node, its events and the newest plan, the values that the loop acted on. Pure.
 */
import { groupIncidents } from "../../../health/policy/incident.ts";
import type { NodeWorkerView } from "../../../schema/agentpool-view.ts";
import type { ExplainView, PlanView } from "../../../schema/api.ts";
import type { Action, Plan } from "../../core/plan.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { Event } from "../../../schema/event.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { RuleAction } from "../../../schema/policy.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import type { Climb } from "../../core/decide/ladder.ts";
import { refusalOf } from "../../core/decide/kube.ts";
import { calledOffAt } from "../../core/fold/uncordon.ts";
import { countsIn, desiredOf, isUnbought, verdictOfNode } from "../../core/fleet.ts";
import { loopOf, sayLoop } from "../../core/safety/uncordoned.ts";
import { noticeOf } from "../../core/fold/notice.ts";
import { announced } from "../../core/fold/trouble.ts";
import { missingNodeOf } from "../../core/safety/missing-node.ts";
import { ruleKeyOf } from "../../core/safety/cause.ts";
import { formatRma } from "../../core/rma.ts";
import { limitsOf, sayWaits, stopsOf } from "./held-back.ts";
import { sayWorker } from "./agentpool.ts";
import { countPool, conditionsOf, sayBrokenPlaces } from "./pool.ts";
import { iso, isoOrNull, sayJudged } from "./node.ts";
import type { SafetySource } from "./safety.ts";
import { saySlurm, type SlurmLive } from "./slurm.ts";
import { sayCause, sayNotice } from "../../core/say/cause.ts";
import { sayKept } from "../../core/say/hold.ts";
import { sayCalledOff } from "../../core/say/uncordon.ts";
import { sayWait } from "../../core/say/wait.ts";

/** One line about an action, for people. */
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
          return `buy a ${payload.request.instanceType} at ${payload.provider}`;
        case "terminate":
          return `terminate instance ${payload.instanceId} at ${payload.provider}`;
        case "reboot":
          if (payload.by === "agent") return `order its agent to reboot ${payload.instanceId}`;
          return `reboot instance ${payload.instanceId} at ${payload.provider}`;
        case "cordon":
          return payload.only === "slurm" ? `drain ${payload.slurm?.name} in Slurm` : "cordon";
        case "uncordon":
          if (payload.slurm !== undefined) return `release ${payload.slurm.name} in Slurm`;
          return "lift Navarch's cordon";
        case "drain":
          return payload.deadlineAt === 0 ? "drain" : `drain until ${iso(payload.deadlineAt)}`;
        case "end_jobs": {
          const jobs = `${payload.jobs.length === 1 ? "job" : "jobs"} ${payload.jobs.join(", ")}`;
          const { signal } = payload;
          return signal === null ? `requeue ${jobs} in Slurm` : `send SIG${signal} to ${jobs}`;
        }
        case "bootstrap":
          return `set up ${payload.address} over SSH, attempt ${payload.attempt}`;
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
      because: a.because.map(sayCause),
    })),
    waits: plan.waits.map((w) => ({
      node_id: w.node,
      pool: w.pool,
      reason: w.reason,
      message: sayWait(w.why),
      until: isoOrNull(w.until),
    })),
    blind,
    frozen,
  };
}

/** The node's step of the repair ladder (docs/reference/safety.md#ladder). */
function rungOf({ phase, cordon }: Node): string {
  switch (phase.kind) {
    case "draining":
      return "drain";
    case "repairing":
      return phase.rung;
    case "replacing":
    case "terminating":
    case "gone":
      return "replace";
    case "held":
      return "hold";
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
    case "serving":
    case "suspect":
      return cordon.product === null ? "observe" : "isolate";
    default:
      return unreachable(phase);
  }
}

/** The open repair, or the end of the last one. */
function saySession(node: Node): string[] {
  const { session, lastSession } = node;
  if (session !== null) {
    const proof = session.definitive ? ", proven by its hardware" : "";
    const since = iso(session.openedAt);
    return [`repair ${session.id} is open since ${since}, rung ${rungOf(node)}${proof}`];
  }
  if (lastSession === null || lastSession === undefined) return [];
  return [`its last repair ended ${iso(lastSession.closedAt)}: ${lastSession.how}`];
}

/** An interruption that the cloud has announced. */
function sayNoticeOf(node: Node, now: number): string[] {
  const notice = noticeOf(node, now);
  return notice === null ? [] : [sayNotice(announced(node.instance?.provider, notice))];
}

/** Evidence of a suspended or shadow rule. */
function saySuspended({ judgement, firstAt }: HeldFinding): { at: string; text: string } {
  const rule = ruleKeyOf(judgement);
  const would = `rule ${rule} is a shadow or suspended rule and would judge ${judgement.result}`;
  return { at: iso(firstAt), text: `suspended, does not count: ${judgement.because}; ${would}` };
}

/** Where an unmanaged machine is counted. */
function sayUnbought(node: Node): string[] {
  if (!isUnbought(node)) return [];
  const named = node.agent?.inventory.pool ?? null;
  const place =
    node.pool !== null
      ? `counted in pool ${node.pool}`
      : named === null
        ? "in no pool: its agent names none"
        : `in no pool: its agent names ${named}, which is not configured`;
  return [`not bought by this fleet, ${place}`];
}

/** `unproven`: why nothing ties the node to the object that its agent names. */
function sayKube(node: Node, now: number, unproven: string | null): string[] {
  const { kube, waiver } = node;
  const back = waiver === null ? null : `returned to service by ${waiver.by}: ${waiver.why}`;
  const off = calledOffAt(node);
  const given = [off === null ? back : sayCalledOff(off)].filter((one) => one !== null);
  if (unproven !== null) given.push(`Kubernetes shows no fault of it: ${unproven}`);
  if (kube === null) return given;
  if (kube.absentSince !== null) {
    // An agent that cannot prove its Node may still run on it.
    const lost = `Node ${kube.name} is no longer in Kubernetes since ${iso(kube.absentSince)}`;
    return unproven === null ? [lost, ...given] : given;
  }
  const by = [...(kube.isolatedUid === kube.uid ? ["navarch"] : []), ...kube.others];
  const who = by.join(", ") || "an unknown client";
  const mark = kube.unschedulable ? `cordoned by ${who}` : "schedulable";
  const held = { code: "node_held", node: kube.name, unclear: kube.holdUnclear ?? null } as const;
  const hold = kube.hold ? `, ${sayKept(held)}` : "";
  const ready = kube.notReady === null ? "" : `, Ready is ${kube.notReady}`;
  const gpus = kube.gpus === null ? ", offers no GPUs" : `, offers ${kube.gpus} GPUs`;
  const deleters = (kube.deleters ?? []).map((deleter) => `, ${deleter}`).join("");
  const kept = kube.kept === undefined ? "" : `, kept from autoscalers by ${kube.kept}`;
  const refusal = refusalOf(kube, now);
  const refused =
    refusal === null
      ? []
      : [`Kubernetes does not ${refusal.what} it since ${iso(refusal.since)}: ${refusal.message}`];
  const loop = loopOf(kube.uncordons ?? [], now);
  if (loop !== null) refused.push(sayLoop(kube, loop));
  const shown = `${mark}${ready}${gpus}${hold}${kept}${deleters}`;
  return [`Node ${kube.name} in Kubernetes is ${shown}`, ...refused, ...given];
}

function sayQuarantined({ phase }: Node): { at: null; text: string }[] {
  if (!("purpose" in phase) || phase.purpose !== "lemon") return [];
  const text = "refused: its GPUs failed in this fleet before, and the cloud returned them";
  return [{ at: null, text }];
}

/** The lines of a vendor's form, each to be copied. */
function sayRma({ phase }: Node): { at: string; text: string }[] {
  if (phase.kind !== "held" || phase.rma === undefined) return [];
  return formatRma(phase.rma).map((text) => ({ at: iso(phase.since), text: `RMA: ${text}` }));
}

/** The rule suggests a step; the pool's ladder and the machine decide which one is taken. */
function sayRepair(action: RuleAction, rung: Climb["rung"] | undefined): string {
  if (action === "none") return "no repair";
  if (rung === undefined) return `its rule suggests: ${action}`;
  const step = rung ?? "none is left, a person has to repair it";
  return rung === action ? `repair: ${step}` : `repair: ${step} (its rule suggests ${action})`;
}

type ExplainedFrom = {
  now: number;
  /** Why the Node of a machine that is gone is still in the cluster. */
  stays: string | null;
  unproven: string | null;
  slurm?: SlurmLive;
  worker?: NodeWorkerView | null;
  /** The freeze in force and what it stops; `null` = none. */
  frozen?: string | null;
  /** The next repair step; `undefined`: nothing repairs it. */
  rung?: Climb["rung"] | undefined;
};

export function explainNode(
  node: Node,
  events: Event[],
  plan: Plan,
  { now, stays, unproven, slurm = null, worker = null, frozen = null, rung }: ExplainedFrom,
): ExplainView {
  const name = node.kube?.name ?? "";
  const object = stays === null ? null : `Node ${name} is still in the cluster: ${stays}`;
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
    const repair = sayRepair(incident.action, incident.result === "unhealthy" ? rung : undefined);
    const what = sayJudged(incident.root, node);
    const text = `held: ${what} → ${incident.result} ${rule}${more}; ${repair}`;
    return { at: iso(incident.fromAt), text };
  });
  return {
    subject: node.id,
    kind: "node",
    state: [
      state,
      ...(worker === null ? sayUnbought(node) : [sayWorker(worker)]),
      ...cordons,
      ...sayKube(node, now, unproven),
      ...saySlurm(node, slurm),
      ...saySession(node),
      ...sayNoticeOf(node, now),
    ].join("; "),
    since: iso(node.phase.since),
    causes: [
      ...events.map((e) => ({
        at: iso(e.at),
        text: `${e.kind}: ${e.message}${e.actor === "navarch" ? "" : ` (${e.actor})`}`,
      })),
      ...held,
      ...(node.health.aside ?? []).map(saySuspended),
      ...sayQuarantined(node),
      ...sayRma(node),
    ],
    next:
      action !== undefined
        ? sayAction(action)
        : wait !== undefined
          ? `wait (${wait.reason}): ${sayWait(wait.why)}`
          : object,
    earliest: isoOrNull(wait?.until ?? null),
    blockers: [
      ...(wait === undefined ? [] : sayWaits([wait], false)),
      ...(frozen === null ? [] : [`the fleet is frozen ${frozen}`]),
      ...(object === null ? [] : [object]),
    ],
    see: seeOf(node),
  };
}

/** The command for the set-up's log: while it runs, until the node serves, or if it failed. */
function seeOf({ bootstrap, id, phase }: Node): string[] {
  if (bootstrap === null || bootstrap === undefined) return [];
  if (phase.kind === "bootstrapping") return [`navarch bootstrap ${id} --follow`];
  const isOpen = bootstrap.error !== null || phase.kind === "verifying";
  return isOpen ? [`navarch bootstrap ${id}`] : [];
}

export function explainPool(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: Node[],
  events: Event[],
  from: SafetySource,
): ExplainView {
  const count = countPool(nodes.filter((node) => countsIn(node, pool)));
  const others = nodes.filter((node) => !countsIn(node, pool) && node.phase.kind !== "gone");
  const more = others.length === 0 ? "" : `, and ${others.length} that this fleet did not buy`;
  const missing = nodes.filter((node) => missingNodeOf(node) !== null).length;
  const without = missing === 0 ? "" : ` (${missing} without a Node in Kubernetes)`;
  const desired = desiredOf(pool, state);
  const own = from.plan.waits.filter((wait) => wait.pool === pool.name);
  const actions = from.plan.actions.filter((a) =>
    a.kind === "admit" ? a.pool === pool.name : nodes.some((n) => n.id === a.node),
  );
  const untils = own.flatMap((wait) => (wait.until === null ? [] : [wait.until]));
  const { minNodes, maxNodes } = pool.scaling;
  const bounds = `(${minNodes}…${maxNodes})`;
  const by = state?.desiredBy ?? "config";
  return {
    subject: pool.name,
    kind: "pool",
    state: `${count.serving} serving of ${desired} wanted by ${by} ${bounds}${more}${without}`,
    since: state === undefined ? null : iso(state.desiredAt),
    causes: events.map((e) => ({
      at: iso(e.at),
      text: `${e.kind}${e.node === null ? "" : ` ${e.node}`}: ${e.message}`,
    })),
    next: actions.length === 0 ? null : actions.map((a) => `${a.node}: ${sayAction(a)}`).join("; "),
    earliest: untils.length === 0 ? null : iso(Math.min(...untils)),
    blockers: poolBlockers(pool, state, nodes, from),
    limits: limitsOf(pool, nodes, from),
  };
}

/** What stops the pool, slows it down or makes it wait. */
function poolBlockers(
  pool: PoolConfig,
  state: PoolState | undefined,
  nodes: readonly Node[],
  from: SafetySource,
): string[] {
  const stops = stopsOf(pool, state, nodes, from);
  return [...stops, ...poolWaits(pool, from), ...sayBrokenPlaces(pool, nodes)];
}

/** What makes the pool itself wait, without what holds the fleet around it. */
export function poolWaits(pool: PoolConfig, { fleet, plan, now, sight }: SafetySource): string[] {
  const own = plan.waits.filter((wait) => wait.pool === pool.name);
  const providers = sight?.providers ?? null;
  const from = { facts: fleet.facts, plan: { actions: [], waits: [] }, now, providers };
  return [...sayWaits(own, true), ...conditionsOf(pool, from)];
}
