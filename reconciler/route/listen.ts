/**
 * The one port: the HTTP application, and the agents' upgrade to a stream beside it. Plain HTTP/1.1
 * whatever the port is called (F22).
 *
 * Adapter: network.
 */
import type { Config } from "../../schema/config.ts";
import { LIMIT } from "../../schema/limit.ts";
import { openApp, refuseUpgrade, type RoutePorts } from "./app.ts";
import { streamHandler, type StreamData } from "./stream.ts";

const STREAM_PATHS = ["/v1/agent/stream", "/api/v1/agent/stream"];

/** Binds `host:port`; an empty host is every interface. Throws if it cannot. */
export function listen(
  ports: RoutePorts,
  config: Config,
  address: { host: string; port: number },
): Bun.Server<StreamData> {
  const app = openApp(ports);
  const { tls } = config.server;
  const secure =
    tls === null ? {} : { tls: { cert: Bun.file(tls.certFile), key: Bun.file(tls.keyFile) } };
  return Bun.serve<StreamData>({
    port: address.port,
    hostname: address.host === "" ? "::" : address.host,
    // A request that is silent this long is over; streams have their own timeout.
    idleTimeout: 60,
    // The routes' own limits answer first and in words; this one only bounds memory.
    maxRequestBodySize: LIMIT.requestBytesMax + 1_024,
    ...secure,
    websocket: streamHandler(ports),
    fetch(request, server) {
      const { pathname } = new URL(request.url);
      if (!STREAM_PATHS.includes(pathname)) return app.fetch(request);
      const header = request.headers.get("authorization");
      const principal = ports.authority.identify(header, ports.clock.wallMs());
      if (principal === null) return refuseUpgrade("unauthenticated", "no valid token", 401);
      if (principal.role !== "node" && principal.role !== "admin") {
        return refuseUpgrade("permission_denied", `role ${principal.role} may not report`, 403);
      }
      const data: StreamData = { header, tail: Promise.resolve(), queued: 0 };
      if (server.upgrade(request, { data })) return undefined;
      return refuseUpgrade("invalid_argument", "a WebSocket upgrade was expected", 400);
    },
  });
}
