/**
 * The API server port over Bun's `fetch` with TLS options on each call
 * (docs/reference/runtime.md#http, the stock client loses the client certificate on some versions).
 * Our timers limit every call and watch: Bun's own limit would end a quiet watch after six minutes
 * and is off. A PATCH or POST is sent once; Bun repeats a DELETE whose kept-alive connection is
 * dead, which its UID precondition makes harmless (measured, 1.4.5).
 *
 * Adapter: the network.
 */
import { readRetryAfter } from "../core/reply.ts";
import type { Clock } from "../core/clock.ts";
import { Gate } from "../core/turn/gate.ts";
import type { KubeAnswer, KubeApi, KubeRequest, KubeVerb, WatchEnd, WatchEvent } from "./api.ts";
import type { Transport } from "./connect.ts";
import { judgeAnswer, readWarnings } from "./answer.ts";
import { notWanted, unsent } from "./limiter.ts";
import { LineSplitter, parseWatchLine, refusedWatch } from "./watch-stream.ts";

export type ClientPorts = {
  clock: Clock;
  /** Called for each write when its outcome is known; `resource` is `nodes`, `pods/eviction` … */
  count: (verb: KubeVerb, resource: string, pool: string | null, outcome: Outcome) => void;
  userAgent: string;
};
export type Outcome = KubeAnswer["kind"];

/**
 * Concurrent calls, besides a handful of watches. The server answers 60 writes in some 20 ms, well
 * over what the limiter allows.
 */
