/**
 * What HorizontalPodAutoscalers of the cluster did: `/api/hpa-events`. A service is the scaled
 * object, named by namespace and name: `NAMESPACE%2FNAME`, or the name alone where it is unique.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { HpaEvents, ServiceTimeline } from "../../../schema/console/hpa.ts";
import type { ServiceRef } from "../../core/console/hpa.ts";
import type { HpaLog } from "../../core/console/hpa-log.ts";
import { HPA_EVENTS_MAX } from "../../core/console/hpa-log.ts";
import type { Env, Route } from "./route.ts";
import { clusterOf, isObjectName, isPlace, namespace, valueOf } from "./console-cluster.ts";
import { invalid, queryNumber, readQuery, Refusal } from "./request.ts";
import type { ConsolePorts } from "./console-cluster.ts";
import type { QueuePorts } from "./queue.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_EXPECTED = `expected a whole number from 1 to ${HPA_EVENTS_MAX}`;

const EventQuery = v.object({
  namespace,
  limit: v.pipe(
    queryNumber(LIMIT_EXPECTED, 1),
    v.check((limit) => (limit ?? 1) <= HPA_EVENTS_MAX, LIMIT_EXPECTED),
  ),
});
const Within = v.object({ namespace });

export function viewTimeline(
  { queue }: Pick<QueuePorts, "queue">,
  log: HpaLog,
  ref: ServiceRef,
): ServiceTimeline {
  const autoscalers = log.timeline.of(ref);
  return {
    service: `${ref.namespace}/${ref.service}`,
    until: new Date(log.timeline.at()).toISOString(),
    autoscalers: autoscalers.map(({ hpa, samples }) => ({ hpa: hpa.name, samples })),
    events: log.events(ref, HPA_EVENTS_MAX),
    queue: queue.depths(),
  };
}

function serviceOf(c: Context<Env>, log: HpaLog, asked: string | null): ServiceRef {
  const text = c.req.param("service") ?? "";
  const [inside, name] = text.includes("/") ? text.split("/") : [asked, text];
  const isValid = text.includes("/") ? isPlace(text) : isObjectName(text);
  if (!isValid || name === undefined) return invalid("service: expected NAME or NAMESPACE%2FNAME");
  if (asked !== null && inside !== asked) return invalid("namespace: not that of the service");
  const found = log.named(name, inside ?? null);
  const [one] = found;
  if (one === undefined) {
    throw new Refusal("not_found", `no HorizontalPodAutoscaler scales ${text}`);
  }
  if (found.length === 1) return one;
  const places = found.map((each) => each.namespace).sort();
  throw new Refusal("conflict", `${name} is in several namespaces: ${places.join(", ")}`);
}

const logOf = async (ports: ConsolePorts): Promise<HpaLog> =>
  valueOf(await clusterOf(ports).hpas());

export const hpaEventRoutes: readonly Route<ConsolePorts & QueuePorts>[] = [
  {
    at: "GET /api/hpa-events",
    access: "admin",
    isLeaders: true,
    query: EventQuery,
    says:
      "what [HorizontalPodAutoscalers](queue.md#scaling-pods) did, newest first; `limit` (100), " +
      "`namespace`; only from internal networks, as all of `/api/hpa-events`",
    run: async (c, ports) => {
      const { namespace: inside = null, limit = LIMIT_DEFAULT } = readQuery(c, EventQuery);
      const all = (await logOf(ports)).events(null, HPA_EVENTS_MAX);
      const events = all.filter((one) => inside === null || one.namespace === inside);
      return c.json({ events: events.slice(0, limit) } satisfies HpaEvents);
    },
  },
  {
    at: "GET /api/hpa-events/:service",
    access: "admin",
    isLeaders: true,
    query: EventQuery,
    says: "of one service: `NAME`, or `NAMESPACE%2FNAME`",
    run: async (c, ports) => {
      const { namespace: inside = null, limit = LIMIT_DEFAULT } = readQuery(c, EventQuery);
      const log = await logOf(ports);
      const events = log.events(serviceOf(c, log, inside), limit);
      return c.json({ events } satisfies HpaEvents);
    },
  },
  {
    at: "GET /api/hpa-events/:service/timeline",
    access: "admin",
    isLeaders: true,
    query: Within,
    says: "replicas, metrics, events and the queue's depth of the last two hours",
    run: async (c, ports) => {
      const { namespace: inside = null } = readQuery(c, Within);
      const log = await logOf(ports);
      return c.json(viewTimeline(ports, log, serviceOf(c, log, inside)));
    },
  },
];
