/**
 * The fleet of a control plane, through its HTTP interface. How a request travels is the caller's:
 * the command line's client, or an application in the same process.
 */
import * as v from "valibot";
import { InstantText, parseInstant } from "../../schema/instant.ts";
import { integer } from "../../schema/number.ts";
import type { Fleet, FleetAnswer } from "./fleet.ts";

export type Ask = {
  /** `path` without `/api/v1`; a failure's message says what to do next. */
  call(
    method: "GET" | "POST" | "DELETE",
    path: string,
    body?: object,
  ): Promise<FleetAnswer<unknown>>;
  /** A page outside the API's prefix. */
  page(path: string): Promise<FleetAnswer<string>>;
};

const text = v.string();
const textOrNone = v.nullish(text, null);
const some = v.nullable(v.unknown());

const Nodes = v.object({
  nodes: v.array(
    v.object({
      node_id: text,
      pool: textOrNone,
      kubernetes_node: textOrNone,
      phase: text,
      health_status: text,
      cordons: v.object({ product: some, human: some }),
    }),
  ),
});
const Now = v.object({ now: InstantText });
const Events = v.object({ events: v.array(v.object({ kind: text })), next: integer });
const Plan = v.object({
  waits: v.array(v.object({ node_id: textOrNone, pool: textOrNone, message: text })),
});

/** Most that one answer holds. */
const EVENTS_PAGE = 1_000;

export function openPlaneFleet(ask: Ask): Fleet {
  const get = async <T>(
    path: string,
    schema: v.GenericSchema<unknown, T>,
  ): Promise<FleetAnswer<T>> => {
    const answer = await ask.call("GET", path);
    if (!answer.ok) return answer;
    const read = v.safeParse(schema, answer.value);
    if (read.success) return { ok: true, value: read.output };
    const at = v.getDotPath(read.issues[0]) ?? "the answer";
    const message = `the control plane's answer to GET ${path} is of another version: ${at}`;
    return { ok: false, message };
  };
  return {
    async nodes() {
      const answer = await get("/nodes", Nodes);
      if (!answer.ok) return answer;
      const value = answer.value.nodes.map((node) => ({
        id: node.node_id,
        pool: node.pool,
        kubernetesNode: node.kubernetes_node,
        phase: node.phase,
        isHealthy: /_(HEALTHY|DEGRADED)$/.test(node.health_status),
        isCordoned: node.cordons.product !== null || node.cordons.human !== null,
      }));
      return { ok: true, value };
    },
    async inject(node, fault) {
      const path = `/nodes/${encodeURIComponent(node)}/faults`;
      const answer =
        fault === null ? await ask.call("DELETE", path) : await ask.call("POST", path, fault);
      return answer.ok ? { ok: true, value: null } : answer;
    },
    async replaced(pool, ms) {
      const clock = await get("/simulation", Now);
      if (!clock.ok) return clock;
      const since = new Date(parseInstant(clock.value.now) - ms).toISOString();
      const query = new URLSearchParams({ pool, since, limit: String(EVENTS_PAGE) });
      let count = 0;
      for (let after = 0; ;) {
        query.set("after", String(after));
        const page = await get(`/events?${query.toString()}`, Events);
        if (!page.ok) return page;
        const { events, next } = page.value;
        count += events.filter(({ kind }) => kind === "node.replaced").length;
        if (events.length < EVENTS_PAGE) return { ok: true, value: count };
        after = next;
      }
    },
    async waits() {
      const answer = await get("/plan", Plan);
      if (!answer.ok) return answer;
      const value = answer.value.waits.map(({ node_id: node, pool, message }) => {
        return { node, pool, reason: message };
      });
      return { ok: true, value };
    },
    metrics: () => ask.page("/metrics"),
  };
}
