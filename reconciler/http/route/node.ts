/** Nodes and instances, and the orders for them. */
import type { Context } from "hono";
import * as v from "valibot";
import type { BootstrapAttemptView } from "../../../schema/api-bootstrap.ts";
import { type Role, roleIncludes } from "../../../schema/credential.ts";
import type { ExplainView, NodeView } from "../../../schema/api.ts";
import { COMMAND_TYPES, type CommandType } from "../../../schema/command.ts";
import type { Event } from "../../../schema/event.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import { CommandId, type NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Node } from "../../../schema/node.ts";
import { type Climb, nextRung } from "../../core/decide/ladder.ts";
import { isUnbought } from "../../core/fleet.ts";
import { judgeForget } from "../../core/fold/forget.ts";
import { strandedWhy } from "../../core/reach.ts";
import { viewAttempts } from "../view/bootstrap.ts";
import { explainNode } from "../view/explain.ts";
import { sayFreeze } from "../view/held-back.ts";
import { freezeOf } from "../view/safety.ts";
import { viewWorkerOf } from "../view/agentpool.ts";
import { viewHealthEvent, viewInstance, viewNode } from "../view/node.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { locateNode, viewCommand } from "./locate-node.ts";
import { listNodes, matches, NodeQuery } from "./node-list.ts";
import { Order, order } from "./order.ts";
import {
  eventBy,
  OfNode,
  readQuery,
  readAsked,
  reasonOrNone,
  Refusal,
  sayReason,
} from "./request.ts";

export function viewOf(ports: RoutePorts, node: Node): NodeView {
  const pool = ports.reconciler.activeConfig().pools.find((one) => one.name === node.pool);
  const state = pool === undefined ? undefined : ports.reconciler.fleet().pools.get(pool.name);
  return viewNode(node, {
    unready: state?.unready?.why ?? null,
    stays: staysOf(ports, node),
    slurm: ports.reconciler.slurm()?.of(node) ?? null,
    worker: viewWorkerOf(node, ports.agentPools),
    isKubeDark: ports.reconciler.lastSight()?.kube?.dark != null,
    heardAt: ports.reconciler.presence.heardAt(node.id),
    labels: pool?.labels ?? {},
    threshold: pool?.health.unhealthyThreshold ?? 1,
  });
}

/** Why a gone machine's Node still exists; `null` = it does not, or that is unknown. */
function staysOf({ reconciler }: RoutePorts, { kube, phase }: Node): string | null {
  if (phase.kind !== "gone" || kube === null || kube.absentSince !== null) return null;
  const { cluster } = reconciler.cluster();
  return cluster === null ? null : (cluster.dark() ?? cluster.stays(kube.uid));
}

/** The next repair step of a sick node; `undefined`: nothing repairs it. */
export function rungOf({ reconciler }: RoutePorts, node: Node): Climb["rung"] | undefined {
  const sight = reconciler.lastSight();
  const pool = reconciler.activeConfig().pools.find(({ name }) => name === node.pool);
  if (sight === null || pool?.health.autoReplace !== true || isUnbought(node)) return undefined;
  return nextRung(node, { pool, sight }).rung;
}

export function explainOf(ports: RoutePorts, node: Node, events: Event[]): ExplainView {
  const unproven = ports.reconciler.cluster().unproven.get(node.id) ?? null;
  const now = ports.clock.wallMs();
  const slurm = ports.reconciler.slurm()?.of(node) ?? null;
  const stays = staysOf(ports, node);
  const worker = viewWorkerOf(node, ports.agentPools);
  const freeze = freezeOf(ports.reconciler.fleet().facts, now);
  const frozen = freeze === null ? null : sayFreeze(freeze);
  const from = { now, stays, unproven, slurm, worker, frozen, rung: rungOf(ports, node) };
  return explainNode(node, events, ports.reconciler.lastPlan(), from);
}

export type NodePorts = RoutePorts & {
  /** The set-up of a node that runs in this process, with its output so far. */
  live(node: NodeId): BootstrapAttempt | null;
};

/** Newest first, the one that runs in this process before those that are stored. */
export async function attemptsOf(
  ports: NodePorts,
  node: Node,
  role: Role,
): Promise<BootstrapAttemptView[]> {
  const live = ports.live(node.id);
  const stored = await ports.store.bootstraps(node.id, LIMIT.bootstrapsKeptMax);
  const ended = stored.filter(({ attempt }) => attempt !== live?.attempt);
  const all = live === null ? ended : [live, ...ended];
  return viewAttempts(all, !roleIncludes(role, "operator"));
}

const word = v.optional(v.string());
const InstanceQuery = v.object({ pool: word, provider: word, state: word, region: word });

const Forget = v.strictObject({ reason: reasonOrNone });

