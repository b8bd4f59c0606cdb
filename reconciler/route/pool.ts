/** Pools: what they have, what they want, and a person's word about it (`navarch/api.md` B3). */
import type { Context } from "hono";
import * as v from "valibot";
import type { PoolConfig } from "../../schema/config.ts";
import { InstantText } from "../../schema/instant.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Node } from "../../schema/node.ts";
import { expiryMs } from "../demand/demand.ts";
import { viewScaling, type ScalingView } from "../demand/view.ts";
import { explainPool } from "../view/explain.ts";
import { viewPool, viewPoolStatus } from "../view/pool.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { holdOf } from "../view/safety.ts";
import { needs, readBody, refuse, type App, type Env, type RoutePorts } from "./app.ts";
import { endOf, HOLD_DEFAULT_MS, Lift, tellVeto, Veto } from "./safety.ts";

function locate(
  c: Context<Env>,
  ports: RoutePorts,
): { ok: true; pool: PoolConfig } | { ok: false; response: Response } {
  const given = c.req.param("pool") ?? "";
  const { pools } = ports.reconciler.activeConfig();
  const pool = pools.find((one) => one.name === given);
  if (pool !== undefined) return { ok: true, pool };
  const near = nearest(
    given,
    pools.map((one) => one.name),
  );
  return {
    ok: false,
    response: refuse(
      c,
      "not_found",
      `no pool ${given}${near === null ? "" : ` (did you mean "${near}"?)`}`,
    ),
  };
}

function nodesOf(ports: RoutePorts, pool: string): Node[] {
  return [...ports.reconciler.fleet().nodes.values()].filter((node) => node.pool === pool);
}

function scalingView(ports: RoutePorts, pool: PoolConfig): ScalingView {
  const { reconciler, clock } = ports;
  const { server } = reconciler.activeConfig();
  const from = { server, standing: reconciler.standing(pool.name), now: clock.wallMs() };
  return viewScaling(pool, reconciler.fleet().pools.get(pool.name), from);
}

function statusView(ports: RoutePorts, pool: PoolConfig): ReturnType<typeof viewPoolStatus> {
  const nodes = nodesOf(ports, pool.name);
  const readings = nodes.flatMap((node) => ports.reconciler.presence.utilization(node.id) ?? []);
  const mean = readings.length === 0 ? null : readings.reduce((a, b) => a + b, 0) / readings.length;
  return viewPoolStatus(pool, ports.reconciler.fleet().pools.get(pool.name), nodes, {
    plan: ports.reconciler.lastPlan(),
    now: ports.clock.wallMs(),
    utilization: mean === null ? null : Math.round(mean * 10) / 10,
    scaling: scalingView(ports, pool),
    facts: ports.reconciler.fleet().facts,
  });
}

export function poolRoutes(api: App, ports: RoutePorts): void {
  api.get("/pools", needs("viewer"), (c) => {
    const { pools } = ports.reconciler.activeConfig();
    const fleet = ports.reconciler.fleet();
    const from = { plan: ports.reconciler.lastPlan(), now: ports.clock.wallMs() };
    const view = (pool: PoolConfig): ReturnType<typeof viewPool> => {
      const scaling = scalingView(ports, pool);
      return viewPool(pool, fleet.pools.get(pool.name), nodesOf(ports, pool.name), {
        ...from,
        scaling,
      });
    };
    return c.json({ pools: pools.map(view) });
  });
  api.get("/pools/:pool/status", needs("viewer"), (c) => {
    const found = locate(c, ports);
    return found.ok ? c.json(statusView(ports, found.pool)) : found.response;
  });
  api.get("/pools/:pool/explain", needs("viewer"), async (c) => {
    const found = locate(c, ports);
    if (!found.ok) return found.response;
    const { pool } = found;
    const events = await ports.store.events({
      node: null,
      pool: pool.name,
      since: null,
      after: null,
      limit: 30,
    });
    const state = ports.reconciler.fleet().pools.get(pool.name);
    const from = {
      fleet: ports.reconciler.fleet(),
      config: ports.reconciler.activeConfig(),
      sight: ports.reconciler.lastSight(),
      plan: ports.reconciler.lastPlan(),
      broken: ports.reconciler.failure(),
      now: ports.clock.wallMs(),
    };
    return c.json(explainPool(pool, state, nodesOf(ports, pool.name), events, from));
  });
  api.put("/pools/:pool/size", needs("operator"), (c) => setSize(c, ports));
  api.put("/pools/:pool/hold", needs("operator"), (c) => hold(c, ports));
  api.delete("/pools/:pool/hold", needs("operator"), (c) => resume(c, ports));
  api.put("/pools/:pool/demand", needs("operator"), (c) => setDemand(c, ports));
}

const Size = v.strictObject({
  nodes: v.pipe(
    v.number("expected a whole number"),
    v.integer("expected a whole number"),
    v.minValue(0),
  ),
  reason: v.optional(v.pipe(v.string(), v.maxLength(1_024)), ""),
  clamp: v.optional(v.boolean(), false),
});

