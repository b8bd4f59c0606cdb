/**
 * Applies one action of a plan to the durable fleet: the phase it moves to, or the operation it
 * opens. Pure, and the only place where a plan becomes rows. An effect changes no fact about the
 * world: that waits for its outcome (`outcome.ts`); what it changes is the fence, so that anything
 * older is stale.
 */
import type { Action } from "../../schema/action.ts";
import type { EventDraft } from "../../schema/event.ts";
import type { OperationId, SessionId } from "../../schema/id.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { newNode } from "./new-node.ts";

export type Applied = {
  node: Node;
  operation: Operation | null;
  pool: PoolState | null;
  events: EventDraft[];
};

/** `node` is `null` only for `admit`; `pool` is the node's pool state, where it has one. */
export function applyAction(
  action: Action,
  node: Node | null,
  pool: PoolState | null,
  now: number,
): Applied {
  switch (action.kind) {
    case "admit": {
      const born = newNode({
        id: action.node,
        pool: action.pool,
        slot: action.slot,
        gen: action.gen,
        at: now,
        replaces: action.replaces,
      });
      const event = draft(born, now, "node.requested", action.because);
      return {
        node: born,
        operation: null,
        events: [event],
        pool: pool === null ? null : { ...pool, nextGen: Math.max(pool.nextGen, action.gen + 1) },
      };
    }
    case "advance":
      return applyAdvance(action, expectNode(action, node), pool, now);
    case "effect": {
      const subject = expectNode(action, node);
      const fence = subject.fence + 1;
      const operation: Operation = {
        id: `${subject.id}.${fence}.${action.payload.kind}` as OperationId,
        node: subject.id,
        pool: subject.pool,
        session: subject.session?.id ?? null,
        fence,
        // Stamped by the commit, which knows who leads.
        epoch: 0,
        payload: action.payload,
        state: "asked",
        askedAt: now,
        notBefore: 0,
        attempts: 0,
        lookups: 0,
        closedAt: null,
        message: null,
        because: action.because,
      };
      const next: Node = { ...subject, fence, operation: operation.id };
      return { node: next, operation, pool: null, events: [] };
    }
    default:
      return unreachable(action);
  }
}

function expectNode(action: Action, node: Node | null): Node {
  if (node === null)
    throw new Error(`plan: ${action.kind} of ${action.node}, which does not exist`);
  return node;
}

function draft(node: Node, at: number, kind: EventDraft["kind"], because: string[]): EventDraft {
  return {
    at,
    kind,
    node: node.id,
    pool: node.pool,
    session: node.session?.id ?? null,
    actor: "navarch",
    message: because.join("; "),
  };
}

function applyAdvance(
  action: Extract<Action, { kind: "advance" }>,
  node: Node,
  pool: PoolState | null,
  now: number,
): Applied {
  let next: Node = { ...node, phase: action.to };
  // A held node is a person's: what was ordered before has been tried, and a new word is needed.
  if (action.to.kind === "held") next = { ...next, order: null };
  let state = pool;
  switch (action.session) {
    case "open": {
      const sessions = node.sessions + 1;
      next = {
        ...next,
        sessions,
        session: {
          id: `${node.id}.s${sessions}` as SessionId,
          openedAt: now,
          bootId: node.agent?.bootId ?? null,
          instanceId: node.instance?.id ?? null,
          reasons: action.because,
          epoch: 0,
          definitive: node.health.held.some(
            (h) => h.judgement.definitive && h.judgement.result === "unhealthy",
          ),
        },
      };
      break;
    }
    case "recovered":
    case "replaced":
    case "cancelled":
    case "held":
      next = { ...next, session: null };
      break;
    case null:
      break;
    default:
      return unreachable(action.session);
  }
  const events = [
    {
      ...draft(next, now, action.event, action.because),
      session: next.session?.id ?? node.session?.id ?? null,
    },
  ];
  if (state !== null && action.to.kind === "serving" && node.phase.kind === "verifying") {
    // One verified node clears the guard (safety.md §7), and tells the story's end for the one it
    // replaces.
    if (state.failures > 0) state = { ...state, failures: 0, failedNotBefore: 0 };
    if (node.replaces !== null) {
      events.push({
        at: now,
        kind: "node.replaced",
        node: node.replaces,
        pool: node.pool,
        session: null,
        actor: "navarch",
        message: `replaced by ${node.id}, which is verified and serving`,
      });
    }
  }
  const failed = action.to.kind === "terminating" && action.to.purpose === "failed";
  if (state !== null && failed) state = countFailure(state, now);
  return { node: next, operation: null, pool: state === pool ? null : state, events };
}

/**
 * safety.md §7: three in a row make the pool suspect; then one try per 10 min, doubling to an hour.
 */
export const BOOT_FAILURES_MAX = 3;

export function countFailure(pool: PoolState, now: number): PoolState {
  const failures = pool.failures + 1;
  const over = failures - BOOT_FAILURES_MAX;
  const restMs = over < 0 ? 0 : Math.min(60, 10 * 2 ** Math.min(over, 10)) * 60_000;
  return { ...pool, failures, failedNotBefore: now + restMs };
}
