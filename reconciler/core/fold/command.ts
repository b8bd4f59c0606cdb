/**
 * Judges a person's order and applies it to a node. Pure. The route judges first, so that a refusal
 * is immediate; the loop judges again, because the node may have changed since.
 */
import { namesOf } from "../../../health/policy/hold.ts";
import type { Command } from "../../../schema/command.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Node } from "../../../schema/node.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { verdictOfNode } from "../fleet.ts";
import { lossOfNode } from "../safety/cluster-loss.ts";
import { nodeEvent } from "../event-draft.ts";
import { sayCause } from "../say/cause.ts";

export type CommandJudgement =
  | { kind: "legal" }
  /** Succeeds without a change. */
  | { kind: "no_op"; message: string }
  | { kind: "refused"; code: "gone" | "not_cordoned" | "conflict"; message: string };

export function judgeCommand(
  node: Node,
  command: Pick<Command, "type" | "force" | "reason"> & Partial<Pick<Command, "issuedBy">>,
): CommandJudgement {
  const { phase, worker } = node;
  if (worker !== null) {
    const next = `delete its pod ${node.id}, or change the pool`;
    const message = `node ${node.id} is a worker of AgentPool ${worker.pool}: ${next}`;
    return { kind: "refused", code: "conflict", message };
  }
  if (phase.kind === "gone" || phase.kind === "terminating") {
    if (command.type === "terminate")
      return { kind: "no_op", message: `node ${node.id} is already ${phase.kind}` };
    return { kind: "refused", code: "gone", message: `node ${node.id} is ${phase.kind}` };
  }
  switch (command.type) {
    case "cordon":
      return node.cordon.human === null
        ? { kind: "legal" }
        : {
            kind: "no_op",
            message: `node ${node.id} is already cordoned by ${node.cordon.human.by}`,
          };
    case "uncordon":
      return judgeUncordon(node, command);
    case "drain":
      // A drain for termination or repair does not satisfy an operator's drain.
      return phase.kind === "draining" && phase.purpose === "operator"
        ? { kind: "no_op", message: `node ${node.id} is already draining` }
        : judgeReach(node);
    case "terminate":
    case "replace":
      if (node.instance === null && phase.kind !== "requested") {
        return {
          kind: "refused",
          code: "conflict",
          message:
            `node ${node.id} was not bought by this fleet, so nothing can end it: ` +
            "drain it, or forget it once the machine is gone",
        };
      }
      return judgeEnd(node, command);
    default:
      return unreachable(command.type);
  }
}

/** Somebody else may be at work on a node that they cordoned: its end needs a reason. */
function judgeEnd(
  { id, cordon: { human } }: Node,
  { type, reason, issuedBy = "" }: Pick<Command, "type" | "reason"> & { issuedBy?: string },
): CommandJudgement {
  if (human === null || human.by === `human:${issuedBy}` || reason.trim() !== "") {
    return { kind: "legal" };
  }
  const message = `node ${id} is cordoned by ${human.by}: ${human.why} (${type} it with a reason)`;
  return { kind: "refused", code: "conflict", message };
}

function judgeReach(node: Node): CommandJudgement {
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
      return {
        kind: "refused",
        code: "conflict",
        message: `node ${node.id} is ${node.phase.kind}: nothing runs on it yet`,
      };
    case "verifying":
    case "serving":
    case "suspect":
    case "draining":
    case "repairing":
    case "replacing":
    case "terminating":
    case "gone":
    case "held":
      return { kind: "legal" };
    default:
      return unreachable(node.phase);
  }
}

function judgeUncordon(node: Node, command: Pick<Command, "force" | "reason">): CommandJudgement {
  if (node.phase.kind === "replacing" && node.cordon.human === null) {
    const next = node.phase.replacement;
    const message = `node ${node.id} is being replaced by ${next}: let it finish, or order its end`;
    return { kind: "refused", code: "conflict", message };
  }
  const cordoned = node.cordon.human !== null || node.cordon.product !== null;
  if (!cordoned && node.phase.kind !== "draining" && node.phase.kind !== "held") {
    return { kind: "refused", code: "not_cordoned", message: `node ${node.id} is not cordoned` };
  }
  const verdict = verdictOfNode(node);
  if (
    verdict === "unhealthy" &&
    !(command.force && command.reason !== "") &&
    node.cordon.product !== null
  ) {
    const worst = node.health.held.find((h) => h.judgement.result === "unhealthy");
    const loss = lossOfNode(node);
    const lost = loss === null ? "its heartbeats are missing" : sayCause(loss);
    const why = worst?.judgement.because ?? lost;
    return {
      kind: "refused",
      code: "conflict",
      message: `node ${node.id} is unhealthy: ${why} (repair it, or --force with --reason)`,
    };
  }
  return { kind: "legal" };
}

