/**
 * Applies one action of a plan to the durable fleet: the node's new phase, or a new operation.
 * Pure. An effect changes only the fence, which makes older calls stale; the rest changes with its
 * outcome (`outcome.ts`).
 */
import type { Action } from "../plan.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { OperationId, SessionId } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { countFailed, countVerified } from "../safety/guard.ts";
import { newNode } from "./new-node.ts";
import { nodeEvent } from "../event-draft.ts";
import { type Cause, sayCause, sayCauses } from "../say/cause.ts";
import { sayOutcome } from "../say/outcome.ts";

export type Applied = {
  node: Node;
  operation: Operation | null;
  pool: PoolState | null;
  events: EventDraft[];
};

/** `node` is `null` only for `admit`; `pool` is `null` for a node without a pool. */
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
        id: `${subject.id}.${fence}.${wordOf(action.payload)}` as OperationId,
        node: subject.id,
        pool: subject.pool,
        session: subject.session?.id ?? null,
        fence,
        // Set by the commit.
        epoch: 0,
        payload: action.payload,
        state: "asked",
        askedAt: now,
        notBefore: 0,
        attempts: 0,
        lookups: 0,
        closedAt: null,
        message: null,
        because: action.because.map(sayCause),
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

function draft(node: Node, at: number, kind: EventDraft["kind"], because: Cause[]): EventDraft {
  return nodeEvent(node, at, kind, sayCauses(because));
}

function applyAdvance(
  action: Extract<Action, { kind: "advance" }>,
  node: Node,
  pool: PoolState | null,
  now: number,
): Applied {
  const next = withSession(action, node, now);
  let state = pool;
  const { to } = action;
  const events: EventDraft[] = [
    {
      ...draft(next, now, action.event, action.because),
      session: next.session?.id ?? node.session?.id ?? null,
      ...(to.kind === "draining" && to.emptied === true ? { emptied: true } : {}),
    },
  ];
  if (state !== null && action.to.kind === "serving" && node.phase.kind === "verifying") {
    // One verified node clears the guard (docs/reference/safety.md#bootstrap-guard).
    if (state.failures > 0) state = { ...state, failures: 0 };
    if (node.offer !== null) state = countVerified(state, node.offer, now);
    if (node.replaces !== null) {
      events.push({
        at: now,
        kind: "node.replaced",
        node: node.replaces,
        pool: node.pool,
        session: null,
        actor: "navarch",
        message: sayOutcome({ code: "replaced", by: node.id }),
      });
    }
  }
  if (state !== null && action.to.kind === "terminating") {
    if (action.to.purpose === "failed") state = countFailure(state, node.offer, now);
    if (action.to.purpose === "lemon" && node.offer !== null) {
      // A place with nothing but bad hardware is tried as slowly as one where no node comes up.
      state = countFailed(state, node.offer, now);
    }
  }
  return { node: next, operation: null, pool: state === pool ? null : state, events };
}

/** The node in its new phase, with its session opened or closed. */
function withSession(action: Extract<Action, { kind: "advance" }>, node: Node, now: number): Node {
  let next: Node = { ...node, phase: action.to };
  // The set-up succeeded and the node never served: its record keeps the reason.
  if (action.event === "node.failed" && node.bootstrap !== null && node.bootstrap.error === null)
    next = { ...next, bootstrap: { ...node.bootstrap, error: sayCauses(action.because) } };
  // A held node waits for a new order of a person.
  if (action.to.kind === "held") next = { ...next, order: null };
  switch (action.session) {
    case "open": {
      const sessions = node.sessions + 1;
      const session = {
        id: `${node.id}.s${sessions}` as SessionId,
        openedAt: now,
        bootId: node.agent?.bootId ?? null,
        instanceId: node.instance?.id ?? null,
        reasons: action.because.map(sayCause),
        attempts: {},
        epoch: 0,
        definitive: node.health.held.some(
          (h) => h.judgement.definitive && h.judgement.result === "unhealthy",
        ),
      };
      return { ...next, sessions, session };
    }
    case "recovered":
    case "quarantined":
    case "replaced":
    case "lost":
    case "cancelled":
    case "held":
      return { ...next, session: null, lastSession: lastOf(node, now, action.session) };
    case null:
      return next;
    default:
      return unreachable(action.session);
  }
}

/** The record of the session that ends now; breakers count bursts by it. */
export function lastOf(node: Node, now: number, how: string): Node["lastSession"] {
  if (node.session === null) return node.lastSession;
  const { id, openedAt } = node.session;
  return { id, openedAt, closedAt: now, how };
}

function countFailure(pool: PoolState, offer: string | null, now: number): PoolState {
  const counted = { ...pool, failures: pool.failures + 1 };
  return offer === null ? counted : countFailed(counted, offer, now);
}

/** The last part of an operation's id. A mirrored mark is not counted by budgets. */
function wordOf(payload: Payload): string {
  const isMark = payload.kind === "cordon" || payload.kind === "uncordon";
  return isMark && payload.mirror === true ? "mirror" : payload.kind;
}
