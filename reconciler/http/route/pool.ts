/** Pools: what they have, what they want, and a person's word about it. */
import type { Context } from "hono";
import * as v from "valibot";
import { InstantText } from "../../../schema/instant.ts";
import { whole } from "../../../schema/number.ts";
import { expiryMs } from "../../core/scaling/demand.ts";
import { sayQueue } from "../view/scaling.ts";
import { explainPool } from "../view/explain.ts";
import { newPoolState } from "../../core/fold/new-pool.ts";
import { holdOf } from "../view/safety.ts";
import type { App, Env, RoutePorts } from "./app.ts";
import { poolSizeRoutes } from "./pool-size.ts";
import { locatePool, nodesOf, poolView, scalingView, statusView } from "./pool-view.ts";
import { eventBy, invalid, needs, readAsked, Refusal } from "./request.ts";
import { endOf, HOLD_DEFAULT_MS, Lift, safetySource, Veto } from "./safety.ts";

export function poolRoutes(api: App, ports: RoutePorts): void {
  api.get("/pools", needs("viewer"), (c) => {
    const { pools } = ports.reconciler.activeConfig();
    return c.json({ pools: pools.map((pool) => poolView(ports, pool)) });
  });
  api.get("/pools/:pool", needs("viewer"), (c) => c.json(poolView(ports, locatePool(c, ports))));
  api.get("/pools/:pool/status", needs("viewer"), (c) =>
    c.json(statusView(ports, locatePool(c, ports))),
  );
  api.get("/pools/:pool/explain", needs("viewer"), async (c) => {
    const pool = locatePool(c, ports);
    const query = { node: null, pool: pool.name, since: null, after: null, limit: 30 };
    const events = await ports.store.events(query);
    const state = ports.reconciler.fleet().pools.get(pool.name);
    const nodes = nodesOf(ports, pool.name);
    const view = explainPool(pool, state, nodes, events, safetySource(ports));
    const scaling = scalingView(ports, pool);
    const queue = sayQueue(scaling);
    const causes = [...view.causes, ...(queue === null ? [] : [{ at: null, text: queue }])];
    return c.json({ ...view, causes, blockers: [...view.blockers, ...scaling.conditions] });
  });
  api.put("/pools/:pool/hold", needs("operator"), (c) => hold(c, ports));
  api.delete("/pools/:pool/hold", needs("operator"), (c) => resume(c, ports));
  api.put("/pools/:pool/demand", needs("operator"), (c) => setDemand(c, ports));
  poolSizeRoutes(api, ports);
}

/**
 * Automation of the pool stands still until a moment that is always known
 * (docs/reference/safety.md#holds).
 */
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
    // A hold that has run out ended by itself: nobody lifted it.
    if (!was) return;
    const why = body.reason === "" ? "" : `: ${body.reason}`;
    const message = `the hold by ${state.hold.by} is lifted${why} (it was: ${state.hold.why})`;
    draft.tell([eventBy(by, { at: now, kind: "safety.released", pool: pool.name, message })]);
  });
  return c.json({ ...statusView(ports, pool), was_held: was });
}

const jobs = v.pipe(
  whole("expected a whole number"),
  v.minValue(0),
  v.maxValue(1_000_000_000),
);

const Demand = v.strictObject({
  pending_jobs: jobs,
  queue_depth: jobs,
  /** When the queue was looked at; without it, now. */
  observed_at: v.optional(InstantText),
});

/**
 * The queue of a pool, from whatever knows it, in the unit that the pool counts: with `count: gpus`
 * these are GPUs. While it is fresh it stands before what the scheduler shows. Said again it
 * changes nothing.
 */
async function setDemand(c: Context<Env>, ports: RoutePorts): Promise<Response> {
  const pool = locatePool(c, ports);
  const { body, by, now } = await readAsked(c, ports, Demand);
  const { pending_jobs: pendingJobs, queue_depth: queueDepth, observed_at: given } = body;
  const at = given === undefined ? now : Date.parse(given);
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
    // A stored time ahead of the clock is from before the clock was set back: it yields.
    newest = before > now ? observedAt : Math.max(before, observedAt);
    if (newest === observedAt) draft.putPool({ ...state, demand });
  });
  if (newest === observedAt) return c.json(statusView(ports, pool));
  const known = new Date(newest).toISOString();
  const message = `observed_at: ${given ?? ""} is older than what is known (${known})`;
  throw new Refusal("conflict", message);
}
