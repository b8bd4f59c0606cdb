/**
 * The plan: actions to take now, with every parameter (law 2), and waits with their reasons (law
 * 6). It is journalled, shown by `navarch plan` and `explain`, and checked by the plan lint. Causes
 * are codes; `say/` makes the sentences. `admit` and `advance` change the store only; an `effect`
 * becomes an operation with the same payload.
 */
import type { EventKind } from "../../schema/event.ts";
import type { NodeId, PoolName } from "../../schema/id.ts";
import type { Phase } from "../../schema/node.ts";
import type { Payload } from "../../schema/operation.ts";
import type { WaitReason } from "../../schema/plan.ts";
import { type Cause, sayCause } from "./say/cause.ts";
import { sayWait, type WaitCause } from "./say/wait.ts";

export type Action =
  /** A new node for a slot of a pool. Nothing is bought yet. */
  | {
      kind: "admit";
      node: NodeId;
      pool: PoolName;
      slot: number;
      gen: number;
      replaces: NodeId | null;
      because: Cause[];
    }
  /** A change of phase without a call. `event` is its text for people. */
  | {
      kind: "advance";
      node: NodeId;
      to: Phase;
      event: EventKind;
      because: Cause[];
      /** Opens a session with the held evidence, or closes the open one in this way. */
      session:
        | "open"
        | "recovered"
        | "quarantined"
        | "replaced"
        | "lost"
        | "cancelled"
        | "held"
        | null;
    }
  /** A call to the outside: `payload` is frozen by the plan. */
  | { kind: "effect"; node: NodeId; payload: Payload; because: Cause[] };

/** Irreversible effects, which blindness, lint and budgets check. */
export function isDestructive(action: Action): boolean {
  if (action.kind === "effect")
    return ["terminate", "drain", "reboot"].includes(action.payload.kind);
  if (action.kind === "advance")
    return action.to.kind === "draining" || action.to.kind === "terminating";
  return false;
}

export type Wait = {
  /** `null` when the whole pool waits. */
  node: NodeId | null;
  pool: PoolName | null;
  reason: WaitReason;
  why: WaitCause;
  /** Wall milliseconds of the next decision; `null` = with the next report. */
  until: number | null;
};

export type Plan = { actions: Action[]; waits: Wait[] };

/** A plan in words, as people, saved activations and tests see it. */
type InWords<A> = A extends Action ? Omit<A, "because"> & { because: string[] } : never;

export type SaidAction = InWords<Action>;
export type SaidWait = Omit<Wait, "why"> & { message: string };
export type SaidPlan = { actions: SaidAction[]; waits: SaidWait[] };

export function sayPlan({ actions, waits }: Plan): SaidPlan {
  return {
    actions: actions.map((action) => ({ ...action, because: action.because.map(sayCause) })),
    waits: waits.map(({ node, pool, reason, why, until }) => {
      return { node, pool, reason, message: sayWait(why), until };
    }),
  };
}
