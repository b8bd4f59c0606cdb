/**
 * `docs/api.md`: every route of the HTTP API, with method, path and role as they are registered. A
 * route without a meaning, a meaning without a route, or a `/v1` route without a role is an error.
 */
import type { GenericSchema } from "valibot";
import { openApp } from "../../reconciler/http/route/app.ts";
import type { ReleaseKey } from "../../reconciler/security/release-key.ts";
import { openWorldApp } from "../world/app.ts";
import { poolYaml, World } from "../world/world.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

/** In the order of the page. */
const MEANING: Readonly<Record<string, string>> = {
  "GET /v1/whoami": "role and name of the caller",
  "GET /v1/nodes": "nodes; filters `pool`, `status`, `health`, `label`; `limit`, `cursor`",
  "GET /v1/nodes/:id": "a node with its health events",
  "GET /v1/nodes/:id/explain": "why a node is as it is, and what happens next",
  "GET /v1/nodes/:id/bootstrap":
    "set-up attempts of a node, with their output; commands for `operator` only",
  "POST /v1/nodes/:id/cordon": "order: keep new work off; body `reason`, `dry_run`",
  "POST /v1/nodes/:id/uncordon": "order: allow new work again; body `reason`, `dry_run`",
  "POST /v1/nodes/:id/drain": "order: move work off; body `reason`, `dry_run`, `timeout`, `force`",
  "POST /v1/nodes/:id/replace": "order: drain, terminate, buy again; body as for `drain`",
  "POST /v1/nodes/:id/terminate": "order: drain, terminate; body as for `drain`",
  "DELETE /v1/nodes/:id": "forget an unmanaged node that is gone",
  "GET /v1/commands": "orders and their outcome; filter `node`",
  "GET /v1/commands/:id": "an order",
  "GET /v1/instances": "what the provider bills; filters `pool`, `provider`, `state`, `region`",
  "GET /v1/instances/:id": "an instance",
  "GET /v1/instances/:id/explain": "as for its node",
  "GET /v1/pools": "pools",
  "GET /v1/pools/:pool": "a pool",
  "GET /v1/pools/:pool/status": "size, health, queue and limits of a pool",
  "GET /v1/pools/:pool/explain": "why a pool is as it is, and what happens next",
  "GET /v1/pools/:pool/members": "target size and nodes, for an external autoscaler",
  "PUT /v1/pools/:pool/size": "set the size: body `nodes`, `clamp`",
  "POST /v1/pools/:pool/grow": "raise the size: body `by`, `clamp`",
  "POST /v1/pools/:pool/shrink-target": "lower the size without choosing nodes: body `by` or `to`",
  "POST /v1/pools/:pool/remove": "remove named nodes: body `nodes`",
  "PUT /v1/pools/:pool/demand": "report a queue: body `pending_jobs`, `queue_depth`, `observed_at`",
  "PUT /v1/pools/:pool/hold": "hold a pool: body `reason`, and `for` or `until`",
  "DELETE /v1/pools/:pool/hold": "lift the hold",
  "GET /v1/agentpools": "[AgentPools](reference/agentpool.md): pools of worker pods",
  "GET /v1/agentpools/:namespace/:pool": "an AgentPool, why it does not grow, workers, claims",
  "GET /v1/pools/:namespace/:pool":
    "the same, unless `:pool` is `status`, `explain` or `members`, as of a pool of machines",
  "GET /v1/pools/:namespace/:pool/claims": "open claims of an AgentPool, in order of arrival",
  "POST /v1/pools/:namespace/:pool/claims":
    "take one slot: body `label`, `ttl` (`5m`, or seconds), `id`; 201 with `worker` and `slot` " +
    "or 202 with `position` and `because`; `id` or `Idempotency-Key` is the claim's id, " +
    "and asked again under it the same claim is answered",
  "GET /v1/claims": "open claims of all AgentPools",
  "GET /v1/claims/:id": "a claim; ended ones are kept for a day",
  "DELETE /v1/claims/:id": "release a claim, or cancel a queued one; repeated, it stays ended",
  "GET /v1/cost": "what the fleet costs; `month` (YYYY-MM) or `since` (YYYY-MM-DD), UTC",
  "GET /v1/safety": "what is held back, budgets, spend, quarantined GPUs",
  "GET /v1/fleets": "this fleet's id, and other fleets with pools of the same names",
  "POST /v1/fleets/:id/adopt": "take over a fleet whose state was lost: body `reason`",
  "POST /v1/fleets/:id/ignore": "leave another fleet alone: body `reason`",
  "PUT /v1/safety/freeze": "freeze the fleet: body `reason`, and `for` or `until`",
  "DELETE /v1/safety/freeze": "lift the freeze",
  "PUT /v1/safety/trusted/:rule": "re-enable a suspended rule: body `reason`",
  "DELETE /v1/safety/lemons/:uuid": "forgive a quarantined GPU: body `reason`",
  "POST /v1/slurm/resume":
    "Slurm resumes nodes of pools with `slurm.power_save`: body `nodes` (a hostlist), `jobs`",
  "POST /v1/slurm/suspend": "Slurm suspends nodes: body `nodes`",
  "POST /v1/slurm/resume-fail": "nodes came up too late for Slurm: body `nodes`",
  "GET /v1/simulation": "whether faults may be injected, and which providers fail on purpose",
  "GET /v1/nodes/:id/faults": "faults injected into a simulated machine and not cleared",
  "POST /v1/nodes/:id/faults":
    "inject a fault: body `kind` (`xid` with `code`, `ecc`, `thermal`, `nvlink`, `lost`), `gpu`",
  "DELETE /v1/nodes/:id/faults": "clear every injected fault of a machine",
  "PUT /v1/providers/:name/failure":
    "let a simulated provider fail: body `class`, `for`, `calls`, `delay`",
  "DELETE /v1/providers/:name/failure": "end that",
  "GET /v1/plan": "pending actions and waits",
  "GET /v1/events":
    "events; filters `node`, `pool`, `kind`, `since`, `q` (text); pass `next` as `after`, " +
    "or go back with `before`; `limit`",
  "GET /v1/findings": "recorded findings; `since`; pass `next` as `after`; `limit`",
  "GET /v1/policy": "the active health policy",
  "GET /v1/config": "the active configuration, without secrets",
  "GET /v1/config/status": "the files, whether they are in force, and why not",
  "POST /v1/config/diff": "what another configuration changes: `config`, or the files now",
  "POST /v1/config/reload": "read the files again; `allow_pool_removal` ends nodes of gone pools",
  "GET /v1/version": "version of the control plane",
  "GET /v1/trust": "how agents connect, and which key they trust",
  "GET /v1/slurm": "state of Slurm, and names on which it and the configuration differ",
  "GET /v1/slurm/rights": "whether Slurm lets the control plane change nodes",
  "GET /v1/kubernetes": "state of the cluster",
  "GET /v1/kubernetes/permissions": "permissions that are missing in the cluster",
  "GET /v1/store/quarantine": "unreadable stored rows; their `text` for `admin` only",
  "GET /v1/upgrade": "the newest upgrade of agents",
  "POST /v1/upgrade": "start an upgrade: body `to`, `max_unavailable`, `deadline`",
  "DELETE /v1/upgrade": "stop the upgrade: body `reason`, `rollback`",
  "GET /v1/tokens": "tokens of people; with `node`, the credential of a node",
  "POST /v1/tokens": "create a token: body `role`, `label`, `expires_in`",
  "DELETE /v1/tokens/:id": "revoke a token",
  "POST /v1/tokens/:id/rotate": "rotate the credential `node:ID`",
  "POST /v1/console/links":
    "a link that logs a browser in once, as the caller; `path` on the same address, 10 minutes",
  "GET /v1/join-tokens": "join tokens",
  "POST /v1/join-tokens": "create a join token: body `pool`, `node`, `uses`, `ttl`, `label`",
  "DELETE /v1/join-tokens/:id": "revoke a join token",
  "GET /v1/audit":
    "audit rows; filters `since`, `by` (an author, or a person by the labels of tokens), " +
    "`refused`, `verb`, `object`; `limit`",
  "GET /v1/audit/export":
    "every matching row as a file; filters of `/api/admin/audit`; `format` (`jsonl` or `csv`)",
  "GET /api/admin/audit":
    "the same for the console; filters `actor`, `verb`, `kind`, `object`, `result`, `until`, " +
    "`since` (a time, or `boot`); " +
    "`limit`, `cursor`; the next page is in `Link`; only from internal networks",
  "GET /api/admin/kubernetes/stats":
    "[counts, health and utilisation](console.md#the-cluster) of the cluster; `namespace`",
  "GET /api/admin/kubernetes/pods":
    "its pods; `namespace`, `limit` (at most 10,000), `continue`; the next page is in `Link`",
  "GET /api/admin/kubernetes/nodes": "its Nodes, with what the fleet knows of their machines",
  "GET /api/admin/kubernetes/deployments": "its Deployments; `namespace`",
  "GET /api/admin/kubernetes/events":
    "its events, newest first; `namespace`, `type` (or a category), `kind`, `name`, `q`; `limit`",
  "GET /api/admin/kubernetes/logs/:pod":
    "a container's log; `namespace`, `container`, `tailLines`, `previous`; with `follow=true` " +
    "server-sent events",
  "POST /api/admin/kubernetes/pods/:pod/restart":
    "evict a pod: body `namespace`, `force`; 429 while a disruption budget does not allow it",
  "POST /api/admin/kubernetes/pods/:pod/kill":
    "delete a pod without grace: body `namespace`, `force`",
  "GET /api/admin/kubernetes/flux": "Flux objects; `Warning` names kinds that are not served",
  "POST /api/admin/kubernetes/flux/:kind/:namespace/:name/reconcile":
    "request the reconciliation of a Flux object; `:kind` is such as `helmrelease`",
  "POST /api/admin/kubernetes/flux/:kind/:namespace/:name/suspend": "suspend it",
  "POST /api/admin/kubernetes/flux/:kind/:namespace/:name/resume": "resume it",
  "POST /api/admin/kubernetes/nodes/:name/cordon": "cordon the machine of a Node: body `reason`",
  "POST /api/admin/kubernetes/nodes/:name/uncordon":
    "uncordon it; a cordon of others is refused with its owner's name",
  "POST /api/admin/kubernetes/nodes/:name/drain": "drain it",
  "POST /api/admin/kubernetes/nodes/:name/replace": "replace it",
  "POST /api/allocations":
    "[profile of a workload](queue.md#workload-profiles): body `quality`, `tier`, `priority`; " +
    "only from internal networks",
  "GET /api/queue/tasks":
    "tasks of the [demand queue](queue.md), newest first; filter `state`; `limit`, `cursor`; " +
    "the next page is in `Link`; only from internal networks, as all of `/api/queue`",
  "POST /api/queue/tasks":
    "submit a task: body `class`, `priority`, `type`, `pool`, `gpus`, `hold`, `payload`; under " +
    "an `Idempotency-Key`, its id, it is one task; 429 with `Retry-After` when the class is full",
  "GET /api/queue/tasks/:id": "a task; finished ones are kept for 7 days",
  "DELETE /api/queue/tasks/:id": "cancel a task that waits or runs; 409 if it is finished",
  "POST /api/queue/tasks/:id/release": "end the hold of a task",
  "POST /api/queue/tasks/lease":
    "take tasks to run: body `worker`, `types`, `pool`, `max`; `Idempotency-Key` is the lease",
  "POST /api/queue/tasks/:id/heartbeat": "keep a lease: body `lease`",
  "POST /api/queue/tasks/:id/complete": "a task is done: body `lease`, `result`",
  "POST /api/queue/tasks/:id/fail": "an attempt failed: body `lease`, `error`",
  "GET /api/hpa-events":
    "what [HorizontalPodAutoscalers](queue.md#scaling-pods) did, newest first; `limit` (100), " +
    "`namespace`; only from internal networks, as all of `/api/hpa-events`",
  "GET /api/hpa-events/:service": "of one service: `NAME`, or `NAMESPACE%2FNAME`",
  "GET /api/hpa-events/:service/timeline":
    "replicas, metrics, events and the queue's depth of the last two hours",
  "POST /api/pipelines":
    "report a run of a CI/CD pipeline; no token, but `X-Hub-Signature-256` under " +
    "`server.console.pipeline_secret_file`; 202 with `accepted` ([console](console.md#pipelines))",
  "GET /api/pipelines": "reported runs, newest first, with stages and suggestions; `limit`",
  "POST /v1/workflows":
    "run a workflow; the body is its YAML, or JSON with `workflow` and `templates`; " +
    "`cleanup=true`; 202; refused without `simulation.enabled` and a cluster",
  "GET /v1/workflows": "runs of workflows, newest first",
  "GET /v1/workflows/:id": "a run with its tasks; `lost` if its control plane ended first",
  "GET /v1/workflows/:id/events":
    "what a run tells: server-sent events, or pages as JSON; `after`, `wait_ms`",
  "POST /v1/workflows/:id/cancel": "end a run; one that waits never begins",
  "POST /v1/admin/backup": "a copy of the embedded database",
  "POST /v1/admin/activations": "the `last` activations, for support",
  "POST /v1/agent/join": "a machine becomes a node",
  "POST /v1/agent/report": "an agent's report; also the WebSocket `/v1/agent/stream`",
  "GET /rest/pool": "AgentPools, for clients of Velda's API",
  "GET /rest/pool/:pool": "one of them; `:pool` is `NAME`, or `NAMESPACE%2FNAME`; `namespace`",
  "GET /rest/pool/:pool/watch": "its status now and after each change; one JSON object a line",
  "GET /openapi.json": "this API in OpenAPI 3.1",
  "GET /healthz": "the process runs",
  "GET /readyz": "ready, and a line for each part that is degraded; or 503 with the reasons",
  "GET /metrics": "[metrics](metrics.md)",
  "GET /asset/:name": "style, script and icon of the [console](console.md)",
  "GET /ca.pem": "the fleet's own certificate authority",
  "GET /install.sh": "the installer of the agent",
  "GET /releases/key.pem": "the key that signs releases",
  "GET /releases/:version/:name": "a file of a release",
  "GET /NavarchProject/navarch/releases/latest/download/:name": "as the guide downloads it",
  "GET /NavarchProject/navarch/releases/download/:version/:name": "as the guide downloads it",
};

