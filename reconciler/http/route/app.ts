/**
 * The one HTTP application: probes and metrics without credentials, everything else behind a role.
 * Every error is the same JSON shape, and no handler waits for the outside world (routes → store →
 * answer).
 */
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import type { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import { roleIncludes } from "../../../schema/credential.ts";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { blockOf } from "../../security/audit/logins.ts";
import type { Authority, Principal } from "../../security/auth.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { Ingest } from "../../runtime/ingest.ts";
import type { Admission } from "../../security/join/admission.ts";
import type { PodTokens } from "../../security/join/pod-token.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Metrics } from "../metrics.ts";
import { StaleEpoch, type Store } from "../../core/store.ts";
import { agentRoutes } from "./agent.ts";
import { adminRoutes } from "./admin.ts";
import { auditRoutes } from "./audit.ts";
import { backupRoutes } from "./backup.ts";
import { auditCall, remoteOf, turnAway } from "./gate.ts";
import { historyRoutes } from "./history.ts";
import { type InstallPorts, installRoutes } from "./install.ts";
import { joinRoute, joinTokenRoutes } from "./join.ts";
import { kubernetesRoutes } from "./kubernetes.ts";
import { forgetRoutes } from "./forget.ts";
import { quarantineRoutes } from "./quarantine.ts";
import { nodeRoutes } from "./node.ts";
import { Pages } from "./pages.ts";
import { poolRoutes } from "./pool.ts";
import type { Quota } from "./quota.ts";
import { Refusal } from "./request.ts";
import { safetyRoutes } from "./safety.ts";
import { openSliced } from "./sliced.ts";
import { supportRoutes } from "./support.ts";
import { tokenRoutes } from "./token.ts";
import { upgradeRoutes } from "./upgrade.ts";

export type RoutePorts = {
  reconciler: Reconciler;
  ingest: Ingest;
  authority: Authority;
  store: Store;
  metrics: Metrics;
  /** What each node may still send. */
  quota: Quota;
  clock: Clock;
  log: Log;
  /** A fresh id, for commands, tokens and requests. */
  newId(): string;
  /** A fresh secret of 256 bits. */
  newSecret(): string;
  /** Writes a copy of the database and names its file; `null` where that is a server's business. */
  backup: (() => Promise<string>) | null;
  /** What machines download; without it nothing is served to them. */
  install?: InstallPorts;
  /** The set-up of a node that runs in this process now, with what it said so far. */
  live(node: NodeId): BootstrapAttempt | null;
  /** Joins, rotation, audit and failed logins; a simulation may do without. */
  admission?: Admission;
  /** Checks the tokens of agents in pods; none without a cluster. */
  pods?: PodTokens;
  /** The fleet's own certificate authority, PEM, for agents that pin it by its fingerprint. */
  caPem?: string | null;
  /** Conditions that keep the server from being ready; empty = ready. */
  notReady(): Promise<string[]>;
  /** Names under which it may be called without a token, beside addresses; none = no others. */
  names?: ReadonlySet<string>;
};

export type Env = {
  /** `remote` is the address of the other end of the socket, where there is one. */
  Bindings: { remote?: string };
  Variables: {
    principal: Principal;
    requestId: string;
    /** For the audit: the code of a refusal, and who and what where the path does not tell. */
    code: ErrorCode;
    who: string;
    target: string;
  };
};
export type App = Hono<Env>;

/** An error answer. */
export function refuse(
  c: Context<Env>,
  code: ErrorCode,
  message: string,
  details: Record<string, unknown> = {},
): Response {
  c.set("code", code);
  if (code === "unauthenticated") c.header("WWW-Authenticate", 'Bearer realm="navarch"');
  const passing = code === "unavailable" || code === "not_leader" || code === "rate_limited";
  if (passing) c.header("Retry-After", "1");
  return c.json(
    { error: { code, message, details, request_id: c.get("requestId") ?? "" } },
    ERROR_STATUS[code],
  );
}

export function openApp(ports: RoutePorts): App {
  const app: App = new Hono<Env>();
  app.use(async (c, next) => {
    c.set("requestId", ports.newId());
    await next();
  });
  app.on(["GET"], "/healthz", (c) => c.text("ok\n"));
  app.on(["GET"], "/readyz", async (c) => {
    const missing = await ports.notReady();
    return missing.length === 0 ? c.text("ready\n") : c.text(`${missing.join("\n")}\n`, 503);
  });
  const pages = new Pages(ports.clock);
  app.get("/metrics", (c) => sendMetrics(c, ports, pages));
  app.get("/ca.pem", (c) => {
    const { caPem } = ports;
    if (!caPem) return refuse(c, "not_found", "this control plane has no CA (server.tls.own_ca)");
    return c.body(caPem, 200, { "Content-Type": "application/x-pem-file" });
  });
  if (ports.install !== undefined) installRoutes(app, ports.install);
  const api: App = new Hono<Env>();
  api.use((c, next) => auditCall(c, next, ports));
  if (ports.admission !== undefined) {
    api.use("/agent/join", bodyLimit({ maxSize: LIMIT.joinBytesMax, onError: tooLarge }));
    joinRoute(api, ports, ports.admission);
  }
  api.use(async (c, next) => {
    const given = c.req.header("Authorization") ?? null;
    const judged = ports.authority.judge(given, ports.clock.wallMs());
    if (judged.kind === "rejected") {
      const why = given !== null && judged.why === "absent" ? "unknown" : judged.why;
      return turnAway(c, ports, why, judged.name);
    }
    c.set("principal", judged.principal);
    return next();
  });
  api.use("/agent/*", bodyLimit({ maxSize: LIMIT.reportBytesMax, onError: tooLarge }));
  api.use(bodyLimit({ maxSize: LIMIT.requestBytesMax, onError: tooLarge }));
  agentRoutes(api, ports);
  nodeRoutes(api, ports);
  forgetRoutes(api, ports);
  poolRoutes(api, ports);
  safetyRoutes(api, ports);
  upgradeRoutes(api, ports);
  adminRoutes(api, ports);
  tokenRoutes(api, ports);
  if (ports.admission !== undefined) {
    joinTokenRoutes(api, ports, ports.admission);
    auditRoutes(api, ports.admission.audit);
  }
  backupRoutes(api, ports);
  supportRoutes(api, ports);
  historyRoutes(api, ports);
  kubernetesRoutes(api, ports);
  quarantineRoutes(api, ports);
  app.route("/api/v1", api);
  app.route("/v1", api);
  app.notFound((c) => refuse(c, "not_found", `no route ${c.req.method} ${c.req.path}`));
  app.onError((error, c) => {
    if (error instanceof Refusal) return refuse(c, error.code, error.message, error.details);
    // Another replica leads: nothing was written, and the same request there is as good as new.
    if (error instanceof StaleEpoch) return refuse(c, "not_leader", error.message);
    ports.log("error", "request failed", { path: c.req.path, error: String(error.stack ?? error) });
    return refuse(c, "internal", "internal error; see the log of the control plane");
  });
  return app;
}

function sendMetrics(c: Context<Env>, ports: RoutePorts, pages: Pages): Response {
  if (ports.reconciler.activeConfig().server.auth.metricsAuth) {
    const principal = identify(c, ports);
    if (principal === null) return refuse(c, "unauthenticated", "metrics require a token");
    // They are about the whole fleet, and a node's credential is on a machine that people use.
    if (!roleIncludes(principal.role, "viewer")) {
      return refuse(c, "permission_denied", `${principal.name} may only report`);
    }
  }
  const page = pages.open(blockOf(remoteOf(c)), ports.metrics.slices());
  if (page === null) return refuse(c, "rate_limited", "too many concurrent /metrics requests");
  // Always 0.0.4: OpenMetrics reserves the suffix `_total` for counters.
  return c.body(openSliced(page), 200, {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
  });
}

function tooLarge(c: Context): Response {
  return refuse(c as Context<Env>, "too_large", "the request body is too large for this route");
}

function identify(c: Context<Env>, ports: RoutePorts): Principal | null {
  return ports.authority.identify(c.req.header("Authorization") ?? null, ports.clock.wallMs());
}

/**
 * The same error shape for a request that never reached the application: a refused upgrade.
 * `retryMs` is when to come again, `status` another than the code's own.
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
