/** Orders for a node: what one would do, and giving it once. */
import type { Context } from "hono";
import * as v from "valibot";
import type { PodPlanView } from "../../../schema/api.ts";
import type { Command, CommandType } from "../../../schema/command.ts";
import { CommandId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { judgeCommand } from "../../core/fold/command.ts";
import { emptyChange } from "../../core/store.ts";
import { inTime } from "../../core/turn/time-limit.ts";
import type { Env, RoutePorts } from "./route.ts";
import { locateNode, viewCommand } from "./locate-node.ts";
import {
  durationOf,
  eventBy,
  idempotencyKey,
  readAsked,
  reasonOrNone,
  Refusal,
  sayReason,
} from "./request.ts";

export type OrderRequest = Pick<Command, "type" | "reason" | "force" | "timeoutMs">;

export type OrderPreview = { plan: string[]; pods?: PodPlanView[] };

export const Order = v.strictObject({
  reason: reasonOrNone,
  timeout: v.nullish(v.string(), null),
  force: v.optional(v.boolean(), false),
  dry_run: v.optional(v.boolean(), false),
});

/** How long an order waits for the loop before the answer is 202, "accepted, not yet applied". */
const APPLY_MS = 3_000;

/** Who orders it, when, and under which key. */
type Asking = { by: string; now: number; key: CommandId | null };

export async function order(
  c: Context<Env>,
  ports: RoutePorts,
  type: CommandType,
): Promise<Response> {
  const node = locateNode(c, ports);
  const { body, by, now } = await readAsked(c, ports, Order);
  const asking = { by, now, key: idempotencyKey(c) };
  const timeoutMs = body.timeout === null ? null : durationOf("timeout", body.timeout);
  const asked = { type, reason: body.reason, force: body.force, timeoutMs };
  if (body.dry_run && (await sameOrder(ports, node, asked, asking.key)) === null) {
    return c.json(await previewOrder(ports, node, { ...asked, issuedBy: by }));
  }
  const { command, isNew } = await giveOrder(ports, node, asked, asking);
  return c.json(viewCommand(command), command.state === "applied" || !isNew ? 200 : 202);
}

/** The order as it was given before under this key; `null` = it was not. */
async function sameOrder(
  ports: RoutePorts,
  node: Node,
  { type, force }: OrderRequest,
  key: CommandId | null,
): Promise<Command | null> {
  const before = key === null ? null : await ports.store.command(key);
  // A forced order differs from an unforced one, so the stored answer must not stand for it.
  const isSame = before?.node === node.id && before.type === type && before.force === force;
  if (before === null || isSame) return before;
  const was = `${before.force ? "forced " : ""}${before.type} of ${before.node}`;
  throw new Refusal("conflict", `Idempotency-Key ${key} was used for ${was}`);
}

/** Stores the order, and waits a little for the loop to apply it. Throws if it is refused. */
export async function giveOrder(
  ports: RoutePorts,
  node: Node,
  asked: OrderRequest,
  { by, now, key }: Asking,
): Promise<{ command: Command; isNew: boolean }> {
  const before = await sameOrder(ports, node, asked, key);
  if (before !== null) return { command: before, isNew: false };
  const { type, reason } = asked;
  judge(node, { ...asked, issuedBy: by });
  const command: Command = {
    id: key ?? v.parse(CommandId, ports.newId()),
    node: node.id,
    ...asked,
    issuedBy: by,
    issuedAt: now,
    state: "accepted",
    message: null,
  };
  const message = `${type}${sayReason(reason)}`;
  const about = { node: node.id, pool: node.pool, session: node.session?.id ?? null };
  const event = eventBy(by, { at: now, kind: "command.issued", ...about, message });
  await ports.store.commit({ ...emptyChange(), commands: [command], events: [event] });
  ports.metrics.countCommand(type);
  const apply = () => ports.reconciler.takeCommand(command);
  const result = await inTime(ports.clock, APPLY_MS, apply, () => command);
  if (result.state === "refused") {
    throw new Refusal("conflict", result.message ?? "refused", { node_id: node.id });
  }
  return { command: result, isNew: true };
}

function judge(node: Node, asked: Parameters<typeof judgeCommand>[1]): void {
  const judgement = judgeCommand(node, asked);
  if (judgement.kind !== "refused") return;
  throw new Refusal(judgement.code, judgement.message, { node_id: node.id });
}

/** What the order would do: its steps, and what becomes of each pod. Throws if it is refused. */
export async function previewOrder(
  ports: RoutePorts,
  node: Node,
  asked: OrderRequest & { issuedBy?: string },
): Promise<OrderPreview> {
  judge(node, asked);
  const { type, force, timeoutMs } = asked;
  const drains = isDrained(type, force);
  const pods = drains ? await podsOf(ports, node, force) : null;
  const plan = dryRun(ports, node, { type, timeoutMs, drains });
  return { plan, ...(pods === null ? {} : { pods }) };
}

/** What a drain would do with each pod; `null` for a node that is in no cluster. */
async function podsOf(
  ports: RoutePorts,
  node: Node,
  force: boolean,
): Promise<PodPlanView[] | null> {
  const { cluster } = ports.reconciler.cluster();
  const { kube } = node;
  if (cluster === null || kube === null || kube.absentSince !== null) return null;
  const config = ports.reconciler.activeConfig();
  const drain = config.pools.find((one) => one.name === node.pool)?.drain;
  const answer = await cluster.plan(
    { id: node.id, name: kube.name },
    {
      force: force || (drain?.force ?? false),
      ignoreDaemonsets: drain?.ignoreDaemonsets ?? true,
      deleteEmptydirData: drain?.deleteEmptydirData ?? true,
    },
  );
  if (answer.kind === "failed") throw new Refusal("unavailable", answer.message);
  return answer.plan.map(({ namespace, name, uid, verdict, why }) => {
    return { namespace, name, uid, verdict, why };
  });
}

/** A forced end does not wait for the node's work (`decideOrder`); a forced drain still drains. */
function isDrained(type: CommandType, force: boolean): boolean {
  if (type === "cordon" || type === "uncordon") return false;
  return type === "drain" || !force;
}

type Steps = { type: CommandType; timeoutMs: number | null; drains: boolean };

/** The steps an order would take, without taking them. */
function dryRun(ports: RoutePorts, node: Node, order: Steps): string[] {
  const { type, timeoutMs, drains } = order;
  if (type === "cordon" || type === "uncordon") return [`${type} ${node.id}`];
  const steps = [`cordon ${node.id}`];
  if (drains) steps.push(formatDrain(ports, node, timeoutMs));
  if (type !== "drain") steps.push(`terminate instance ${node.instance?.id ?? "?"}`);
  if (type === "replace")
    steps.push(`buy a new node for slot ${node.slot ?? "?"} of pool ${node.pool ?? "?"}`);
  return steps;
}

function formatDrain(ports: RoutePorts, node: Node, timeoutMs: number | null): string {
  const left = ports.reconciler.workOn(node.id);
  const config = ports.reconciler.activeConfig();
  const pool = config.pools.find((one) => one.name === node.pool) ?? null;
  const limit = timeoutMs ?? pool?.drain.timeoutMs ?? 0;
  const work =
    left.kind === "empty"
      ? "no work on it"
      : left.kind === "busy" || left.kind === "dark"
        ? left.message
        : "its workload is unknown";
  const deadline = limit === 0 ? "no deadline" : `at most ${Math.round(limit / 1000)} s`;
  return `drain ${node.id} (${work}; ${deadline})`;
}
