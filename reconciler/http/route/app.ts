/**
 * The HTTP application: probes and metrics without credentials, everything else behind a role. All
 * errors have one JSON shape. No handler waits for a call to the outside world.
 */
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { GenericSchema } from "valibot";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { blockOf } from "../../security/audit/logins.ts";
import type { Authority, Principal } from "../../security/auth.ts";
import type { AgentPools } from "../../core/agentpool/service.ts";
import type { ConsoleCluster } from "../../core/console/cluster.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { DemandQueue } from "../../core/console/demand.ts";
import type { Reloader } from "../../core/reload.ts";
import type { Ingest } from "../../runtime/ingest.ts";
import type { Admission } from "../../security/join/admission.ts";
import type { PodTokens } from "../../security/join/pod-token.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Simulation } from "../../runtime/simulation.ts";
import type { WorkflowRuns } from "../../runtime/workflow/runs.ts";
import type { Metrics } from "../metrics.ts";
import { viewDegraded } from "../view/degraded.ts";
import type { Store } from "../../core/store.ts";
import { callTraceOf, readTraceparent, type Span, spanOfCall } from "../../core/trace.ts";
import { agentRoutes } from "./agent.ts";
import { agentPoolRoutes } from "./agentpool.ts";
import { adminRoutes, auditRoutes } from "./admin.ts";
import { allocationRoutes } from "./allocation.ts";
import { configRoutes } from "./config.ts";
import { openConsole, openGated } from "./console.ts";
import { costRoutes } from "./cost.ts";
import { auditCall, authenticate, remoteOf } from "./gate.ts";
import { hpaEventRoutes } from "./hpa-event.ts";
import { historyRoutes } from "./history.ts";
import { type InstallPorts, installRoutes } from "./install.ts";
import { joinRoute, joinTokenRoutes } from "./join.ts";
import { kubernetesRoutes } from "./kubernetes.ts";
import { linkRoutes, LoginLinks } from "./link.ts";
import { nodeRoutes } from "./node.ts";
import { asPage } from "./page-frame.ts";
import { openApiRoutes } from "./openapi.ts";
import { openPages, type PageParts } from "./page.ts";
import { Pages } from "./pages.ts";
import { pipelineRoutes, signedRoute } from "./pipeline.ts";
import { poolRoutes } from "./pool.ts";
import { poolSizeRoutes } from "./pool-size.ts";
import { queueRoutes } from "./queue.ts";
import type { Quota } from "./quota.ts";
import { refusalFor } from "./request.ts";
import { openRestPool } from "./rest-pool.ts";
import { otherFleetRoutes } from "./other-fleet.ts";
import { safetyRoutes } from "./safety.ts";
import { simulationRoutes } from "./simulation.ts";
import { openSliced } from "./sliced.ts";
import { slurmRoutes } from "./slurm.ts";
import { tokenRoutes } from "./token.ts";
import { upgradeRoutes } from "./upgrade.ts";
import { workflowRoutes } from "./workflow.ts";

export type RoutePorts = {
  reconciler: Reconciler;
  ingest: Ingest;
  authority: Authority;
  store: Store;
  metrics: Metrics;
  /** Rate limits of agents. */
  quota: Quota;
  clock: Clock;
  log: Log;
  /** A fresh id, for commands, tokens and requests. */
  newId(): string;
  /** A fresh secret of 256 bits. */
  newSecret(): string;
  /** Writes a copy of the database and returns its path; `null` with a database server. */
  backup: (() => Promise<string>) | null;
  /** What machines download; `null` = nothing is served. */
  install: InstallPorts | null;
  /** The set-up of a node that runs in this process, with its output so far. */
  live(node: NodeId): BootstrapAttempt | null;
  /** Joins, rotation, audit and failed logins; `null` in simulations. */
  admission: Admission | null;
  /** Checks the tokens of agents in pods; `null` without a cluster. */
  pods: PodTokens | null;
  /** The fleet's own certificate authority, PEM, which agents pin by its fingerprint. */
  caPem: string | null;
  /** Why the server is not ready; empty = ready. */
  notReady(): Promise<string[]>;
  /** Reloads of the configuration; `null` in simulations and before the process listens. */
  reloader(): Reloader | null;
  /** What people broke on purpose; `null` in virtual time. */
  simulation: Simulation | null;
  /** Workflows that this process runs as leader. */
  workflows: WorkflowRuns;
  /** Where calls that change something are traced; `null` = nowhere. */
  traces: { take(spans: readonly Span[]): void } | null;
  /** Pools of worker pods; the leader serves them. */
  agentPools: AgentPools;
  /** The cluster that the console shows; `null` without one, and on a standby. */
  console: ConsoleCluster | null;
  /** The demand queue; the leader serves it. */
  queue: DemandQueue;
  /** Host names, besides addresses, that requests without a token may use. */
  names: ReadonlySet<string>;
};