/** Removes the record of an unmanaged machine that is gone. */
async function forget(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const { id } = locateNode(c, ports);
  const { body, by, now } = await readAsked(c, ports, Forget);
  const { reconciler, clock } = ports;
  const { heartbeatTimeoutMs } = reconciler.activeConfig().server;
  let refusal: string | null = null;
  await reconciler.change((draft) => {
    const node = draft.node(id);
    // Removed in the meantime, which is the requested outcome.
    if (node === null) return;
    const silentMs = reconciler.presence.isHeard(id)
      ? reconciler.presence.silentMs(id, clock.monoMs(), heartbeatTimeoutMs)
      : null;
    const providers = reconciler.lastSight()?.providers ?? null;
    const isStranded = providers !== null && strandedWhy(node, providers) !== null;
    const judgement = judgeForget(node, { silentMs, heartbeatTimeoutMs, isStranded });
    if (judgement.kind === "refused") {
      refusal = judgement.message;
      return;
    }
    draft.change.removedNodes.push(id);
    const why = sayReason(body.reason);
    const message = `its record is removed${why}; an agent that reports again starts a new one`;
    const about = { node: id, pool: node.pool };
    draft.tell([eventBy(by, { at: now, kind: "node.forgotten", ...about, message })]);
  });
  if (refusal !== null) throw new Refusal("conflict", refusal, { node_id: id });
  reconciler.presence.forget(id);
  return c.json({ node_id: id, forgotten_by: by });
}

const ORDER_SAYS: Readonly<Record<CommandType, string>> = {
  cordon: "keep new work off; body `reason`, `dry_run`",
  uncordon: "allow new work again; body `reason`, `dry_run`",
  drain: "move work off; body `reason`, `dry_run`, `timeout`, `force`",
  replace: "drain, terminate, buy again; body as for `drain`",
  terminate: "drain, terminate; body as for `drain`",
};

export const nodeRoutes: readonly Route<NodePorts>[] = [
  {
    at: "GET /v1/nodes",
    access: "viewer",
    act: ["get", "node"],
    query: NodeQuery,
    says: "nodes; filters `pool`, `status`, `health`, `label`; `limit`, `cursor`",
    run: (c, ports) => listNodes(c, ports, (node) => viewOf(ports, node)),
  },
  {
    at: "GET /v1/nodes/:id",
    access: "viewer",
    act: ["get", "node"],
    says: "a node with its health events",
    run: async (c, ports) => {
      const node = locateNode(c, ports);
      const findings = await ports.store.findings(node.id, LIMIT.healthEventsShownMax);
      return c.json({ ...viewOf(ports, node), health_events: findings.map(viewHealthEvent) });
    },
  },
  {
    at: "GET /v1/nodes/:id/bootstrap",
    access: "viewer",
    act: ["get", "node"],
    says: "set-up attempts of a node, with their output; commands for `operator` only",
    run: async (c, ports) => {
      const node = locateNode(c, ports);
      const attempts = await attemptsOf(ports, node, c.get("principal").role);
      return c.json({ node_id: node.id, phase: node.phase.kind, attempts });
    },
  },
  ...(["node", "instance"] as const).map((kind): Route<RoutePorts> => ({
    at: `GET /v1/${kind}s/:id/explain`,
    access: "viewer",
    act: ["get", kind],
    isLeaders: true,
    says: kind === "node" ? "why a node is as it is, and what happens next" : "as for its node",
    run: async (c, ports) => {
      const node = locateNode(c, ports);
      const query = { node: node.id, pool: null, since: null, after: null, limit: 50 };
      const events = await ports.store.events(query);
      return c.json({ ...explainOf(ports, node, events), kind });
    },
  })),
  {
    at: "GET /v1/instances",
    access: "viewer",
    act: ["get", "instance"],
    query: InstanceQuery,
    says: "what the provider bills; filters `pool`, `provider`, `state`, `region`",
    run: (c, ports) => {
      const { pool, provider, state, region } = readQuery(c, InstanceQuery);
      const all = [...ports.reconciler.fleet().nodes.values()].flatMap(
        (node) => viewInstance(node) ?? [],
      );
      const wanted = all.filter(
        (i) =>
          matches(pool, i.pool) &&
          matches(provider, i.provider) &&
          matches(region, i.region) &&
          matches(state, i.state),
      );
      return c.json({ instances: wanted });
    },
  },
  {
    at: "GET /v1/instances/:id",
    access: "viewer",
    act: ["get", "instance"],
    says: "an instance",
    run: (c, ports) => {
      const node = locateNode(c, ports);
      const view = viewInstance(node);
      if (view === null) throw new Refusal("not_found", `node ${node.id} has no instance`);
      return c.json(view);
    },
  },
  {
    at: "GET /v1/commands",
    access: "viewer",
    act: ["get", "command"],
    query: OfNode,
    says: "orders and their outcome; filter `node`",
    run: async (c, ports) => {
      const { node = null } = readQuery(c, OfNode);
      const commands = await ports.store.commands({ node, limit: 200 });
      return c.json({ commands: commands.map(viewCommand) });
    },
  },
  {
    at: "GET /v1/commands/:id",
    access: "viewer",
    act: ["get", "command"],
    says: "an order",
    run: async (c, ports) => {
      const id = v.safeParse(CommandId, c.req.param("id"));
      const command = id.success ? await ports.store.command(id.output) : null;
      if (command === null) throw new Refusal("not_found", "there is no command with this id");
      return c.json(viewCommand(command));
    },
  },
  ...COMMAND_TYPES.map((type): Route<RoutePorts> => ({
    at: `POST /v1/nodes/:id/${type}`,
    access: "operator",
    act: [type, "node"],
    body: Order,
    status: [200, 202],
    says: `order: ${ORDER_SAYS[type]}`,
    run: (c, ports) => order(c, ports, type),
  })),
  {
    at: "DELETE /v1/nodes/:id",
    access: "operator",
    act: ["forget", "node"],
    body: Forget,
    says: "forget an unmanaged node that is gone",
    run: (c, ports) => forget(c, ports),
  },
];
