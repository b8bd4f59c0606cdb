/**
 * `POST /workflow`: runs the workflow in the body and answers when it has ended. Runs wait for each
 * other. A client that leaves while its workflow waits takes it back; once it runs, it runs to its
 * end.
 *
 * Adapter: network, timers.
 */
import type { Server } from "bun";
import { readAll } from "../../reconciler/http/route/read-all.ts";
import type { WorkflowRuns } from "../../reconciler/runtime/workflow/runs.ts";
import { LIMIT } from "../../schema/limit.ts";

export type ServeFrom = { host: string; port: number; runs: WorkflowRuns };

export type Serving = { port: number; stop(): Promise<void> };

/** For the last answers to leave; a client that does not read would hold up the end. */
const ANSWERS_MS = 2_000;
/** Bodies that are read at once. */
const READING_MAX = 16;

/** Throws if it cannot listen. */
export function serveWorkflows({ host, port, runs }: ServeFrom): Serving {
  let reading = 0;
  const read = async (request: Request) => {
    reading += 1;
    try {
      return await readAll(request, LIMIT.requestBytesMax, LIMIT.bodyMsMax);
    } finally {
      reading -= 1;
    }
  };
  const server: Server<undefined> = Bun.serve({
    hostname: host,
    port,
    idleTimeout: 60,
    maxRequestBodySize: LIMIT.requestBytesMax + 1_024,
    async fetch(request) {
      const { pathname } = new URL(request.url, "http://none");
      if (pathname === "/healthz") return answer(200, "ok");
      if (pathname !== "/workflow") return answer(404, "404 page not found");
      if (request.method !== "POST") {
        return answer(405, "Invalid request method", { Allow: "POST" });
      }
      if (isPage(request.headers)) return answer(403, "a web page may not start workflows");
      if (reading >= READING_MAX) return busy(`${reading} workflows are being read; try again`);
      const body = await read(request);
      if (body.kind === "large") {
        return answer(413, `the body is larger than ${LIMIT.requestBytesMax} bytes`);
      }
      if (body.kind !== "bytes") return answer(400, "Unable to read request body");
      // The answer comes when the run has ended.
      server.timeout(request, 0);
      return post(runs, body.bytes, request.signal);
    },
    error: () => answer(500, "internal error; see the log of the server"),
  });
  return {
    port: server.port ?? port,
    async stop() {
      await Promise.race([server.stop(), Bun.sleep(ANSWERS_MS)]);
      await server.stop(true);
    },
  };
}

async function post(runs: WorkflowRuns, bytes: Uint8Array, signal: AbortSignal): Promise<Response> {
  const text = decode(bytes);
  if (text === null) return answer(400, "Invalid YAML format\nthe body is not UTF-8");
  const by = { name: "client", role: "admin", remote: "", request: "" } as const;
  const submitted = runs.submit({ text, templates: {} }, { by, key: null, cleanup: false });
  if (submitted.kind === "invalid") {
    const { isYaml, message } = submitted;
    return answer(400, isYaml ? `Invalid YAML format\n${message}` : message);
  }
  if (submitted.kind === "full") return busy(submitted.message);
  if (submitted.kind === "closed") return answer(500, "the server is stopping; nothing was run");
  const { id } = submitted.run;
  const leave = (): void => {
    if (runs.get(id)?.run.state === "queued") runs.cancel(id, "its client, which left");
  };
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  const ended = await runs.ended(id);
  signal.removeEventListener("abort", leave);
  if (ended?.state === "passed") return new Response(null, { status: 200 });
  return answer(500, ended?.error ?? "the run ended, and its result is lost");
}

/** Browsers name the page with every POST; other clients have no reason to. */
const isPage = (headers: Headers): boolean =>
  headers.has("origin") || headers.has("sec-fetch-site");

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

const busy = (message: string): Response => answer(429, message, { "Retry-After": "5" });

function answer(status: number, text: string, more: Record<string, string> = {}): Response {
  const headers = { "Content-Type": "text/plain; charset=utf-8", ...more };
  return new Response(`${text}\n`, { status, headers });
}
