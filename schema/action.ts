/**
 * Actions of a plan, with every parameter (law 2). `admit` and `advance` change the store only; an
 * `effect` becomes an operation with the same payload.
 */
import type { NodeId, PoolName } from "./id.ts";
import type { Phase } from "./node.ts";
import type { Payload } from "./operation.ts";
import type { EventKind } from "./event.ts";

export type Action =
  /** A new node for a slot of a pool. Nothing is bought yet. */
  | {
      kind: "admit";
      node: NodeId;
      pool: PoolName;
      slot: number;
      gen: number;
      replaces: NodeId | null;
      because: string[];
    }
  /** A change of phase without a call. `event` is its text for people. */
  | {
      kind: "advance";
      node: NodeId;
      to: Phase;
      event: EventKind;
      because: string[];
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
  | { kind: "effect"; node: NodeId; payload: Payload; because: string[] };

/** Irreversible effects, which blindness, lint and budgets check. */
export function isDestructive(action: Action): boolean {
  if (action.kind === "effect")
    return ["terminate", "drain", "reboot"].includes(action.payload.kind);
  if (action.kind === "advance")
    return action.to.kind === "draining" || action.to.kind === "terminating";
  return false;
}
