/**
 * The HTTP application: probes and metrics without credentials, everything else behind a role. All
 * errors have one JSON shape. No handler waits for a call to the outside world.
 */
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { roleIncludes } from "../../../schema/credential.ts";
import type { Principal } from "../../security/auth.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { blockOf } from "../../security/audit/logins.ts";
import { viewDegraded } from "../view/degraded.ts";
import { callTraceOf, readTraceparent, spanOfCall } from "../../core/trace.ts";
import { agentRoutes } from "./agent.ts";
import { agentPoolRoutes } from "./agentpool.ts";
import { adminRoutes, auditRoutes } from "./admin.ts";
import { allocationRoutes } from "./allocation.ts";
import { configRoutes } from "./config.ts";
import { openConsole, openGated } from "./console.ts";
import { costRoutes } from "./cost.ts";
import type { App, Env, RoutePorts } from "./env.ts";
import { auditCall, authenticate, remoteOf } from "./gate.ts";
import { hpaEventRoutes } from "./hpa-event.ts";
import { historyRoutes } from "./history.ts";
import { installRoutes } from "./install.ts";
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
import { refusalFor, refuse } from "./request.ts";
import { openRestPool } from "./rest-pool.ts";
import { otherFleetRoutes } from "./other-fleet.ts";
import { safetyRoutes } from "./safety.ts";
import { simulationRoutes } from "./simulation.ts";
import { openSliced } from "./sliced.ts";
import { slurmRoutes } from "./slurm.ts";
import { tokenRoutes } from "./token.ts";
import { upgradeRoutes } from "./upgrade.ts";
import { workflowRoutes } from "./workflow.ts";

const READS = /^(?:GET|HEAD|OPTIONS)$/;
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
