/**
 * Stands between the product and an API server and spoils what it is told to: refusals, hangs,
 * answers that are lost after the work was done, and watches that end in every way they can. It has
 * an authority of its own; the credentials inside pass through. It keeps a list of what was asked.
 *
 * Adapter: the network, on loopback; files.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { Readable } from "node:stream";
import { openAuthority } from "./certificate.ts";

export type Asked = {
  method: string;
  /** With its query. */
  path: string;
  isWatch: boolean;
  body: string;
};

export type Fault =
  | { kind: "status"; status: number; reason: string; message: string; retryAfterS?: number }
  /** Nothing is passed on, and nothing is ever said. */
  | { kind: "hang" }
  /** The connection ends; nothing was passed on. */
  | { kind: "cut" }
  /** The server does the work, and the connection ends in place of its answer. */
  | { kind: "lost" }
  | { kind: "late"; until: Promise<void> }
  /** A watch that goes well for so long, and then ends in this way. */
  | { kind: "watch"; lifeMs: number; end: "cut" | "torn" | "expired" };

/** `null` passes it on as it is. */
export type Faults = (asked: Asked) => Fault | null;

export type Passed = Asked & { atMs: number; fault: Fault["kind"] | null };

export type Proxy = {
  url: string;
  /** A kubeconfig like the given one, with this in place of the server. */
  kubeconfig(original: string): string;
  set(faults: Faults): void;
  /** Ends every connection that is open, watches included. */
  cut(): void;
  log: readonly Passed[];
  /** How often each fault happened. */
  counts(): Record<string, number>;
  close(): Promise<void>;
};

export const calm: Faults = () => null;

const HEADERS_DROPPED = new Set(["host", "connection", "accept-encoding", "content-length"]);

/** As an API server prints it that has no room (its priority and fairness). */
export const THROTTLED: Fault = {
  kind: "status",
  status: 429,
  reason: "TooManyRequests",
  message: "too many requests, please try again later",
  retryAfterS: 1,
};
export const INTERNAL: Fault = {
  kind: "status",
  status: 500,
  reason: "InternalError",
  message: "Internal error occurred: etcdserver: request timed out",
};
export const GONE: Fault = {
  kind: "status",
  status: 410,
  reason: "Expired",
  message: "The provided continue parameter is too old to display a consistent list result.",
};

type Upstream = { url: string; authority: string };

export async function openProxy(upstream: Upstream, folder: string): Promise<Proxy> {
  const authority = openAuthority("navarch-proxy", Date.now());
  const pair = authority.issue({ name: "proxy", hosts: ["127.0.0.1"] });
  const log: Passed[] = [];
  let faults = calm;
  const server = createServer(
    { cert: pair.certificate, key: pair.key },
    (request: IncomingMessage, response: ServerResponse) => {
      const begun = async (): Promise<void> => {
        const asked = await readAsked(request);
        const fault = faults(asked);
        log.push({ ...asked, atMs: Date.now(), fault: fault?.kind ?? null });
        await answer(upstream, request, response, asked, fault);
      };
      // Whatever breaks here is one more way in which a connection ends. Bun 1.4.5 would end the
      // response alone as an empty 200, once anything was awaited.
      begun().catch(() => cut(request));
    },
  );
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const url = `https://127.0.0.1:${port}`;
  let files = 0;
  return {
    url,
    log,
    set: (next) => void (faults = next),
    cut: () => server.closeAllConnections(),
    kubeconfig(original) {
      const config = JSON.parse(readFileSync(original, "utf8")) as {
        clusters: { cluster: Record<string, string> }[];
      };
      for (const { cluster } of config.clusters) {
        cluster["server"] = url;
        const pem = Buffer.from(authority.certificate).toString("base64");
        cluster["certificate-authority-data"] = pem;
      }
      files += 1;
      const path = `${folder}/proxy-${port}-${files}.kubeconfig`;
      writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
      return path;
    },
    counts() {
      const counts: Record<string, number> = {};
      for (const { fault } of log) {
        const name = fault ?? "passed";
        counts[name] = (counts[name] ?? 0) + 1;
      }
      return counts;
    },
    async close() {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await Promise.race([closed.promise, Bun.sleep(1_000)]);
    },
  };
}

async function readAsked(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const path = request.url ?? "/";
  return {
    method: request.method ?? "GET",
    path,
    isWatch: /[?&]watch=(true|1)/.test(path),
    body: Buffer.concat(chunks).toString("utf8"),
  };
}

async function answer(
  upstream: Upstream,
  request: IncomingMessage,
  response: ServerResponse,
  asked: Asked,
  fault: Fault | null,
): Promise<void> {
  if (fault?.kind === "status") return refuse(response, fault);
  if (fault?.kind === "hang") return;
  if (fault?.kind === "cut") return cut(request);
  if (fault?.kind === "late") await fault.until;
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  for (const [name, value] of Object.entries(request.headers)) {
    if (!HEADERS_DROPPED.has(name) && typeof value === "string") headers[name] = value;
  }
  const told = await fetch(`${upstream.url}${asked.path}`, {
    method: asked.method,
    headers,
    ...(asked.body === "" ? {} : { body: asked.body }),
    tls: { ca: upstream.authority },
    signal: gone.signal,
    redirect: "manual",
    timeout: false,
  } as RequestInit);
  if (fault?.kind === "lost") {
    await told.arrayBuffer();
    return cut(request);
  }
  const back: Record<string, string> = {};
  told.headers.forEach((value, name) => {
    if (!/^(connection|transfer-encoding|content-length|keep-alive)$/.test(name)) {
      back[name] = value;
    }
  });
  response.writeHead(told.status, back);
  if (told.body === null) return void response.end();
  const life = fault?.kind === "watch" ? fault : null;
  if (life === null) return pass(told.body, response);
  const timer = setTimeout(() => endWatch(request, response, life.end), life.lifeMs);
  gone.signal.addEventListener("abort", () => clearTimeout(timer));
  return pass(told.body, response);
}

async function pass(body: ReadableStream<Uint8Array>, response: ServerResponse): Promise<void> {
  response.flushHeaders();
  for await (const chunk of Readable.fromWeb(body as never)) {
    if (response.writableEnded || response.destroyed) return;
    response.write(chunk);
  }
  response.end();
}

function endWatch(request: IncomingMessage, response: ServerResponse, end: string): void {
  if (end === "torn") response.write('{"type":"MODIFIED","object":{"kind":"No');
  if (end === "expired") {
    const object = statusOf(410, "Expired", "too old resource version: 1 (2)");
    response.write(`${JSON.stringify({ type: "ERROR", object })}\n`);
    return void response.end();
  }
  cut(request);
}

function statusOf(code: number, reason: string, message: string): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    code,
  };
}

function refuse(response: ServerResponse, fault: Extract<Fault, { kind: "status" }>): void {
  const { status, reason, message, retryAfterS } = fault;
  response.writeHead(status, {
    "content-type": "application/json",
    ...(retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) }),
  });
  response.end(JSON.stringify(statusOf(status, reason, message)));
}

function cut(request: IncomingMessage): void {
  request.socket.destroy();
}
