/** Pools: what they have, what they want, and a person's word about it (`navarch/api.md` B3). */
import type { Context } from "hono";
import * as v from "valibot";
import type { PoolConfig } from "../../schema/config.ts";
import { nearest } from "../../schema/nearest.ts";
import type { Node } from "../../schema/node.ts";
import { explainPool } from "../view/explain.ts";
import { viewPool, viewPoolStatus } from "../view/pool.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { needs, readBody, refuse, type App, type Env, type RoutePorts } from "./app.ts";

function locate(c: Context<Env>, ports: RoutePorts): { ok: true; pool: PoolConfig } | { ok: false; response: Response } {
  const given = c.req.param("pool") ?? "";
  const { pools } = ports.reconciler.activeConfig();
  const pool = pools.find((one) => one.name === given);
  if (pool !== undefined) return { ok: true, pool };
  const near = nearest(given, pools.map((one) => one.name));
  return { ok: false, response: refuse(c, "not_found", `no pool ${given}${near === null ? "" : ` (did you mean "${near}"?)`}`) };
}

function nodesOf(ports: RoutePorts, pool: string): Node[] {
  return [...ports.reconciler.fleet().nodes.values()].filter((node) => node.pool === pool);
}

function statusView(ports: RoutePorts, pool: PoolConfig): ReturnType<typeof viewPoolStatus> {
  const nodes = nodesOf(ports, pool.name);
  const readings = nodes.flatMap((node) => ports.reconciler.presence.utilization(node.id) ?? []);
  const mean = readings.length === 0 ? null : readings.reduce((a, b) => a + b, 0) / readings.length;
  return viewPoolStatus(pool, ports.reconciler.fleet().pools.get(pool.name), nodes, {
    plan: ports.reconciler.lastPlan(),
    now: ports.clock.wallMs(),
    utilization: mean === null ? null : Math.round(mean * 10) / 10,
  });
}

export function poolRoutes(api: App, ports: RoutePorts): void {
  api.get("/pools", needs("viewer"), (c) => {
    const { pools } = ports.reconciler.activeConfig();
    const fleet = ports.reconciler.fleet();
    const now = ports.clock.wallMs();
    return c.json({
      pools: pools.map((p) => viewPool(p, fleet.pools.get(p.name), nodesOf(ports, p.name), ports.reconciler.lastPlan(), now)),
    });
  });
  api.get("/pools/:pool/status", needs("viewer"), (c) => {
    const found = locate(c, ports);
    return found.ok ? c.json(statusView(ports, found.pool)) : found.response;
  });
  api.get("/pools/:pool/explain", needs("viewer"), async (c) => {
    const found = locate(c, ports);
    if (!found.ok) return found.response;
    const { pool } = found;
    const events = await ports.store.events({ node: null, pool: pool.name, since: null, after: null, limit: 30 });
    const state = ports.reconciler.fleet().pools.get(pool.name);
    const from = { plan: ports.reconciler.lastPlan(), now: ports.clock.wallMs() };
    return c.json(explainPool(pool, state, nodesOf(ports, pool.name), events, from));
  });
  api.put("/pools/:pool/size", needs("operator"), (c) => setSize(c, ports));
}

const Size = v.strictObject({
  nodes: v.pipe(v.number("expected a whole number"), v.integer("expected a whole number"), v.minValue(0)),
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
    const message = `wanted size ${state.desired} → ${desired}${reason === "" ? "" : `: ${reason}`}`;
    draft.tell([{ at: now, kind: "pool.size", node: null, pool: pool.name, session: null, actor: `human:${by}`, message }]);
  });
  return c.json(statusView(ports, pool));
}