/** The node after the order. The plan starts effects such as a drain or a termination. */
export function foldCommand(
  node: Node,
  command: Command,
  now: number,
): { node: Node; events: EventDraft[]; command: Command } {
  const events: EventDraft[] = [];
  const tell = (kind: EventKind, message: string): void => {
    events.push(nodeEvent(node, now, kind, message, `human:${command.issuedBy}`));
  };
  const done = (next: Node, message: string | null) => ({
    node: next,
    events,
    command: { ...command, state: "applied" as const, message },
  });
  const judgement = judgeCommand(node, command);
  if (judgement.kind === "refused") {
    return { node, events, command: { ...command, state: "refused", message: judgement.message } };
  }
  if (judgement.kind === "no_op") return done(node, judgement.message);
  const why = command.reason === "" ? `${command.type} by ${command.issuedBy}` : command.reason;
  const human = { by: `human:${command.issuedBy}`, why, at: now };
  switch (command.type) {
    case "cordon":
      tell("node.cordoned", why);
      return done({ ...node, cordon: { ...node.cordon, human } }, null);
    case "uncordon":
      tell("node.uncordoned", why);
      return done(foldUncordon(node, command, now), null);
    case "drain":
    case "terminate":
    case "replace":
      return done(foldLeave(node, command, human, now, tell), null);
    default:
      return unreachable(command.type);
  }
}

/** Ends the person's cordon, cancels an order to drain, and with force clears older evidence. */
function foldUncordon(node: Node, command: Command, now: number): Node {
  const { kind } = node.phase;
  const back = kind === "draining" || kind === "held" || (command.force && kind === "suspect");
  const to: Node["phase"] =
    node.session === null || command.force
      ? { kind: "serving", since: now }
      : { kind: "suspect", since: now };
  return {
    ...node,
    order: null,
    // Navarch's own mark stays until the plan has lifted it in the scheduler.
    cordon: { ...node.cordon, human: null },
    health: command.force ? clearOlder(node.health, command.issuedAt) : node.health,
    session: command.force && kind !== "replacing" ? null : node.session,
    phase: back ? to : node.phase,
    fence: node.fence + 1,
  };
}

/** Findings of a suspended rule would return when it is re-enabled, so they are cleared too. */
function clearOlder(health: Node["health"], at: number): Node["health"] {
  const held = health.held.filter(({ lastAt }) => lastAt > at);
  const aside = (health.aside ?? []).filter(({ lastAt }) => lastAt > at);
  const verdict = health.held.length > 0 && held.length === 0 ? "healthy" : health.verdict;
  const gone = [...health.held, ...(health.aside ?? [])].filter(({ lastAt }) => lastAt <= at);
  const names = gone.flatMap(({ finding }) => namesOf(finding)).concat(health.dropped ?? []);
  const dropped = [...new Set(names)].slice(0, LIMIT.droppedMax);
  const more = dropped.length === 0 ? {} : { dropped };
  return { ...health, held, aside, verdict, unhealthyRun: 0, ...more };
}

function foldLeave(
  node: Node,
  command: Command,
  human: { by: string; why: string; at: number },
  now: number,
  tell: (kind: EventKind, message: string) => void,
): Node {
  if (node.phase.kind === "requested" && node.operation === null) {
    tell("node.terminated", `${human.why}; nothing was bought yet`);
    return { ...node, phase: { kind: "gone", since: now, purpose: "operator" } };
  }
  const cordon = node.cordon.human === null ? { ...node.cordon, human } : node.cordon;
  if (node.cordon.human === null) tell("node.cordoned", human.why);
  const goal = command.type === "terminate" || command.type === "replace" ? command.type : "drain";
  const order = {
    goal,
    by: command.issuedBy,
    why: human.why,
    force: command.force,
    at: now,
    timeoutMs: command.timeoutMs,
  } as const;
  return { ...node, cordon, order };
}
