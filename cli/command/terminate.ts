/**
 * `navarch terminate` drains nodes and ends their instances; `navarch replace` also creates new
 * ones, as after a hardware fault.
 */
import type { NodeView } from "../../schema/api.ts";
import type { Client } from "../client.ts";
import type { Context, Outcome, ParsedCommand } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { nodePath } from "../lookup.ts";
import { confirm, DRY_RUN, FORCE, IDS_MAX, type Order, orderAll, REASON } from "../order.ts";
import { plain } from "../table.ts";

const CORDONED = "A node that somebody else cordoned needs --reason, also with --yes.";

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
  more:
    "The pool keeps its size: a terminated node is replaced unless the pool was scaled down.\n" +
    CORDONED,
  run: (context, client) => orderEnd(context, client, { type: "terminate", done: "terminating" }),
};

export const replace: ParsedCommand = {
  ...NODES,
  name: ["replace"],
  usage: "<id>…",
  summary: "replace nodes: cordon, drain, terminate, create",
  examples: ["navarch replace gpu-7 --reason 'NVLink errors'"],
  more: CORDONED,
  run: (context, client) => orderEnd(context, client, { type: "replace", done: "replacing" }),
};

/** Says, before it is asked, who cordoned one of the nodes: they may be at work on it. */
async function warnCordoned({ words, world }: Context, client: Client): Promise<void> {
  for (const id of new Set(words)) {
    const answer = await client.get<NodeView>(nodePath(id), ["node_id"]);
    // The order itself tells what is wrong.
    if (!answer.ok) return;
    const { cordons, kubernetes: kube, node_id: node } = answer.value;
    const human = cordons?.human ?? null;
    const others = kube?.unschedulable === true ? kube.held_by.join(", ") : "";
    if (human !== null) {
      world.err(plain(`warning: node ${node} is cordoned by ${human.by}: ${human.why}`) + "\n");
    } else if (others !== "") {
      world.err(plain(`warning: node ${node} is cordoned in Kubernetes by ${others}`) + "\n");
    }
  }
}

async function orderEnd(
  context: Context,
  client: Client,
  order: Pick<Order, "type" | "done">,
): Outcome {
  const { flags, words } = context;
  const verb = order.type === "replace" ? "Replace" : "Terminate";
  if (flags.on("yes") || context.world.tty) await warnCordoned(context, client);
  const refused = confirm(context, `${verb} ${words.join(", ")}?`);
  if (refused !== null) return refused;
  const body = { force: flags.on("force"), dry_run: flags.on("dry-run") };
  return orderAll(context, client, { ...order, body, warnStale: false });
}
