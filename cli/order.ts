/**
 * Sends orders about nodes (cordon, uncordon, drain, terminate, replace), one request for each id:
 * a refusal does not stop the others, and the exit status is that of the first failure.
 */
import type { CommandView, PodPlanView } from "../schema/api.ts";
import type { CommandType } from "../schema/command.ts";
import { switchFlag, textFlag } from "./flag.ts";
import type { Client } from "./client.ts";
import type { Context } from "./command.ts";
import { EXIT, type Failure, usage } from "./failure.ts";
import { getNode, nodePath, warnStale } from "./lookup.ts";
import { isForMachines, sayFailure, show } from "./show.ts";
import { plain, formatTable } from "./table.ts";

export const REASON = textFlag("reason", "TEXT", "reason, recorded in the events");
export const FORCE = switchFlag("force", "override the state checks; requires --reason");
export const DRY_RUN = switchFlag("dry-run", "show what would be done, without doing it");

/** A longer list is more likely pasted by mistake. */
export const IDS_MAX = 1_000;

export type Order = {
  type: CommandType;
  /** The state afterwards, as printed: `cordoned`. */
  done: string;
  body: Record<string, unknown>;
  /** Warn if the node's heartbeat is old. */
  warnStale: boolean;
};

/** The result of a dry run: text, and data for programs. */
type DryAnswer = { plan: string[]; pods?: PodPlanView[] };

/** `--force` overrides safety checks, so it requires a reason. */
function forceWithoutReason({ flags }: Context, body: Order["body"]): Failure | null {
  if (body["force"] !== true || body["dry_run"] === true) return null;
  const reason = (flags.text("reason") ?? "").trim();
  return reason === "" ? usage("--force needs --reason TEXT") : null;
}

/** Sends the order for every id. `after` runs for each accepted one. */
export async function orderAll(
  context: Context,
  client: Client,
  order: Order,
  after: (command: CommandView) => Promise<Failure | null> = async () => null,
): Promise<number | Failure> {
  const unsaid = forceWithoutReason(context, order.body);
  if (unsaid !== null) return unsaid;
  const done: unknown[] = [];
  const failures: Failure[] = [];
  const ids = [...new Set(context.words)];
  for (const id of ids) {
    const answer = await orderOne(context, client, order, id);
    if (!answer.ok) {
      failures.push(answer);
      // An unreachable server or a wrong token is the same for every id.
      if (answer.exit === EXIT.unreachable || answer.exit === EXIT.forbidden) break;
      continue;
    }
    done.push(answer.value);
    if (!isForMachines(context.format)) await showOne(context, order, answer.value);
    const late = isDry(answer.value) ? null : await after(answer.value);
    if (late !== null) failures.push(late);
  }
  if (isForMachines(context.format) && done.length > 0) {
    const data = ids.length === 1 ? done[0] : done;
    await show(context, { data, names: [], human: () => "" });
  }
  const [first, ...rest] = failures;
  for (const one of rest) sayFailure(context.world, context.format, one);
  return first ?? EXIT.done;
}

type Ordered = { ok: true; value: CommandView | DryAnswer };

async function orderOne(
  { world, flags }: Context,
  client: Client,
  order: Order,
  id: string,
): Promise<Ordered | Failure> {
  const node = await getNode(client, id);
  if (!node.ok) return node;
  if (order.warnStale) warnStale(world, node.value, node.nowMs);
  const reason = flags.text("reason");
  const dry = order.body["dry_run"] === true;
  const body = { ...order.body, ...(reason === null ? {} : { reason }) };
  const path = `${nodePath(node.value.node_id)}/${order.type}`;
  const keys = dry ? ["plan"] : ["command_id"];
  return client.send<CommandView | DryAnswer>("POST", path, keys, body);
}

function isDry(value: CommandView | DryAnswer): value is DryAnswer {
  return "plan" in value;
}

async function showOne(context: Context, order: Order, value: CommandView | DryAnswer) {
  const human = () => {
    if (isDry(value)) {
      const steps = value.plan.map((line) => `${plain(line)}\n`).join("");
      return steps + formatPods(value.pods ?? [], context);
    }
    const note = value.message === null || value.message === undefined ? "" : value.message;
    const said = note === "" ? "" : `${plain(note)}\n`;
    return `Node ${value.node_id} ${order.done}\nCommand ID: ${value.command_id}\n${said}`;
  };
  const names = isDry(value) ? value.plan : [value.command_id];
  await show(context, { data: value, names, human });
}

function formatPods(pods: readonly PodPlanView[], { style }: Context): string {
  if (pods.length === 0) return "";
  const rows = pods.map((pod) => [pod.namespace, pod.name, pod.verdict, pod.why]);
  return formatTable(["Namespace", "Pod", "Verdict", "Why"], rows, style);
}

export const NO_TERMINAL = "confirmation required; pass --yes when not on a terminal";

/** Confirms something irreversible; a script must pass `--yes`. */
export function confirm(context: Context, question: string): Failure | null {
  const { flags } = context;
  const body = { force: flags.on("force"), dry_run: flags.on("dry-run") };
  const unsaid = forceWithoutReason(context, body);
  if (unsaid !== null) return unsaid;
  return flags.on("dry-run") ? null : confirmCost(context, question);
}

/** The same of a command that has no `--force` and no `--dry-run`. */
export function confirmCost({ world, flags }: Context, question: string): Failure | null {
  if (flags.on("yes")) return null;
  const answer = world.ask(`${question} [y/N]`);
  const said = answer === null ? NO_TERMINAL : "not confirmed";
  if (isYes(answer)) return null;
  const exit = answer === null ? EXIT.usage : EXIT.failed;
  return { ok: false, exit, code: "not_confirmed", message: said, details: {} };
}

/** `null` = there was no terminal to ask on. */
export const isYes = (answer: string | null): boolean =>
  answer !== null && /^y(es)?$/i.test(answer.trim());
