/** Nodes and instances, and the orders for them. */
import type { Context } from "hono";
import * as v from "valibot";
import type { CommandView, NodeView, PodPlanView } from "../../../schema/api.ts";
import { COMMAND_TYPES, type Command, type CommandType } from "../../../schema/command.ts";
import { CommandId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import type { Node } from "../../../schema/node.ts";
import { type Climb, nextRung } from "../../core/decide/ladder.ts";
import { isUnbought } from "../../core/fleet.ts";
import { judgeCommand } from "../../core/fold/command.ts";
import { judgeForget } from "../../core/fold/forget.ts";
import { viewAttempt } from "../view/bootstrap.ts";
import { explainNode } from "../view/explain.ts";
import { viewWorkerOf } from "../view/agentpool.ts";
import { iso, viewHealthEvent, viewInstance, viewNode } from "../view/node.ts";
import { emptyChange } from "../../core/store.ts";
import { findNode } from "./find-node.ts";
import type { App, Env, RoutePorts } from "./app.ts";
import { listNodes, matches } from "./node-list.ts";
import { durationOf, eventBy, idempotencyKey, needs } from "./request.ts";
import { readAsked, reasonOrNone, Refusal, sayNear, sayReason } from "./request.ts";

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

export function viewCommand(command: Command): CommandView {
  return {
    command_id: command.id,
    node_id: command.node,
    type: command.type,
    issued_at: iso(command.issuedAt),
    issued_by: command.issuedBy,
    reason: command.reason,
    status: command.state,
    message: command.message,
  };
}

/** The node that the path names. An order needs exactly one match, by its current names. */
export function locateNode(c: Context<Env>, ports: RoutePorts): Node {
  const given = c.req.param("id") ?? "";
  const { nodes } = ports.reconciler.fleet();
  const isOrder = c.req.method !== "GET";
  const found = findNode(nodes, given, isOrder ? null : { now: ports.clock.wallMs() });
  if (found === null) throw new Refusal("not_found", sayUnknown(ports, given));
  if (!("ambiguous" in found)) return found;
  throw new Refusal("conflict", `${given} names several nodes: ${found.ambiguous.join(", ")}`);
}

function sayUnknown({ reconciler }: RoutePorts, given: string): string {
  const objects = reconciler.cluster().cluster?.objects().list ?? [];
  if (objects.some(({ name }) => name === given)) {
    return `Node ${given} is in the cluster but matches no machine of this fleet`;
  }
  return `no node ${given}${sayNear(given, [...reconciler.fleet().nodes.keys()])}`;
}

/** The next repair step of a sick node; `undefined`: nothing repairs it. */
function rungOf({ reconciler }: RoutePorts, node: Node): Climb["rung"] | undefined {
  const sight = reconciler.lastSight();
  const pool = reconciler.activeConfig().pools.find(({ name }) => name === node.pool);
  if (sight === null || pool?.health.autoReplace !== true || isUnbought(node)) return undefined;
  return nextRung(node, { pool, sight }).rung;
}

export function nodeRoutes(api: App, ports: RoutePorts): void {
  api.get("/nodes", needs("viewer"), (c) => listNodes(c, ports, (node) => viewOf(ports, node)));
  api.get("/nodes/:id", needs("viewer"), async (c) => {
    const node = locateNode(c, ports);
    const findings = await ports.store.findings(node.id, LIMIT.healthEventsShownMax);
    return c.json({ ...viewOf(ports, node), health_events: findings.map(viewHealthEvent) });
  });
  api.get("/nodes/:id/bootstrap", needs("viewer"), async (c) => {
    const node = locateNode(c, ports);
    const live = ports.live(node.id);
    const stored = await ports.store.bootstraps(node.id, LIMIT.bootstrapsKeptMax);
    const ended = stored.filter(({ attempt }) => attempt !== live?.attempt);
    const attempts = live === null ? ended : [live, ...ended];
    return c.json({
      node_id: node.id,
      phase: node.phase.kind,
      attempts: attempts.map(viewAttempt),
    });
  });
  for (const kind of ["node", "instance"] as const) {
    api.get(`/${kind}s/:id/explain`, needs("viewer"), async (c) => {
      const node = locateNode(c, ports);
      const query = { node: node.id, pool: null, since: null, after: null, limit: 50 };
      const events = await ports.store.events(query);
      const unproven = ports.reconciler.cluster().unproven.get(node.id) ?? null;
      const now = ports.clock.wallMs();
      const slurm = ports.reconciler.slurm()?.of(node) ?? null;
      const stays = staysOf(ports, node);
      const worker = viewWorkerOf(node, ports.agentPools);
      const from = { now, stays, unproven, slurm, worker, rung: rungOf(ports, node) };
      return c.json({ ...explainNode(node, events, ports.reconciler.lastPlan(), from), kind });
    });
  }
  api.get("/instances", needs("viewer"), (c) => {
    const { pool, provider, state, region } = c.req.query();
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
  });
  api.get("/instances/:id", needs("viewer"), (c) => {
    const node = locateNode(c, ports);
    const view = viewInstance(node);
    if (view === null) throw new Refusal("not_found", `node ${node.id} has no instance`);
    return c.json(view);
  });
  api.get("/commands", needs("viewer"), async (c) => {
    const commands = await ports.store.commands({ node: c.req.query("node") ?? null, limit: 200 });
    return c.json({ commands: commands.map(viewCommand) });
  });
  api.get("/commands/:id", needs("viewer"), async (c) => {
    const id = v.safeParse(CommandId, c.req.param("id"));
    const command = id.success ? await ports.store.command(id.output) : null;
    if (command === null) throw new Refusal("not_found", "there is no command with this id");
    return c.json(viewCommand(command));
  });
  for (const type of COMMAND_TYPES) {
    api.post(`/nodes/:id/${type}`, needs("operator"), (c) => order(c, ports, type));
  }
  api.delete("/nodes/:id", needs("operator"), (c) => forget(c, ports));
}

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
    const judgement = judgeForget(node, { silentMs, heartbeatTimeoutMs });
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

const Order = v.strictObject({
  reason: reasonOrNone,
  timeout: v.nullish(v.string(), null),
  force: v.optional(v.boolean(), false),
  dry_run: v.optional(v.boolean(), false),
});

/** How long an order waits for the loop before the answer is 202, "accepted, not yet applied". */
const APPLY_MS = 3_000;

async function order(c: Context<Env>, ports: RoutePorts, type: CommandType): Promise<Response> {
  const node = locateNode(c, ports);
  const { body, by, now } = await readAsked(c, ports, Order);
  const { force, reason } = body;
  const timeoutMs = body.timeout === null ? null : durationOf("timeout", body.timeout);
  const id = idempotencyKey(c) ?? v.parse(CommandId, ports.newId());
  const before = await ports.store.command(id);
  // A forced order differs from an unforced one, so the stored answer must not stand for it.
  const isSame = before?.node === node.id && before.type === type && before.force === force;
  if (before !== null && !isSame) {
    const was = `${before.force ? "forced " : ""}${before.type} of ${before.node}`;
    throw new Refusal("conflict", `Idempotency-Key ${id} was used for ${was}`);
  }
  if (before !== null) return c.json(viewCommand(before));
  const judgement = judgeCommand(node, { type, force, reason });
  if (judgement.kind === "refused") {
    throw new Refusal(judgement.code, judgement.message, { node_id: node.id });
  }
  if (body.dry_run) {
    const drains = isDrained(type, force);
    const pods = drains ? await podsOf(ports, node, force) : null;
    const plan = dryRun(ports, node, { type, timeoutMs, drains });
    return c.json({ plan, ...(pods === null ? {} : { pods }) });
  }
  const command: Command = {
    id,
    node: node.id,
    type,
    reason,
    force,
    timeoutMs,
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
  const applied = ports.reconciler.takeCommand(command);
  const late = new Promise<Command>(
    (resolve) => void ports.clock.after(APPLY_MS, () => resolve(command)),
  );
  const result = await Promise.race([applied, late]);
  if (result.state === "refused") {
    throw new Refusal("conflict", result.message ?? "refused", { node_id: node.id });
  }
  return c.json(viewCommand(result), result.state === "applied" ? 200 : 202);
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

type OrderRequest = { type: CommandType; timeoutMs: number | null; drains: boolean };

/** The steps an order would take, without taking them. */
function dryRun(ports: RoutePorts, node: Node, order: OrderRequest): string[] {
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