export type Env = {
  /** `remote` is the address of the socket's other end, if there is a socket. */
  Bindings: {
    remote?: string;
    /** For calls inside this process: who makes the call, already checked. */
    principal?: Principal;
    /** True if the leader does not answer and this standby answers from its own copy. */
    standby?: boolean;
  };
  Variables: {
    principal: Principal;
    requestId: string;
    /** For the audit: the error code, and caller and target where the path does not name them. */
    code: ErrorCode;
    who: string;
    target: string;
    /** For the audit: the Kubernetes namespace of the target, and why the call was refused. */
    namespace: string;
    detail: string;
    /** What the route declared to read: see `takes` and `asks`. */
    takes: GenericSchema;
    asks: GenericSchema;
    /** The audit row exists already. */
    audited: boolean;
    /** The audit row of an action that began; its outcome is recorded with the answer. */
    begun: number;
    /** A read that has an audit row. */
    recorded: boolean;
  };
};
export type App = Hono<Env>;

const READS = /^(?:GET|HEAD|OPTIONS)$/;
/** The console's API, whose errors are flat. */
export const CONSOLE = /^\/api\/(?:admin|allocations|hpa-events|pipelines|queue)(?:\/|$)/;

/** An error answer. `retryS` is `Retry-After` in seconds, for errors that pass. */
export function refuse(
  c: Context<Env>,
  code: ErrorCode,
  message: string,
  details: Record<string, unknown> = {},
  retryS = 1,
): Response {
  c.set("code", code);
  // What is wrong with a body is told by quoting it, and the audit keeps no body.
  if (code !== "invalid_argument") c.set("detail", message);
  if (code === "unauthenticated") c.header("WWW-Authenticate", 'Bearer realm="navarch"');
  const passing = code === "unavailable" || code === "not_leader" || code === "rate_limited";
  if (passing) c.header("Retry-After", String(retryS));
  const error = { code, message, details, request_id: c.get("requestId") ?? "" };
  const body = CONSOLE.test(c.req.path) ? { error: message, code } : { error };
  return c.json(body, ERROR_STATUS[code]);
}

/** Gives the call its trace: the caller's, or a new one. */
async function traceCall(
  c: Context<Env>,
  next: () => Promise<void>,
  ports: RoutePorts,
): Promise<void> {
  const caller = readTraceparent(c.req.header("traceparent") ?? null);
  const traceId = caller?.traceId ?? callTraceOf(ports.newId());
  c.set("requestId", traceId);
  c.header("X-Request-Id", traceId);
  const startAt = ports.clock.wallMs();
  await next();
  const { method, path } = c.req;
  // Reads and reports are many, and change nothing that a trace explains.
  if (ports.traces === null || READS.test(method) || path.endsWith("/agent/report")) return;
  const principal: Principal | undefined = c.get("principal");
  const who = principal?.name ?? "anonymous";
  const call = { traceId, parentId: caller?.spanId ?? null, name: `${method} ${path}`, who };
  const endAt = ports.clock.wallMs();
  ports.traces.take([spanOfCall({ ...call, startAt, endAt, status: c.res.status })]);
}

/** A page for a browser's address bar; programs ask for JSON, or for anything. */
function refuseRoute(c: Context<Env>): Response | Promise<Response> {
  const answer = refuse(c, "not_found", `no route ${c.req.method} ${c.req.path}`);
  const isRead = c.req.method === "GET" && c.req.header("Accept")?.includes("text/html") === true;
  return isRead ? asPage(answer) : answer;
}

