/**
 * The further port of the metrics page (`server.metrics_port`): scrapers reach it where the API's
 * port is closed to them. It serves that page alone, under the API's own rules.
 *
 * Adapter: network.
 */
import type { Config } from "../../schema/config.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { Front } from "../http/route/listen.ts";

export type MetricsPort = { stop(): Promise<void> };

/** How soon a port that was taken is tried again: the process before this one may still hold it. */
const AGAIN_MS = 10_000;

type From = {
  config: Config;
  leadership: { front(): Front };
  /** Told why the port is not open; `null` once it is. */
  metrics: { portProblem: string | null };
  host: string;
  clock: Pick<Clock, "after">;
  log: Log;
};

/**
 * A port that is taken is reported and tried again: the page is on the API's port too, and a fleet
 * must not be without its control plane for want of a second one.
 */
export function openMetricsPort(from: From): MetricsPort {
  const { metricsPort, port: own } = from.config.server;
  let server: ReturnType<typeof serve> | null = null;
  let cancel = (): void => undefined;
  let last: string | null = null;
  const open = (): void => {
    try {
      server = serve(metricsPort, from);
      from.log("info", "metrics", { port: server.port ?? metricsPort });
      from.metrics.portProblem = null;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why !== last) {
        from.log("error", "server.metrics_port cannot be opened", { port: metricsPort, why });
      }
      last = why;
      const problem = `server.metrics_port ${metricsPort} cannot be opened: ${why}`;
      from.metrics.portProblem = problem;
      cancel = from.clock.after(AGAIN_MS, open);
    }
  };
  if (metricsPort !== 0 && metricsPort !== own) open();
  return {
    stop: async () => {
      cancel();
      await server?.stop(true);
    },
  };
}

function serve(port: number, { leadership, host }: From) {
  return Bun.serve({
    port,
    hostname: host === "" ? "::" : host,
    idleTimeout: 60,
    maxRequestBodySize: 1_024,
    fetch(request, self) {
      const { pathname } = new URL(request.url, "http://none.invalid");
      const isRead = request.method === "GET" || request.method === "HEAD";
      if (!isRead) return new Response("read only\n", { status: 405 });
      if (pathname !== "/metrics") return new Response("not found: /metrics\n", { status: 404 });
      const remote = self.requestIP(request)?.address ?? "";
      return leadership.front().answer(request, pathname, remote);
    },
  });
}