const CALLS_MAX = 60;
/** A page of 500 pods with long specifications is some 10 MiB. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

export function openClient(
  transport: Transport,
  ports: ClientPorts,
  callsMax = CALLS_MAX,
): KubeApi {
  return new Client(transport, ports, callsMax);
}

type Method = "GET" | "PATCH" | "DELETE" | "POST";
const METHOD: Readonly<Record<KubeVerb, Method>> = {
  get: "GET",
  list: "GET",
  patch: "PATCH",
  delete: "DELETE",
  create: "POST",
};

type Ask = { method: Method; url: string; contentType: string; body: string | null };

class Client implements KubeApi {
  readonly #transport: Transport;
  readonly #ports: ClientPorts;
  /** Each call needs its own connection. */
  readonly #gate: Gate;
  readonly #closing = new AbortController();

  constructor(transport: Transport, ports: ClientPorts, callsMax: number) {
    this.#transport = transport;
    this.#ports = ports;
    this.#gate = new Gate(callsMax);
  }

  close(): void {
    this.#closing.abort();
  }

  async call(request: KubeRequest): Promise<KubeAnswer> {
    const answer = await this.#timed(request);
    if (request.verb !== "get" && request.verb !== "list") {
      const resource = resourceOf(request.path);
      this.#ports.count(request.verb, resource, request.pool ?? null, answer.kind);
    }
    return answer;
  }

  /** The time limit includes the wait for a connection: nothing is sent after it. */
  async #timed(request: KubeRequest): Promise<KubeAnswer> {
    const { clock } = this.#ports;
    const startedMs = clock.monoMs();
    const stop = new AbortController();
    const late = Promise.withResolvers<KubeAnswer>();
    const cancelWith = (message: string) => {
      late.resolve({ kind: "lost", message });
      stop.abort();
    };
    const onClose = () => cancelWith("the client is closed");
    this.#closing.signal.addEventListener("abort", onClose);
    if (this.#closing.signal.aborted) onClose();
    const cancel = clock.after(request.timeoutMs, () => {
      cancelWith(`no answer in ${request.timeoutMs} ms`);
    });
    try {
      if (!(await this.#gate.enter(stop.signal))) {
        const isClosed = this.#closing.signal.aborted;
        if (isClosed) return { kind: "lost", message: "not sent: the client is closed" };
        const waitedMs = Math.round(clock.monoMs() - startedMs);
        return unsent("ClientThrottled", `no free connection in ${waitedMs} ms`);
      }
      if (request.isWanted?.() === false) {
        this.#gate.leave();
        return notWanted();
      }
      const work = this.#twice(request, stop.signal).finally(() => this.#gate.leave());
      return await Promise.race([work, late.promise]);
    } finally {
      cancel();
      this.#closing.signal.removeEventListener("abort", onClose);
    }
  }

  /** Repeats a request once after 401: it was certainly not done, and credentials are renewed. */
  async #twice(request: KubeRequest, signal: AbortSignal): Promise<KubeAnswer> {
    const query = new URLSearchParams(request.query).toString();
    const ask: Ask = {
      method: METHOD[request.verb],
      url: `${this.#transport.server}${request.path}${query === "" ? "" : `?${query}`}`,
      contentType: request.contentType ?? "application/json",
      body: request.body === undefined ? null : JSON.stringify(request.body),
    };
    const first = await this.#once(ask, signal);
    if (first.kind !== "refused" || first.status !== 401 || signal.aborted) return first;
    this.#transport.refresh();
    return this.#once(ask, signal);
  }

  async #once(ask: Ask, signal: AbortSignal): Promise<KubeAnswer> {
    try {
      const response = await this.#fetch(ask, signal);
      const text = await readBody(response);
      if (text === null) {
        return { kind: "lost", message: `HTTP ${response.status} with more than 64 MiB` };
      }
      const head = { status: response.status, retryAfter: response.headers.get("retry-after") };
      const answer = judgeAnswer(head, parseBody(text), this.#ports.clock.wallMs());
      const warnings = readWarnings(response.headers.get("warning"));
      return answer.kind === "ok" && warnings.length > 0 ? { ...answer, warnings } : answer;
    } catch (cause) {
      return { kind: "lost", message: explain(cause, this.#transport.server) };
    }
  }

  async #fetch({ method, url, contentType, body }: Ask, signal: AbortSignal): Promise<Response> {
    const [headers, tls] = await Promise.all([this.#transport.headers(), this.#transport.tls()]);
    return fetch(url, {
      method,
      headers: {
        ...headers,
        accept: "application/json",
        "user-agent": this.#ports.userAgent,
        ...(body === null ? {} : { "content-type": contentType }),
      },
      ...(body === null ? {} : { body }),
      tls,
      signal,
      // A redirect would send the credentials to another server.
      redirect: "manual",
      timeout: false,
    });
  }

  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    take: (event: WatchEvent) => void,
    options: { signal: AbortSignal; silenceMs: number },
  ): Promise<WatchEnd> {
    const stop = new AbortController();
    const over = Promise.withResolvers<WatchEnd>();
    const onAbort = () => over.resolve({ kind: "ended" });
    const signals = [options.signal, this.#closing.signal];
    for (const signal of signals) signal.addEventListener("abort", onAbort);
    if (signals.some((signal) => signal.aborted)) onAbort();
    let cancel = () => {};
    const heard = () => {
      cancel();
      cancel = this.#ports.clock.after(options.silenceMs, () => {
        over.resolve({ kind: "lost", message: `silent for ${options.silenceMs} ms` });
      });
    };
    heard();
    let isOver = false;
    const hear = (event: WatchEvent) => {
      // Nothing may arrive after the end: the caller has moved on.
      if (!isOver) take(event);
    };
    try {
      const search = new URLSearchParams({ ...query, watch: "true" });
      const url = `${this.#transport.server}${path}?${search}`;
      return await Promise.race([this.#stream(url, hear, heard, stop.signal), over.promise]);
    } finally {
      isOver = true;
      stop.abort();
      cancel();
      for (const signal of signals) signal.removeEventListener("abort", onAbort);
    }
  }

  async #stream(
    url: string,
    take: (event: WatchEvent) => void,
    heard: () => void,
    signal: AbortSignal,
  ): Promise<WatchEnd> {
    const ask: Ask = { method: "GET", url, contentType: "", body: null };
    let response: Response;
    try {
      response = await this.#fetch(ask, signal);
      if (response.status === 401) {
        await response.body?.cancel();
        this.#transport.refresh();
        response = await this.#fetch(ask, signal);
      }
      if (response.status !== 200) return await this.#refusal(response);
    } catch (cause) {
      return { kind: "lost", message: explain(cause, this.#transport.server) };
    }
    heard();
    if (response.body === null) return { kind: "lost", message: "a watch without a body" };
    return readWatch(response.body.getReader(), take, heard);
  }

  async #refusal(response: Response): Promise<WatchEnd> {
    const { status, headers } = response;
    const wallMs = this.#ports.clock.wallMs();
    const retryAfter = headers.get("retry-after");
    const body = parseBody((await readBody(response)) ?? "");
    // A success that is no stream, such as a proxy's page.
    if (status < 300) return { kind: "lost", message: `HTTP ${status} in place of a watch` };
    const answer = judgeAnswer({ status, retryAfter }, body, wallMs);
    if (answer.kind === "refused") {
      return refusedWatch(status, answer.reason, answer.message, answer.retryAfterMs);
    }
    const message = answer.kind === "lost" ? answer.message : `HTTP ${status}`;
    const retryAfterMs = readRetryAfter(retryAfter, wallMs);
    if (retryAfterMs !== null) return { kind: "refused", status, message, retryAfterMs };
    return { kind: "lost", message };
  }
}

type Reader = {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
};

/** An error of the stream is `lost`; an exception of `take` is a bug and propagates. */
async function readWatch(
  reader: Reader,
  take: (event: WatchEvent) => void,
  heard: () => void,
): Promise<WatchEnd> {
  const splitter = new LineSplitter();
  for (;;) {
    const chunk = await reader.read().catch((cause: unknown) => ({ lost: explain(cause) }));
    if ("lost" in chunk) return { kind: "lost", message: chunk.lost };
    if (chunk.done || chunk.value === undefined) {
      return splitter.torn() ? { kind: "lost", message: "torn in a line" } : { kind: "ended" };
    }
    heard();
    const lines = splitter.push(chunk.value);
    if (lines === null) return { kind: "lost", message: "a line of the watch is too long" };
    for (const line of lines) {
      const parsed = parseWatchLine(line);
      if (parsed.kind === "end") return parsed.end;
      if (parsed.kind === "event") take(parsed.event);
    }
  }
}

/** The text of a body; `null` if it is longer than `BODY_BYTES_MAX`. Rejects if it breaks off. */
async function readBody(response: Response): Promise<string | null> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > BODY_BYTES_MAX) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** `undefined` if it is not JSON; `null` for an empty body. */
function parseBody(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `pods/eviction` of `/api/v1/namespaces/a/pods/b/eviction`. */
export function resourceOf(path: string): string {
  const parts = path.split("/").filter((part) => part !== "");
  let rest = parts.slice(parts[0] === "apis" ? 3 : 2);
  if (rest[0] === "namespaces" && rest.length > 2) rest = rest.slice(2);
  const [resource = "", , subresource] = rest;
  return subresource === undefined ? resource : `${resource}/${subresource}`;
}

const EXPLAINED_MAX = 300;

export function explain(cause: unknown, server = "the API server"): string {
  if (!(cause instanceof Error)) return String(cause).slice(0, EXPLAINED_MAX);
  // Bun appends the address and advice for programmers, or asks about a URL that it does not name.
  const nameless = /(?:Unable to connect\. Is the|Was there a typo in the) .*$/s;
  const message = cause.message
    .replace(/\.? (?:fetching "|For more information).*$/s, "")
    .replace(nameless, `cannot connect to ${server}`);
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const shown = code === "" || message.startsWith(code) ? message : `${code}: ${message}`;
  return shown.slice(0, EXPLAINED_MAX);
}
