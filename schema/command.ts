/** An operator's command for a node, recorded before it is applied, with its result. */
import * as v from "valibot";
import { CommandId, NodeId } from "./id.ts";
import { amount, instant } from "./number.ts";

export const COMMAND_TYPES = ["cordon", "uncordon", "drain", "terminate", "replace"] as const;
export type CommandType = (typeof COMMAND_TYPES)[number];

export const Command = v.object({
  id: CommandId,
  node: NodeId,
  type: v.picklist(COMMAND_TYPES),
  reason: v.string(),
  force: v.boolean(),
  /** Drain deadline in milliseconds, or `null` for the pool's. */
  timeoutMs: v.nullable(amount),
  issuedBy: v.string(),
  issuedAt: instant,
  state: v.picklist(["accepted", "applied", "refused"]),
  message: v.nullable(v.string()),
});
export type Command = v.InferOutput<typeof Command>;