async function setSize(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const found = locate(c, ports);
  if (!found.ok) return found.response;
  const body = await readBody(c, Size);
  if (!body.ok) return body.response;
  const { pool } = found;
  const { minNodes, maxNodes } = pool.scaling;
  const { nodes, clamp, reason } = body.value;
  if (!clamp && (nodes < minNodes || nodes > maxNodes)) {
    const message = `${nodes} is outside ${minNodes}…${maxNodes} of pool ${pool.name}`;
    return refuse(c, "out_of_bounds", message, { min_nodes: minNodes, max_nodes: maxNodes });
  }
  const desired = Math.min(Math.max(nodes, minNodes), maxNodes);
  const now = ports.clock.wallMs();
  const by = c.get("principal").name;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name) ?? newPoolState(pool.name, minNodes, now);
    draft.putPool({ ...state, desired, desiredBy: `human:${by}`, desiredAt: now });
    const why = reason === "" ? "" : `: ${reason}`;
    const message = `wanted size ${state.desired} → ${desired}${why}`;
    draft.tell([
      {
        at: now,
        kind: "pool.size",
        node: null,
        pool: pool.name,
        session: null,
        actor: `human:${by}`,
        message,
      },
    ]);
  });
  return c.json(statusView(ports, pool));
}

/** Automation of the pool stands still until a moment that is always known (safety.md §11). */
async function hold(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const found = locate(c, ports);
  if (!found.ok) return found.response;
  const body = await readBody(c, Veto);
  if (!body.ok) return body.response;
  const { pool } = found;
  const now = ports.clock.wallMs();
  const end = endOf(body.value, now);
  if (!end.ok) return refuse(c, "invalid_argument", end.message);
  const until = end.until ?? now + HOLD_DEFAULT_MS;
  const by = c.get("principal").name;
  const { reason: why } = body.value;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
    draft.putPool({ ...state, hold: { by, why, until } });
    const message = `pool ${pool.name} is held until ${new Date(until).toISOString()}: ${why}`;
    draft.tell([tellVeto("safety.frozen", { pool: pool.name, by, now, message })]);
  });
  return c.json(statusView(ports, pool));
}

async function resume(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const found = locate(c, ports);
  if (!found.ok) return found.response;
  const body = await readBody(c, Lift);
  if (!body.ok) return body.response;
  const { pool } = found;
  const now = ports.clock.wallMs();
  const by = c.get("principal").name;
  let was = false;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name);
    if (state === null || state.hold === null) return;
    draft.putPool({ ...state, hold: null });
    was = holdOf(state, now) !== null;
    // A hold that has run out ended by itself: nobody lifted it.
    if (!was) return;
    const why = body.value.reason === "" ? "" : `: ${body.value.reason}`;
    const message = `the hold by ${state.hold.by} is lifted${why} (it was: ${state.hold.why})`;
    draft.tell([tellVeto("safety.released", { pool: pool.name, by, now, message })]);
  });
  return c.json({ ...statusView(ports, pool), was_held: was });
}

const jobs = v.pipe(
  v.number("expected a whole number"),
  v.integer("expected a whole number"),
  v.minValue(0),
  v.maxValue(1_000_000_000),
);

const Demand = v.strictObject({
  pending_jobs: jobs,
  queue_depth: jobs,
  /** When the queue was looked at; without it, now. */
  observed_at: v.optional(InstantText),
});

/** The queue of a pool, from whatever knows it (promise N63). Said again it changes nothing. */
async function setDemand(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const found = locate(c, ports);
  if (!found.ok) return found.response;
  const body = await readBody(c, Demand);
  if (!body.ok) return body.response;
  const { pool } = found;
  const now = ports.clock.wallMs();
  const { pending_jobs: pendingJobs, queue_depth: queueDepth, observed_at: given } = body.value;
  const at = given === undefined ? now : Date.parse(given);
  const limitMs = expiryMs(ports.reconciler.activeConfig().server.autoscaleIntervalMs);
  if (Math.abs(now - at) > limitMs) {
    const apart = `${Math.round(Math.abs(now - at) / 1_000)} s ${at < now ? "ago" : "ahead"}`;
    const limit = `demand counts for ${limitMs / 1_000} s`;
    const message = `observed_at: ${given ?? ""} is ${apart}; ${limit}`;
    return refuse(c, "invalid_argument", message);
  }
  const observedAt = Math.min(at, now);
  const demand = { pendingJobs, queueDepth, observedAt, by: c.get("principal").name };
  let newest = observedAt;
  await ports.reconciler.change((draft) => {
    const state = draft.pool(pool.name) ?? newPoolState(pool.name, pool.scaling.minNodes, now);
    const before = state.demand?.observedAt ?? 0;
    // A stored time ahead of the clock is from before the clock was set back: it yields.
    newest = before > now ? observedAt : Math.max(before, observedAt);
    if (newest === observedAt) draft.putPool({ ...state, demand });
  });
  if (newest === observedAt) return c.json(statusView(ports, pool));
  const known = new Date(newest).toISOString();
  const message = `observed_at: ${given ?? ""} is older than what is known (${known})`;
  return refuse(c, "conflict", message);
}
