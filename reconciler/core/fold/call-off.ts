/** Ends a repair because a person returned the node to service in one of its schedulers. Pure. */
import type { Node } from "../../../schema/node.ts";
import { lastOf } from "./action.ts";
import { evidenceKeys } from "./suppression.ts";

/** A node that is already leaving still leaves. */
export const leavesAnyway = ({ phase }: Node): boolean =>
  phase.kind === "terminating" || phase.kind === "gone";

/** The node in service again; its evidence is suppressed, for `by` and `why`. */
export function callOff(node: Node, by: string, why: string, now: number): Node {
  const evidence = evidenceKeys(node);
  const { kind } = node.phase;
  const stays = kind === "repairing" || kind === "booting" || kind === "verifying";
  const held = kind === "held" && node.phase.heldBy !== "navarch";
  const back = { kind: "serving", since: now } as const;
  return {
    ...node,
    cordon: { product: null, human: null },
    order: null,
    waiver: evidence.length === 0 ? node.waiver : { by, why, at: now, evidence },
    // An earlier scale-down does not choose it either.
    sparedAt: now,
    session: stays ? node.session : null,
    lastSession: stays ? node.lastSession : lastOf(node, now, "cancelled"),
    phase: stays || held || kind === "serving" ? node.phase : back,
    fence: node.fence + 1,
  };
}

/**
 * A drained node whose mark a scheduler lost: work may have come, so it has to be seen empty once
 * more, under the mark that is set again.
 */
export function reopenDrain(node: Node, now: number): Node {
  const { phase } = node;
  if (phase.kind !== "draining" || phase.drainedAt === null) return node;
  return { ...node, phase: reopened(phase, now) };
}

type Draining = Extract<Node["phase"], { kind: "draining" }>;

/** The drain from now on; its deadline moves by the time that has passed. */
export function reopened(phase: Draining, now: number): Draining {
  const { since, deadlineAt } = phase;
  const later = deadlineAt > 0 ? deadlineAt + Math.max(0, now - since) : deadlineAt;
  return { ...phase, since: now, deadlineAt: later, drainedAt: null, emptied: false };
}
