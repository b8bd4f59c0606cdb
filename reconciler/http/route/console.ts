/**
 * The console's API under `/api/admin`: for administrators on internal networks, with flat errors.
 * Here the audit log, newest first, page by page.
 */
import { Hono } from "hono";
import { isInNetworks } from "../../core/network.ts";
import type { App, Env, RoutePorts } from "./env.ts";
import { listAudit, ListQuery } from "./audit.ts";
import { consoleKubernetesRoutes } from "./console-kubernetes.ts";
import { consoleNodeRoutes } from "./console-node.ts";
import { auditCall, authenticate, remoteOf } from "./gate.ts";
import { asks, needs, Refusal } from "./request.ts";

/** Routes for administrators on internal networks alone. */
export function openGated(ports: RoutePorts): App {
  const api: App = new Hono<Env>();
  api.use((c, next) => auditCall(c, next, ports));
  api.use((c, next) => authenticate(c, next, ports));
  api.use(async (c, next) => {
    const remote = remoteOf(c);
    const { networks } = ports.reconciler.activeConfig().server.console;
    if (!isInNetworks(remote, networks)) {
      const where = remote === "" ? "an unknown address" : remote;
      const message = `${where} is not in an internal network; call from a private address`;
      throw new Refusal("permission_denied", message);
    }
    await next();
  });
  return api;
}

export function openConsole(ports: RoutePorts): App {
  const api = openGated(ports);
  const { admission } = ports;
  if (admission !== null) {
    const { authority, clock } = ports;
    const from = { audit: admission.audit, authority, bootAt: clock.wallMs() };
    api.get("/audit", needs("admin"), asks(ListQuery), (c) => listAudit(c, from));
  }
  consoleKubernetesRoutes(api, ports);
  consoleNodeRoutes(api, ports);
  return api;
}
