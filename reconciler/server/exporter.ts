/**
 * The exporter of node resources: watches a cluster and serves `/metrics`. It serves on while the
 * API server is away, and says so by `node_resource_stale` and one line.
 *
 * Adapter: network, random numbers.
 */
import { formatNodeResources } from "../http/metrics/node-resource.ts";
import { Pages } from "../http/route/pages.ts";
import { openSliced } from "../http/route/sliced.ts";
import { ResourceWatch, type ResourceWatchOptions } from "../kubernetes/resource-watch.ts";
import { blockOf } from "../security/audit/logins.ts";

export type ExporterOptions = Omit<ResourceWatchOptions, "random"> & {
  /** 0: any free port. */
  port: number;
  /** `::`: every address, also of IPv4. */
  host: string;
  /** One line for people. */
  say(line: string): void;
};

export type Exporter = { port: number; close(): Promise<void> };

/** A problem that comes and goes is said once in this time. */
const LOOK_MS = 1_000;
const AGAIN_MS = 60_000;

/** Throws if the port cannot be had. */
export function openExporter(options: ExporterOptions): Exporter {
  const { clock, port, host } = options;
  const watch = new ResourceWatch({ ...options, random: () => Math.random() });
  const pages = new Pages(clock);
  const server = Bun.serve({
    port,
    hostname: host,
    idleTimeout: 60,
    maxRequestBodySize: 1_024,
    fetch(request, self) {
      const { pathname } = new URL(request.url);
      if (request.method !== "GET" && request.method !== "HEAD") {
        return new Response("read only\n", { status: 405, headers: { Allow: "GET, HEAD" } });
      }
      if (pathname === "/metrics") {
        const caller = blockOf(self.requestIP(request)?.address ?? "");
        return sendPage(pages, caller, watch);
      }
      // Probes of the manifests that guides print ask for the root.
      if (pathname === "/" || pathname === "/healthz") return new Response("ok\n");
      return new Response("not found: /metrics, /healthz\n", { status: 404 });
    },
  });
  watch.start();
  const quiet = tellProblems(watch, options);
  return {
    port: server.port ?? port,
    async close() {
      quiet();
      watch.stop();
      await server.stop(true);
    },
  };
}

async function* slicesOf(watch: ResourceWatch): AsyncGenerator<Uint8Array> {
  yield* formatNodeResources(watch.view());
}

function sendPage(pages: Pages, caller: string, watch: ResourceWatch): Response {
  const page = pages.open(caller, slicesOf(watch));
  if (page === null) {
    const headers = { "Retry-After": "1" };
    return new Response("too many concurrent requests\n", { status: 429, headers });
  }
  return new Response(openSliced(page), {
    headers: { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" },
  });
}

/** Each new problem as one line, and its end. Returns what ends it. */
function tellProblems(watch: ResourceWatch, { clock, say }: ExporterOptions): () => void {
  let told: string | null = null;
  let toldMs = Number.NEGATIVE_INFINITY;
  let cancel = () => {};
  const look = (): void => {
    const problem = watch.problem();
    const isDue = clock.monoMs() - toldMs >= AGAIN_MS || told === null;
    if (problem !== null && problem !== told && isDue) {
      say(`cannot read ${problem}; retrying, and node_resource_stale becomes 1`);
      told = problem;
      toldMs = clock.monoMs();
    } else if (problem === null && told !== null && watch.view().stale === null) {
      say("the API server is read again");
      told = null;
    }
    cancel = clock.after(LOOK_MS, look);
  };
  look();
  return () => cancel();
}
