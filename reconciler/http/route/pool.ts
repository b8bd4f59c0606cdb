/** Pools: their nodes, size and status; holds, and demand that is reported from outside. */
import type { Context } from "hono";
import * as v from "valibot";
import type { ExplainView } from "../../../schema/api.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { Event } from "../../../schema/event.ts";
import { InstantText, parseInstant } from "../../../schema/instant.ts";
import type { Node } from "../../../schema/node.ts";
import { whole } from "../../../schema/number.ts";
import type { Reloader } from "../../core/reload.ts";
import { expiryMs } from "../../core/scaling/demand.ts";
import { sayDecision, sayQueue, viewScaling, type ScalingView } from "../view/scaling.ts";
import { explainPool } from "../view/explain.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import { viewPoolCost } from "../view/cost.ts";
import { viewPool, viewPoolStatus } from "../view/pool.ts";
import { holdOf } from "../view/safety.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { eventBy, invalid, readAsked, Refusal, sayReason, unknown } from "./request.ts";
import { endOf, HOLD_DEFAULT_MS, Lift, safetySource, Veto } from "./safety.ts";

export function explainPoolOf(ports: RoutePorts, pool: PoolConfig, events: Event[]): ExplainView {
  const state = ports.reconciler.fleet().pools.get(pool.name);
  const nodes = nodesOf(ports, pool.name);
  const view = explainPool(pool, state, nodes, events, safetySource(ports));
  const scaling = scalingView(ports, pool);
  const queue = sayQueue(scaling);
  const decision = sayDecision(scaling);
  const causes = [
    ...view.causes,
    ...(queue === null ? [] : [{ at: null, text: queue }]),
    ...(decision === null ? [] : [decision]),
  ];
  return { ...view, causes, blockers: [...view.blockers, ...scaling.conditions] };
}

/** The pool that the path names. */
export function locatePool(c: Context<Env>, ports: RoutePorts): PoolConfig {
  return poolNamed(ports, c.req.param("pool") ?? "");
}

export function poolNamed(ports: RoutePorts, given: string): PoolConfig {
  const { pools } = ports.reconciler.activeConfig();
  const pool = pools.find((one) => one.name === given);
  if (pool !== undefined) return pool;
  const names = pools.map((one) => one.name);
  throw unknown("pool", given, names);
}

export function nodesOf(ports: RoutePorts, pool: string): Node[] {
  return [...ports.reconciler.fleet().nodes.values()].filter((node) => node.pool === pool);
}

function scalingView(ports: RoutePorts, pool: PoolConfig): ScalingView {
  const { reconciler, clock } = ports;
  const { server } = reconciler.activeConfig();
  const view = viewScaling(pool, reconciler.fleet().pools.get(pool.name), {
    server,
    status: reconciler.status(pool.name),
    now: clock.wallMs(),
    seen: reconciler.queueOf(pool.name),
  });
  const kept = sayKept(ports.reloader());
  return kept === null ? view : { ...view, conditions: [...view.conditions, kept] };
}

/** Why the configuration on disk is not in force; `null` = it is. */
function sayKept(reloader: Reloader | null): string | null {
  const [first] = reloader?.last()?.problems ?? [];
  return first === undefined ? null : `configuration: the files are not in force: ${first}`;
}

function poolView(ports: RoutePorts, pool: PoolConfig): ReturnType<typeof viewPool> {
  const { reconciler, clock } = ports;
  const state = reconciler.fleet().pools.get(pool.name);
  return viewPool(pool, state, nodesOf(ports, pool.name), {
    plan: reconciler.lastPlan(),
    now: clock.wallMs(),
    scaling: scalingView(ports, pool),
    facts: reconciler.fleet().facts,
    providers: reconciler.lastSight()?.providers ?? null,
  });
}

/** `nodes` and `cost` are the pool's, for callers that show all pools. */
export function statusView(
  ports: RoutePorts,
  pool: PoolConfig,
  nodes = nodesOf(ports, pool.name),
  cost: ReturnType<typeof viewPoolCost> | null = null,
): ReturnType<typeof viewPoolStatus> {
  const { reconciler, clock } = ports;
  const readings = nodes.flatMap((node) => reconciler.presence.utilization(node.id) ?? []);
  const mean = readings.length === 0 ? null : readings.reduce((a, b) => a + b, 0) / readings.length;
  return viewPoolStatus(pool, reconciler.fleet().pools.get(pool.name), nodes, {
    plan: reconciler.lastPlan(),
    now: clock.wallMs(),
    utilization: mean === null ? null : Math.round(mean * 10) / 10,
    scaling: scalingView(ports, pool),
    facts: reconciler.fleet().facts,
    providers: reconciler.lastSight()?.providers ?? null,
    cost: cost ?? viewPoolCost({ fleet: reconciler.fleet(), now: clock.wallMs() }, pool.name),
  });
}

