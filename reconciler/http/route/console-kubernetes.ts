/**
 * The Kubernetes cluster for the console, under `/api/admin/kubernetes`. Lists are arrays; a cut
 * one names the next page in `Link`. Every action has its audit row before it begins.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { ActionAnswer, ConsoleStats, FluxKind } from "../../../schema/console/cluster.ts";
import type { Asked, ConsoleCluster, FluxVerb, PodRef } from "../../core/console/cluster.ts";
import { FLUX_VERBS } from "../../core/console/cluster.ts";
import { fluxKindOf } from "../../core/console/flux.ts";
import { fleetLine, isEnded, viewNodes } from "../../core/console/node.ts";
import type { Env, Route } from "./route.ts";
import { clusterOf, isPlace, nameOf, namespace, valueOf } from "./console-cluster.ts";
import { beginAudit } from "./gate.ts";
import { invalid, queryNumber, readBody, readQuery } from "./request.ts";
import type { ConsolePorts } from "./console-cluster.ts";

/** Without `limit`; beyond it `Link` names the next page. */
const PODS_MAX = 10_000;
const EVENTS_DEFAULT = 1_000;
const EVENTS_MAX = 10_000;

/** Empty counts as absent. */
const text = v.optional(
  v.pipe(
    v.string(),
    v.maxLength(1_024),
    v.transform((given) => (given === "" ? null : given)),
  ),
);

function limitOf(most: number) {
  const expected = `expected a whole number from 1 to ${most}`;
  return v.pipe(
    queryNumber(expected, 1),
    v.check((limit) => (limit ?? 1) <= most, expected),
  );
}

const Within = v.object({ namespace });

const PodQuery = v.object({
  namespace,
  limit: limitOf(PODS_MAX),
  continue: v.optional(
    v.pipe(
      v.string(),
      v.check(
        (given) => given === "" || isPlace(given),
        "expected the value that the page before gave",
      ),
    ),
  ),
});

const EventQuery = v.object({
  namespace,
  type: text,
  kind: text,
  name: text,
  q: text,
  limit: limitOf(EVENTS_MAX),
});

const PodAction = v.object({
  namespace,
  force: v.optional(v.boolean(), false),
});

async function actOnPod(
  c: Context<Env>,
  ports: ConsolePorts,
  work: (cluster: ConsoleCluster, ref: PodRef, force: boolean) => Promise<Asked<string>>,
): Promise<Response> {
  const name = nameOf(c, "pod");
  const { namespace: inside = null, force } = await readBody(c, PodAction);
  if (inside === null) return invalid("Namespace is required");
  c.set("namespace", inside);
  const cluster = clusterOf(ports);
  await beginAudit(c, ports);
  return answer(c, await work(cluster, { namespace: inside, name }, force));
}

function nameNext(c: Context<Env>, part: Record<string, string>): void {
  const same = new URLSearchParams({ ...c.req.query(), ...part });
  c.header("Link", `<${c.req.path}?${same}>; rel="next"`);
}

function answer(c: Context<Env>, done: Asked<string>): Response {
  const message = valueOf(done);
  c.set("detail", message);
  return c.json({ success: true, message } satisfies ActionAnswer);
}

async function actOnFlux(c: Context<Env>, ports: ConsolePorts, verb: FluxVerb): Promise<Response> {
  const [inside, name] = [nameOf(c, "namespace"), nameOf(c, "name")];
  const type = kindOf(c.req.param("kind") ?? "");
  const cluster = clusterOf(ports);
  await beginAudit(c, ports);
  return answer(c, await cluster.actOnFlux({ type, namespace: inside, name }, verb));
}

function kindOf(given: string): FluxKind {
  const kind = fluxKindOf(given);
  if (kind !== null) return kind;
  const kinds = "kustomization, helmrelease, gitrepository or helmrepository";
  return invalid(`kind: expected ${kinds}`);
}

const FLUX_SAYS: Readonly<Record<FluxVerb, string>> = {
  reconcile: "request the reconciliation of a Flux object; `:kind` is such as `helmrelease`",
  suspend: "suspend it",
  resume: "resume it",
};

