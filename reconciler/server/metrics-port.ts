/**
 * The further port of the metrics page (`server.metrics_port`): scrapers reach it where the API's
 * port is closed to them. It serves that page alone, under the API's own rules.
 *
 * Adapter: network.
 */
import type { Config } from "../../schema/config.ts";
import type { Log } from "../core/clock.ts";
import type { Front } from "../http/route/listen.ts";

export type MetricsPort = { stop(): Promise<void> };

/**
 * A port that is taken is told and left: the page is on the API's port too, and a fleet must not be
 * without its control plane for want of a second one.
 */
export function openMetricsPort(
  current: () => Front,
  { server: { metricsPort, port: own } }: Config,
  host: string,
  log: Log,
): MetricsPort {
  const none = { stop: () => Promise.resolve() };
  if (metricsPort === 0 || metricsPort === own) return none;
  try {
    const server = Bun.serve({
      port: metricsPort,
      hostname: host === "" ? "::" : host,
      idleTimeout: 60,
      maxRequestBodySize: 1_024,
      fetch(request, self) {
        const { pathname } = new URL(request.url, "http://none.invalid");
        const isRead = request.method === "GET" || request.method === "HEAD";
        if (!isRead) return new Response("read only\n", { status: 405 });
        if (pathname !== "/metrics") return new Response("not found: /metrics\n", { status: 404 });
        const remote = self.requestIP(request)?.address ?? "";
        return current().answer(request, pathname, remote);
      },
    });
    log("info", "metrics", { port: server.port ?? metricsPort });
    return { stop: () => server.stop(true) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    log("info", "no metrics on server.metrics_port", { port: metricsPort, why });
    return none;
  }
}