/** Pauses automation of the pool; a hold always ends (docs/reference/safety.md#holds). */
async function hold(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const pool = locatePool(c, ports);
  const { body, by, now } = await readAsked(c, ports, Veto);
  const until = endOf(body, now) ?? now + HOLD_DEFAULT_MS;
  const { reason: why } = body;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
    draft.putPool({ ...state, hold: { by, why, until } });
    const message = `pool ${pool.name} is held until ${new Date(until).toISOString()}: ${why}`;
    draft.tell([eventBy(by, { at: now, kind: "safety.frozen", pool: pool.name, message })]);
  });
  return c.json(statusView(ports, pool));
}

async function resume(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const pool = locatePool(c, ports);
  const { body, by, now } = await readAsked(c, ports, Lift);
  let was = false;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name);
    if (state === null || state.hold === null) return;
    draft.putPool({ ...state, hold: null });
    was = holdOf(state, now) !== null;
    // An expired hold ended by itself and was not lifted.
    if (!was) return;
    const why = sayReason(body.reason);
    const message = `the hold by ${state.hold.by} is lifted${why} (it was: ${state.hold.why})`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", pool: pool.name, message })]);
  });
  return c.json({ ...statusView(ports, pool), was_held: was });
}

const jobs = v.pipe(whole("expected a whole number"), v.minValue(0), v.maxValue(1_000_000_000));

const Demand = v.strictObject({
  pending_jobs: jobs,
  queue_depth: jobs,
  /** When the queue was observed; default now. */
  observed_at: v.optional(InstantText),
});

/**
 * The pool's queue as an external system reports it, in the unit that the pool counts (GPUs with
 * `count: gpus`). While fresh it takes precedence over the scheduler's. Repeating it is harmless.
 */
async function setDemand(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const pool = locatePool(c, ports);
  const { body, by, now } = await readAsked(c, ports, Demand);
  const { pending_jobs: pendingJobs, queue_depth: queueDepth, observed_at: given } = body;
  const at = given === undefined ? now : parseInstant(given);
  const limitMs = expiryMs(ports.reconciler.activeConfig().server.autoscaleIntervalMs);
  if (Math.abs(now - at) > limitMs) {
    const apart = `${Math.round(Math.abs(now - at) / 1_000)} s ${at < now ? "ago" : "ahead"}`;
    const limit = `demand counts for ${limitMs / 1_000} s`;
    return invalid(`observed_at: ${given ?? ""} is ${apart}; ${limit}`);
  }
  const observedAt = Math.min(at, now);
  const demand = { pendingJobs, queueDepth, observedAt, by };
  let newest = observedAt;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
    const before = state.demand?.observedAt ?? 0;
    // A stored time in the future is from before the clock was set back, so it is replaced.
    newest = before > now ? observedAt : Math.max(before, observedAt);
    if (newest === observedAt) draft.putPool({ ...state, demand });
  });
  if (newest === observedAt) return c.json(statusView(ports, pool));
  const known = new Date(newest).toISOString();
  const message = `observed_at: ${given ?? ""} is older than the stored observation (${known})`;
  throw new Refusal("conflict", message);
}

export const poolRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/pools",
    access: "viewer",
    act: ["get", "pool"],
    says: "pools",
    run: (c, ports) => {
      const { pools } = ports.reconciler.activeConfig();
      return c.json({ pools: pools.map((pool) => poolView(ports, pool)) });
    },
  },
  {
    at: "GET /v1/pools/:pool",
    access: "viewer",
    act: ["get", "pool"],
    says: "a pool",
    run: (c, ports) => c.json(poolView(ports, locatePool(c, ports))),
  },
  {
    at: "GET /v1/pools/:pool/status",
    access: "viewer",
    act: ["get", "pool"],
    says: "size, health, queue and limits of a pool",
    run: (c, ports) => c.json(statusView(ports, locatePool(c, ports))),
  },
  {
    at: "GET /v1/pools/:pool/explain",
    access: "viewer",
    act: ["get", "pool"],
    isLeaders: true,
    says: "why a pool is as it is, and what happens next",
    run: async (c, ports) => {
      const pool = locatePool(c, ports);
      const query = { node: null, pool: pool.name, since: null, after: null, limit: 30 };
      return c.json(explainPoolOf(ports, pool, await ports.store.events(query)));
    },
  },
  {
    at: "PUT /v1/pools/:pool/hold",
    access: "operator",
    act: ["hold", "pool"],
    body: Veto,
    says: "hold a pool: body `reason`, and `for` or `until`",
    run: (c, ports) => hold(c, ports),
  },
  {
    at: "DELETE /v1/pools/:pool/hold",
    access: "operator",
    act: ["resume", "pool"],
    body: Lift,
    says: "lift the hold",
    run: (c, ports) => resume(c, ports),
  },
  {
    at: "PUT /v1/pools/:pool/demand",
    access: "operator",
    act: ["demand", "pool"],
    body: Demand,
    says: "report a queue: body `pending_jobs`, `queue_depth`, `observed_at`",
    run: (c, ports) => setDemand(c, ports),
  },
];
