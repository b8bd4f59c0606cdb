/** Events, plan, configuration, policy, version. */
import type { EventView } from "../../../schema/api.ts";
import type { Event } from "../../../schema/event.ts";
import { BUILD_DATE, COMMIT, VERSION } from "../../../schema/version.ts";
import { printConfig } from "../../config/print.ts";
import { viewPlan } from "../view/explain.ts";
import { iso } from "../view/node.ts";
import { needs, refuse, type App, type RoutePorts } from "./app.ts";

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

export function adminRoutes(api: App, ports: RoutePorts): void {
  api.get("/events", needs("viewer"), async (c) => {
    const q = c.req.query();
    const number = (name: string): number | null =>
      q[name] === undefined ? null : Number(q[name]);
    const since = q["since"] === undefined ? null : Date.parse(q["since"]);
    const limit = Math.min(number("limit") ?? 200, 1_000);
    if (since !== null && Number.isNaN(since))
      return refuse(c, "invalid_argument", "since: expected an RFC 3339 time");
    for (const [name, value] of [
      ["after", number("after")],
      ["limit", limit],
    ] as const) {
      if (value !== null && (!Number.isInteger(value) || value < 0)) {
        return refuse(c, "invalid_argument", `${name}: expected a whole number`);
      }
    }
    const after = number("after");
    const events = await ports.store.events({
      node: q["node"] ?? null,
      pool: q["pool"] ?? null,
      since,
      after,
      limit,
    });
    const last = events[events.length - 1]?.id ?? after ?? 0;
    return c.json({ events: events.map(viewEvent), next: last });
  });
  api.get("/plan", needs("viewer"), (c) => {
    const sight = ports.reconciler.lastSight();
    return c.json(viewPlan(ports.reconciler.lastPlan(), sight?.blind ?? [], sight?.frozen ?? null));
  });
  api.get("/config", needs("viewer"), (c) =>
    c.body(printConfig(ports.reconciler.activeConfig()), 200, {
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