export const consoleKubernetesRoutes: readonly Route<ConsolePorts>[] = [
  {
    at: "GET /api/admin/kubernetes/stats",
    access: "admin",
    act: ["get", "cluster"],
    isLeaders: true,
    query: Within,
    says: "[counts, health and utilisation](console.md#the-cluster) of the cluster; `namespace`",
    run: async (c, ports) => {
      const { namespace: inside = null } = readQuery(c, Within);
      const stats = valueOf(await clusterOf(ports).stats({ namespace: inside }));
      const { reconciler } = ports;
      const fleet = fleetLine(reconciler.fleet(), reconciler.activeConfig());
      return c.json({ ...stats, fleet } satisfies ConsoleStats);
    },
  },
  {
    at: "GET /api/admin/kubernetes/pods",
    access: "admin",
    act: ["get", "cluster"],
    isLeaders: true,
    query: PodQuery,
    says: "its pods; `namespace`, `limit` (at most 10,000), `continue`; the next page is in `Link`",
    run: async (c, ports) => {
      const { namespace: inside = null, limit = PODS_MAX, ...more } = readQuery(c, PodQuery);
      const query = { namespace: inside, limit, after: more.continue ?? "" };
      const { pods, next } = valueOf(await clusterOf(ports).pods(query));
      if (next !== "") nameNext(c, { limit: String(limit), continue: next });
      return c.json(pods);
    },
  },
  {
    at: "GET /api/admin/kubernetes/nodes",
    access: "admin",
    act: ["get", "node"],
    isLeaders: true,
    says: "its Nodes, with what the fleet knows of their machines",
    run: async (c, ports) => {
      const nodes = valueOf(await clusterOf(ports).nodes());
      return c.json(viewNodes(nodes, ports.reconciler.fleet().nodes.values()));
    },
  },
  {
    at: "GET /api/admin/kubernetes/deployments",
    access: "admin",
    act: ["get", "cluster"],
    isLeaders: true,
    query: Within,
    says: "its Deployments; `namespace`",
    run: async (c, ports) => {
      const { namespace: inside = null } = readQuery(c, Within);
      return c.json(valueOf(await clusterOf(ports).deployments({ namespace: inside })));
    },
  },
  {
    at: "GET /api/admin/kubernetes/events",
    access: "admin",
    act: ["get", "cluster"],
    isLeaders: true,
    query: EventQuery,
    says: "its events, newest first; `namespace`, `type` (or a category), `kind`, `name`, `q`; `limit`",
    run: async (c, ports) => {
      const asked = readQuery(c, EventQuery);
      const { namespace: inside = null, type = null, kind = null, name = null, q = null } = asked;
      const query = { namespace: inside, type, kind, name, text: q };
      const events = valueOf(await clusterOf(ports).events(query));
      return c.json(events.slice(0, asked.limit ?? EVENTS_DEFAULT));
    },
  },
  {
    at: "POST /api/admin/kubernetes/pods/:pod/restart",
    access: "admin",
    act: ["restart", "pod"],
    body: PodAction,
    says: "evict a pod: body `namespace`, `force`; 429 while a disruption budget does not allow it",
    run: (c, ports) => {
      return actOnPod(c, ports, (cluster, ref, force) => cluster.restart(ref, { force }));
    },
  },
  {
    at: "POST /api/admin/kubernetes/pods/:pod/kill",
    access: "admin",
    act: ["kill", "pod"],
    body: PodAction,
    says: "delete a pod without grace: body `namespace`, `force`",
    run: (c, ports) => {
      const nodes = () => ports.reconciler.fleet().nodes.values();
      return actOnPod(c, ports, (cluster, ref, force) => {
        return cluster.kill(ref, { force, isEnded: (node) => isEnded(node, nodes()) });
      });
    },
  },
  {
    at: "GET /api/admin/kubernetes/flux",
    access: "admin",
    act: ["get", "cluster"],
    isLeaders: true,
    says: "Flux objects; `Warning` names kinds that are not served",
    run: async (c, ports) => {
      const { objects, absent } = valueOf(await clusterOf(ports).flux());
      // As an API server warns; the body is the list itself.
      for (const kind of absent) {
        c.header("Warning", `299 - "this cluster does not serve ${kind}"`, { append: true });
      }
      return c.json(objects);
    },
  },
  ...FLUX_VERBS.map((verb): Route<ConsolePorts> => ({
    at: `POST /api/admin/kubernetes/flux/:kind/:namespace/:name/${verb}`,
    access: "admin",
    act: [verb, "flux"],
    says: FLUX_SAYS[verb],
    run: (c, ports) => actOnFlux(c, ports, verb),
  })),
];
