/** Events, plan, configuration, policy, version. */
import * as v from "valibot";
import type { EventView } from "../../../schema/api.ts";
import type { Event } from "../../../schema/event.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../../../schema/version.ts";
import { formatConfig } from "../../config/secret.ts";
import { viewPlan } from "../view/explain.ts";
import { iso } from "../view/node.ts";
import type { App, RoutePorts } from "./app.ts";
import { needs, queryNumber, queryTime, readQuery } from "./request.ts";

function viewEvent(event: Event): EventView {
  return {
    id: event.id,
    at: iso(event.at),
    kind: event.kind,
    node_id: event.node,
    pool: event.pool,
    session_id: event.session,
    actor: event.actor,
    message: event.message,
  };
}

const EventsQuery = v.object({
  node: v.optional(v.string()),
  pool: v.optional(v.string()),
  since: queryTime,
  after: queryNumber("expected a whole number"),
  limit: queryNumber("expected a whole number"),
});

export function adminRoutes(api: App, ports: RoutePorts): void {
  api.get("/events", needs("viewer"), async (c) => {
    const { limit: most = 200, ...query } = readQuery(c, EventsQuery);
    const { node = null, pool = null, since = null, after = null } = query;
    const limit = Math.min(most, 1_000);
    const events = await ports.store.events({ node, pool, since, after, limit });
    const last = events[events.length - 1]?.id ?? after ?? 0;
    return c.json({ events: events.map(viewEvent), next: last });
  });
  api.get("/plan", needs("viewer"), (c) => {
    const sight = ports.reconciler.lastSight();
    return c.json(viewPlan(ports.reconciler.lastPlan(), sight?.blind ?? [], sight?.frozen ?? null));
  });
  api.get("/config", needs("viewer"), (c) =>
    c.body(formatConfig(ports.reconciler.activeConfig()), 200, {
      "Content-Type": "application/json",
    }),
  );
  api.get("/policy", needs("viewer"), (c) => {
    const { policy } = ports.reconciler.activePolicy();
    const rules = policy.rules.map((rule) => ({
      ...rule,
      matches: ports.metrics.matchCount(rule.name),
    }));
    return c.json({ name: policy.name, version: policy.version, hash: policy.hash, rules });
  });
  api.get("/whoami", (c) => {
    const { role, name, shared } = c.get("principal");
    return c.json({ role, name, shared });
  });
  api.get("/version", needs("viewer"), (c) =>
    c.json({
      version: VERSION,
      commit: COMMIT,
      build_date: BUILD_DATE,
      runtime: `bun ${Bun.version}`,
      platform: `${process.platform}-${process.arch}`,
    }),
  );
}
