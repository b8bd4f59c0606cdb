/**
 * `navarch terminate` drains nodes and ends their instances; `navarch replace` also creates new
 * ones, as after a hardware fault.
 */
import type { Client } from "../client.ts";
import type { Context, Outcome, ParsedCommand } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { confirm, DRY_RUN, FORCE, IDS_MAX, type Order, orderAll, REASON } from "../order.ts";

const FLAGS = [
  REASON,
  { ...FORCE, help: "skip the drain; requires --reason" },
  switchFlag("yes", "skip the confirmation"),
  DRY_RUN,
];

const NODES = { words: { min: 1, max: IDS_MAX }, flags: FLAGS, reach: "online" } as const;

export const terminate: ParsedCommand = {
  ...NODES,
  name: ["terminate"],
  usage: "<id>…",
  summary: "drain nodes and end their instances",
  examples: ["navarch terminate gpu-7 --reason 'no longer needed'"],
  more: "The pool keeps its size: a terminated node is replaced unless the pool was scaled down.",
  run: (context, client) => orderEnd(context, client, { type: "terminate", done: "terminating" }),
};

export const replace: ParsedCommand = {
  ...NODES,
  name: ["replace"],
  usage: "<id>…",
  summary: "replace nodes: cordon, drain, terminate, create",
  examples: ["navarch replace gpu-7 --reason 'NVLink errors'"],
  run: (context, client) => orderEnd(context, client, { type: "replace", done: "replacing" }),
};

async function orderEnd(
  context: Context,
  client: Client,
  order: Pick<Order, "type" | "done">,
): Outcome {
  const { flags, words } = context;
  const verb = order.type === "replace" ? "Replace" : "Terminate";
  const refused = confirm(context, `${verb} ${words.join(", ")}?`);
  if (refused !== null) return refused;
  const body = { force: flags.on("force"), dry_run: flags.on("dry-run") };
  return orderAll(context, client, { ...order, body, warnStale: false });
}
