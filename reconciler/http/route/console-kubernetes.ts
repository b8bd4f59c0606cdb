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
import type { App, Env, RoutePorts } from "./env.ts";
import { clusterOf, isPlace, nameOf, namespace, valueOf } from "./console-cluster.ts";
import { logRoutes } from "./console-log.ts";
import { beginAudit } from "./gate.ts";
import { asks, invalid, needs, queryNumber, readBody, readQuery, takes } from "./request.ts";

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

export function consoleKubernetesRoutes(api: App, ports: RoutePorts): void {
  const root = "/kubernetes";
  api.get(`${root}/stats`, needs("admin"), asks(Within), async (c) => {
    const { namespace: inside = null } = readQuery(c, Within);
    const stats = valueOf(await clusterOf(ports).stats({ namespace: inside }));
    const { reconciler } = ports;
    const fleet = fleetLine(reconciler.fleet(), reconciler.activeConfig());
    return c.json({ ...stats, fleet } satisfies ConsoleStats);
  });
  api.get(`${root}/pods`, needs("admin"), asks(PodQuery), async (c) => {
    const { namespace: inside = null, limit = PODS_MAX, ...more } = readQuery(c, PodQuery);
    const query = { namespace: inside, limit, after: more.continue ?? "" };
    const { pods, next } = valueOf(await clusterOf(ports).pods(query));
    if (next !== "") nameNext(c, { limit: String(limit), continue: next });
    return c.json(pods);
  });
  api.get(`${root}/nodes`, needs("admin"), async (c) => {
    const nodes = valueOf(await clusterOf(ports).nodes());
    return c.json(viewNodes(nodes, ports.reconciler.fleet().nodes.values()));
  });
  api.get(`${root}/deployments`, needs("admin"), asks(Within), async (c) => {
    const { namespace: inside = null } = readQuery(c, Within);
    return c.json(valueOf(await clusterOf(ports).deployments({ namespace: inside })));
  });
  api.get(`${root}/events`, needs("admin"), asks(EventQuery), async (c) => {
    const asked = readQuery(c, EventQuery);
    const { namespace: inside = null, type = null, kind = null, name = null, q = null } = asked;
    const query = { namespace: inside, type, kind, name, text: q };
    const events = valueOf(await clusterOf(ports).events(query));
    return c.json(events.slice(0, asked.limit ?? EVENTS_DEFAULT));
  });
  logRoutes(api, ports);
  podActions(api, ports);
  fluxRoutes(api, ports);
}

function nameNext(c: Context<Env>, part: Record<string, string>): void {
  const same = new URLSearchParams({ ...c.req.query(), ...part });
  c.header("Link", `<${c.req.path}?${same}>; rel="next"`);
}

function podActions(api: App, ports: RoutePorts): void {
  const act = async (
    c: Context<Env>,
    work: (cluster: ConsoleCluster, ref: PodRef, force: boolean) => Promise<Asked<string>>,
  ): Promise<Response> => {
    const name = nameOf(c, "pod");
    c.set("target", name);
    const { namespace: inside = null, force } = await readBody(c, PodAction);
    if (inside === null) return invalid("Namespace is required");
    c.set("namespace", inside);
    const cluster = clusterOf(ports);
    await beginAudit(c, ports);
    return answer(c, await work(cluster, { namespace: inside, name }, force));
  };
  api.post("/kubernetes/pods/:pod/restart", needs("admin"), takes(PodAction), (c) => {
    return act(c, (cluster, ref, force) => cluster.restart(ref, { force }));
  });
  api.post("/kubernetes/pods/:pod/kill", needs("admin"), takes(PodAction), (c) => {
    const nodes = () => ports.reconciler.fleet().nodes.values();
    return act(c, (cluster, ref, force) => {
      return cluster.kill(ref, { force, isEnded: (node) => isEnded(node, nodes()) });
    });
  });
}

function answer(c: Context<Env>, done: Asked<string>): Response {
  const message = valueOf(done);
  c.set("detail", message);
  return c.json({ success: true, message } satisfies ActionAnswer);
}

function fluxRoutes(api: App, ports: RoutePorts): void {
  api.get("/kubernetes/flux", needs("admin"), async (c) => {
    const { objects, absent } = valueOf(await clusterOf(ports).flux());
    // As an API server warns; the body is the list itself.
    for (const kind of absent) {
      c.header("Warning", `299 - "this cluster does not serve ${kind}"`, { append: true });
    }
    return c.json(objects);
  });
  for (const verb of FLUX_VERBS) {
    const path = `/kubernetes/flux/:kind/:namespace/:name/${verb}`;
    api.post(path, needs("admin"), (c) => actOnFlux(c, ports, verb));
  }
}

async function actOnFlux(c: Context<Env>, ports: RoutePorts, verb: FluxVerb): Promise<Response> {
  const [inside, name] = [nameOf(c, "namespace"), nameOf(c, "name")];
  c.set("namespace", inside);
  c.set("target", name);
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
