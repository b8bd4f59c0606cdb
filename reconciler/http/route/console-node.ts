/**
 * C9: cordon, uncordon, drain and replace by the name of a Kubernetes Node, as the console's API.
 * An order is given as `/v1/nodes` gives it; a cordon of others is refused and never lifted.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { CommandType } from "../../../schema/command.ts";
import type { Node } from "../../../schema/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { findNode } from "./find-node.ts";
import { nodeNamed } from "./locate-node.ts";
import { giveOrder } from "./order.ts";
import { durationOf, idempotencyKey, readAsked, Refusal } from "./request.ts";

const VERBS = ["cordon", "uncordon", "drain", "replace"] as const satisfies readonly CommandType[];

const Asked = v.strictObject({
  reason: v.pipe(
    v.string("expected a text: the reason, shown to other operators"),
    v.trim(),
    v.minLength(1, "expected a text: the reason, shown to other operators"),
    v.maxLength(1_024),
  ),
  force: v.optional(v.boolean(), false),
  /** The deadline of a drain; the pool's if absent. */
  timeout: v.nullish(v.string(), null),
});

async function order(c: Context<Env>, ports: RoutePorts, type: CommandType): Promise<Response> {
  const name = c.req.param("name") ?? "";
  const { body, by, now } = await readAsked(c, ports, Asked);
  const { reason, force, timeout } = body;
  refuseStranger(ports, name, type);
  const node = nodeNamed(ports, name, true);
  c.set("target", node.id);
  if (type === "uncordon") refuseForeign(node);
  const timeoutMs = timeout === null ? null : durationOf("timeout", timeout);
  const asked = { type, reason, force, timeoutMs };
  const { command } = await giveOrder(ports, node, asked, { by, now, key: idempotencyKey(c) });
  const repair = ports.reconciler.fleet().nodes.get(node.id)?.session?.id ?? null;
  const { id, state, message } = command;
  const said = { message: message ?? `${type} of ${node.id} is ${state}${othersOf(node, type)}` };
  return c.json({ repair: repair ?? id, command: id, node: node.id, status: state, ...said }, 202);
}

/** Throws for a Node of the cluster that is no machine of this fleet: nothing is changed on it. */
function refuseStranger(ports: RoutePorts, name: string, type: CommandType): void {
  if (findNode(ports.reconciler.fleet().nodes, name) !== null) return;
  const objects = ports.reconciler.cluster().cluster?.objects().list ?? [];
  const object = objects.find((one) => one.name === name);
  if (object === undefined) return;
  const { unschedulable, others } = object;
  if (type === "uncordon" && unschedulable) throw foreign(name, others);
  const next = `use kubectl ${type === "replace" ? "drain" : type} ${name}`;
  const message = `Node ${name} matches no machine of this fleet: ${next}`;
  throw new Refusal("conflict", message);
}

/** Throws if others cordon the Node and Navarch does not: there is nothing of its own to lift. */
function refuseForeign({ cordon, phase, kube }: Node): void {
  const { kind } = phase;
  const isOwn = cordon.product !== null || cordon.human !== null;
  if (isOwn || kind === "draining" || kind === "held") return;
  if (kube === null || kube.absentSince !== null || !kube.unschedulable) return;
  throw foreign(kube.name, kube.others);
}

function foreign(name: string, others: readonly string[]): Refusal {
  const owner = others.length === 0 ? "an unknown client" : others.join(", ");
  const next = `ask its owner, or use kubectl uncordon ${name}`;
  return new Refusal("conflict", `Node ${name} is cordoned by ${owner}, not by Navarch: ${next}`);
}

/** The cordon of others stays when Navarch lifts its own. */
function othersOf({ kube }: Node, type: CommandType): string {
  const others = kube?.others ?? [];
  if (type !== "uncordon" || others.length === 0) return "";
  return `; the cordon by ${others.join(", ")} stays`;
}

const SAYS: Readonly<Record<(typeof VERBS)[number], string>> = {
  cordon: "cordon the machine of a Node: body `reason`",
  uncordon: "uncordon it; a cordon of others is refused with its owner's name",
  drain: "drain it",
  replace: "replace it",
};

export const consoleNodeRoutes: readonly Route<RoutePorts>[] = [
  ...VERBS.map((verb): Route<RoutePorts> => ({
    at: `POST /api/admin/kubernetes/nodes/:name/${verb}`,
    access: "admin",
    act: [verb, "node"],
    body: Asked,
    says: SAYS[verb],
    run: (c, ports) => order(c, ports, verb),
  })),
];
