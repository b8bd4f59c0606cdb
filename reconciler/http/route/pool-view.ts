/** A pool by its name, and what its routes answer about it. */
import type { Context } from "hono";
import type { PoolConfig } from "../../../schema/config.ts";
import type { Node } from "../../../schema/node.ts";
import { unitOf, wantsDemand } from "../../core/scaling/demand.ts";
import { viewScaling, type ScalingView } from "../view/scaling.ts";
import { viewPool, viewPoolStatus } from "../view/pool.ts";
import type { Env, RoutePorts } from "./app.ts";
import { Refusal, sayNear } from "./request.ts";

/** The pool that the path names. */
export function locatePool(c: Context<Env>, ports: RoutePorts): PoolConfig {
  const given = c.req.param("pool") ?? "";
  const { pools } = ports.reconciler.activeConfig();
  const pool = pools.find((one) => one.name === given);
  if (pool !== undefined) return pool;
  const names = pools.map((one) => one.name);
  throw new Refusal("not_found", `no pool ${given}${sayNear(given, names)}`);
}

export function nodesOf(ports: RoutePorts, pool: string): Node[] {
  return [...ports.reconciler.fleet().nodes.values()].filter((node) => node.pool === pool);
}

export function scalingView(ports: RoutePorts, pool: PoolConfig): ScalingView {
  const { reconciler, clock } = ports;
  const { server } = reconciler.activeConfig();
  return viewScaling(pool, reconciler.fleet().pools.get(pool.name), {
    server,
    status: reconciler.status(pool.name),
    now: clock.wallMs(),
    seen: reconciler.queueOf(pool.name),
  });
}

export function poolView(ports: RoutePorts, pool: PoolConfig): ReturnType<typeof viewPool> {
  const { reconciler, clock } = ports;
  const state = reconciler.fleet().pools.get(pool.name);
  return viewPool(pool, state, nodesOf(ports, pool.name), {
    plan: reconciler.lastPlan(),
    now: clock.wallMs(),
    scaling: scalingView(ports, pool),
  });
}

export function statusView(ports: RoutePorts, pool: PoolConfig): ReturnType<typeof viewPoolStatus> {
  const { reconciler, clock } = ports;
  const nodes = nodesOf(ports, pool.name);
  const readings = nodes.flatMap((node) => reconciler.presence.utilization(node.id) ?? []);
  const mean = readings.length === 0 ? null : readings.reduce((a, b) => a + b, 0) / readings.length;
  return viewPoolStatus(pool, reconciler.fleet().pools.get(pool.name), nodes, {
    plan: reconciler.lastPlan(),
    now: clock.wallMs(),
    utilization: mean === null ? null : Math.round(mean * 10) / 10,
    scaling: scalingView(ports, pool),
    facts: reconciler.fleet().facts,
    providers: reconciler.lastSight()?.providers ?? null,
  });
}

/** What a person should know who sets the size of a pool that something else sizes too. */
export function sizeWarnings({ name, scaling }: PoolConfig): string[] {
  const { autoscaler } = scaling;
  if (autoscaler === null) return [];
  const by = wantsDemand(autoscaler) ? ` (by its queue, in ${unitOf(autoscaler)})` : "";
  const type = `${autoscaler.type} autoscaler${by}`;
  return [`pool ${name} has a ${type}: it goes on from this size, and may change it`];
}