export function openApp(ports: RoutePorts, parts: PageParts = {}): App {
  const { admission, caPem } = ports;
  const app: App = new Hono<Env>();
  app.use((c, next) => traceCall(c, next, ports));
  app.get("/healthz", (c) => c.text("ok\n"));
  app.get("/readyz", async (c) => {
    const missing = await ports.notReady();
    if (missing.length > 0) return c.text(`${missing.join("\n")}\n`, 503);
    // The reasons are for people with a credential: `navarch safety`.
    const lines = viewDegraded(ports).map(({ part, name }) => `degraded: ${part} ${name}`.trim());
    return c.text(`${["ready", ...lines].join("\n")}\n`);
  });
  const metrics = new Pages(ports.clock);
  app.get("/metrics", (c) => sendMetrics(c, ports, metrics));
  app.get("/ca.pem", (c) => {
    if (!caPem) return refuse(c, "not_found", "this control plane has no CA (server.tls.own_ca)");
    return c.body(caPem, 200, { "Content-Type": "application/x-pem-file" });
  });
  if (ports.install !== null) installRoutes(app, ports.install);
  const api: App = new Hono<Env>();
  api.use((c, next) => auditCall(c, next, ports));
  if (admission !== null) {
    api.use("/agent/join", bodyLimit({ maxSize: LIMIT.joinBytesMax, onError: tooLarge }));
    joinRoute(api, ports, admission);
  }
  api.use((c, next) => authenticate(c, next, ports));
  api.use("/agent/*", bodyLimit({ maxSize: LIMIT.reportBytesMax, onError: tooLarge }));
  api.use(bodyLimit({ maxSize: LIMIT.requestBytesMax, onError: tooLarge }));
  const groups = [agentRoutes, nodeRoutes, poolRoutes, poolSizeRoutes, safetyRoutes, upgradeRoutes];
  groups.push(adminRoutes, configRoutes, tokenRoutes, historyRoutes, kubernetesRoutes, costRoutes);
  groups.push(simulationRoutes, slurmRoutes, otherFleetRoutes);
  groups.push(workflowRoutes, agentPoolRoutes);
  for (const addRoutes of groups) addRoutes(api, ports);
  if (admission !== null) {
    joinTokenRoutes(api, ports, admission);
    auditRoutes(api, admission.audit, ports);
  }
  const links = new LoginLinks(ports.clock);
  linkRoutes(api, ports, links);
  openApiRoutes(app, ports);
  app.route("/api/admin", openConsole(ports));
  signedRoute(app, ports, bodyLimit({ maxSize: LIMIT.requestBytesMax, onError: tooLarge }));
  const gates = {
    ...{ allocations: allocationRoutes, pipelines: pipelineRoutes, queue: queueRoutes },
    "hpa-events": hpaEventRoutes,
  };
  for (const [path, addRoutes] of Object.entries(gates)) {
    const gated = openGated(ports);
    addRoutes(gated, ports);
    app.route(`/api/${path}`, gated);
  }
  app.route("/rest", openRestPool(ports));
  app.route("/api/v1", api);
  app.route("/v1", api);
  openPages(app, ports, { ...parts, links });
  app.notFound(refuseRoute);
  app.onError((error, c) => {
    const refusal = refusalFor(error);
    if (refusal !== null) return refuse(c, refusal.code, refusal.message, refusal.details);
    ports.log("error", "request failed", {
      path: c.req.path,
      request_id: c.get("requestId"),
      error: String(error.stack ?? error),
    });
    return refuse(c, "internal", "internal error; see the log of the control plane");
  });
  return app;
}

function sendMetrics(c: Context<Env>, ports: RoutePorts, pages: Pages): Response {
  if (ports.reconciler.activeConfig().server.auth.metricsAuth) {
    const header = c.req.header("Authorization") ?? null;
    const principal = ports.authority.identify(header, ports.clock.wallMs());
    if (principal === null) return refuse(c, "unauthenticated", "metrics require a token");
    // Metrics cover the whole fleet, and users of a machine may read its node's credential.
    if (!roleIncludes(principal.role, "viewer")) {
      return refuse(c, "permission_denied", `${principal.name} may only report`);
    }
  }
  const page = pages.open(blockOf(remoteOf(c)), ports.metrics.slices(ports));
  if (page === null) return refuse(c, "rate_limited", "too many concurrent /metrics requests");
  // Always 0.0.4: OpenMetrics reserves the suffix `_total` for counters.
  return c.body(openSliced(page), 200, {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
  });
}

function tooLarge(c: Context): Response {
  return refuse(c as Context<Env>, "too_large", "the request body is too large for this route");
}

/**
 * The same error shape for a request that does not reach the application, such as a refused
 * upgrade. `retryMs` becomes `Retry-After`; `status` replaces the code's own.
 */
export function refuseUpgrade(
  code: ErrorCode,
  message: string,
  more: { retryMs?: number | null; status?: number } = {},
): Response {
  const { retryMs = null, status = ERROR_STATUS[code] } = more;
  const error = { code, message, details: {}, request_id: "" };
  const answer = Response.json({ error }, { status });
  if (status === 401) answer.headers.set("WWW-Authenticate", 'Bearer realm="navarch"');
  if (retryMs !== null) answer.headers.set("Retry-After", String(Math.ceil(retryMs / 1_000)));
  return answer;
}
