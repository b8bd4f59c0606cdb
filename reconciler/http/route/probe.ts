/**
 * Probes, metrics and the fleet's own certificate authority, for whoever reaches the port.
 */
import type { Context } from "hono";
import { roleIncludes } from "../../../schema/credential.ts";
import { blockOf } from "../../security/audit/logins.ts";
import { viewDegraded } from "../view/degraded.ts";
import { remoteOf } from "./gate.ts";
import type { ConsolePorts } from "./console-cluster.ts";
import type { QueuePorts } from "./queue.ts";
import type { Pages } from "./pages.ts";
import { refuse } from "./request.ts";
import type { Env, Route, RoutePorts } from "./route.ts";
import { openSliced } from "./sliced.ts";

export type ProbePorts = RoutePorts &
  QueuePorts &
  ConsolePorts & {
    /** Why the server is not ready; empty = ready. */
    notReady(): Promise<string[]>;
    /** The fleet's own certificate authority, PEM, which agents pin by its fingerprint. */
    caPem: string | null;
    /** Who reads the metrics page. */
    scrapes: Pages;
  };

export const probeRoutes: readonly Route<ProbePorts>[] = [
  {
    at: "GET /healthz",
    access: "public",
    isText: true,
    says: "the process runs",
    run: (c) => c.text("ok\n"),
  },
  {
    at: "GET /readyz",
    access: "public",
    isText: true,
    says: "ready, and a line for each part that is degraded; or 503 with the reasons",
    async run(c, ports) {
      const missing = await ports.notReady();
      if (missing.length > 0) return c.text(`${missing.join("\n")}\n`, 503);
      // The reasons are for people with a credential: `navarch safety`.
      const lines = viewDegraded(ports).map(({ part, name }) => `degraded: ${part} ${name}`.trim());
      return c.text(`${["ready", ...lines].join("\n")}\n`);
    },
  },
  {
    at: "GET /metrics",
    access: "metrics",
    isText: true,
    says: "[metrics](metrics.md)",
    run: sendMetrics,
  },
  {
    at: "GET /ca.pem",
    access: "public",
    isText: true,
    says: "the fleet's own certificate authority",
    run(c, { caPem }) {
      const message = "this control plane has no CA (server.tls.own_ca)";
      if (!caPem) return refuse(c, "not_found", message);
      return c.body(caPem, 200, { "Content-Type": "application/x-pem-file" });
    },
  },
];

function sendMetrics(c: Context<Env>, ports: ProbePorts): Response {
  if (ports.reconciler.activeConfig().server.auth.metricsAuth) {
    const header = c.req.header("Authorization") ?? null;
    const principal = ports.authority.identify(header, ports.clock.wallMs());
    if (principal === null) return refuse(c, "unauthenticated", "metrics require a token");
    // Metrics cover the whole fleet, and users of a machine may read its node's credential.
    if (!roleIncludes(principal.role, "viewer")) {
      return refuse(c, "permission_denied", `${principal.name} may only report`);
    }
  }
  const page = ports.scrapes.open(blockOf(remoteOf(c)), ports.metrics.slices(ports));
  if (page === null) return refuse(c, "rate_limited", "too many concurrent /metrics requests");
  // Always 0.0.4: OpenMetrics reserves the suffix `_total` for counters.
  return c.body(openSliced(page), 200, {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
  });
}