/** Access to routes that are not bound to a role. */
const ACCESS: Readonly<Record<string, string>> = {
  "GET /v1/whoami": "every role",
  "POST /v1/agent/join": "join token",
  "POST /v1/agent/report": "`node`, `admin`",
  "GET /metrics": "none; `viewer` with `metrics_auth`",
};

export type DescribedRoute = {
  method: string;
  path: string;
  access: string;
  meaning: string;
  /** What it declares to read; `null` = nothing. */
  body: GenericSchema | null;
  query: GenericSchema | null;
};

/** Every registered route, by `METHOD path`. */
async function readRoutes(): Promise<ReadonlyMap<string, DescribedRoute>> {
  const world = await World.open(poolYaml(1, ""));
  try {
    const releases = { find: async () => null, latest: async () => null };
    const install = { releases, key: {} as ReleaseKey, server: () => null };
    const { routes } = openApp({ ...openWorldApp(world).ports, install });
    const found = new Map<string, DescribedRoute>();
    for (const { method, path, handler } of routes) {
      const name = `${method} ${path}`;
      if (method === "ALL" || path.startsWith("/api/v1/")) continue;
      const meaning = MEANING[name] ?? "";
      const bare = { method, path, access: "", meaning, body: null, query: null };
      const route: DescribedRoute = found.get(name) ?? bare;
      if ("role" in handler) route.access = code(String(handler.role));
      if ("body" in handler) route.body = handler.body as GenericSchema;
      if ("query" in handler) route.query = handler.query as GenericSchema;
      found.set(name, route);
    }
    for (const [name, route] of found) if (route.access === "") route.access = accessOf(name);
    return found;
  } finally {
    await world.close();
  }
}

function accessOf(route: string): string {
  const access = ACCESS[route] ?? (route.includes(" /v1/") ? undefined : "none");
  if (access === undefined) throw new Error(`${route}: no role is required`);
  return access;
}

/** In the order of the page; an error if the page and the routes differ. */
export async function describeRoutes(): Promise<DescribedRoute[]> {
  const routes = await readRoutes();
  const names = new Set([...routes.keys(), ...Object.keys(MEANING)]);
  const odd = [...names].filter((name) => !routes.has(name) || MEANING[name] === undefined);
  if (odd.length > 0) throw new Error(`test/docs/api.ts and the routes differ: ${odd.join(", ")}`);
  return Object.keys(MEANING).flatMap((name) => routes.get(name) ?? []);
}

export async function formatApi(): Promise<string> {
  const rows = (await describeRoutes()).map(({ method, path, access, meaning }) => {
    return [method, code(path), access, meaning];
  });
  const head = formatHead("HTTP API", "the routes of `reconciler/http/route/`");
  return `${head}${readProse("api")}${formatTable(["method", "path", "role", "meaning"], rows)}`;
}
