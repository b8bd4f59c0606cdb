/**
 * The port to an API server over Bun's `fetch` with TLS stated for each call
 * (docs/reference/runtime.md#http, the stock client loses the client certificate on some versions).
 * Every call and every watch ends by itself: Bun's own time limit is off, because it would end a
 * quiet watch after six minutes, and timers of ours stand in its place. A PATCH or POST is sent
 * once; a DELETE whose kept connection turns out to be dead is sent again by Bun, which its UID
 * precondition makes harmless (measured, 1.4.5).
 *
 * Adapter: the network.
 */
import type { Clock } from "../core/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest, KubeVerb, WatchEnd, WatchEvent } from "./api.ts";
import type { Transport } from "./connect.ts";
import { judgeAnswer, readRetryAfter } from "./answer.ts";
import { notWanted, unsent } from "./limiter.ts";
import { LineSplitter, parseWatchLine, refusedWatch } from "./watch-stream.ts";

export type ClientPorts = {
  clock: Clock;
  /** Once for each write, when its end is known. `resource` is `nodes`, `pods/eviction` … */
  count: (verb: KubeVerb, resource: string, pool: string | null, outcome: Outcome) => void;
  userAgent: string;
};
export type Outcome = KubeAnswer["kind"];

/**
 * Calls at once; watches come on top, and there are a handful. More than this gains nothing: the
 * server answers 60 writes in some 20 ms, which is well over what the limiter lets through.
 */
const CALLS_MAX = 60;
/** A page of 500 pods with long specifications is some 10 MiB. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

export function openClient(transport: Transport, ports: ClientPorts): KubeApi {
  return new Client(transport, ports);
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
  readonly #gate = new SocketGate(CALLS_MAX);
  readonly #closing = new AbortController();

  constructor(transport: Transport, ports: ClientPorts) {
    this.#transport = transport;
    this.#ports = ports;
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

  /** The wait for a connection is inside the limit: nothing may be sent after its time. */
  async #timed(request: KubeRequest): Promise<KubeAnswer> {
    const { clock } = this.#ports;
    const startedMs = clock.monoMs();
    const stop = new AbortController();
    const late = Promise.withResolvers<KubeAnswer>();
    const giveUp = (message: string) => {
      late.resolve({ kind: "lost", message });
      stop.abort();
    };
    const onClose = () => giveUp("the client is closed");
    this.#closing.signal.addEventListener("abort", onClose);
    if (this.#closing.signal.aborted) onClose();
    const cancel = clock.after(request.timeoutMs, () => {
      giveUp(`no answer in ${request.timeoutMs} ms`);
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

  /** 401 is the one answer after which the request certainly was not done and trying is right. */
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
      const text = await readBody(response, BODY_BYTES_MAX);
      if (text === null) {
        return { kind: "lost", message: `HTTP ${response.status} with more than 64 MiB` };
      }
      const head = { status: response.status, retryAfter: response.headers.get("retry-after") };
      return judgeAnswer(head, parseBody(text), this.#ports.clock.wallMs());
    } catch (cause) {
      return { kind: "lost", message: explain(cause) };
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
      // A redirect would carry the credentials to another place.
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
    const end = (why: WatchEnd) => over.resolve(why);
    const onAbort = () => end({ kind: "ended" });
    const signals = [options.signal, this.#closing.signal];
    for (const signal of signals) signal.addEventListener("abort", onAbort);
    if (signals.some((signal) => signal.aborted)) onAbort();
    let cancel = () => {};
    const heard = () => {
      cancel();
      cancel = this.#ports.clock.after(options.silenceMs, () => {
        end({ kind: "lost", message: `silent for ${options.silenceMs} ms` });
      });
    };
    heard();
    let isOver = false;
    const hear = (event: WatchEvent) => {
      // After the end nothing may arrive any more: the caller has moved on.
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
      return { kind: "lost", message: explain(cause) };
    }
    heard();
    if (response.body === null) return { kind: "lost", message: "a watch without a body" };
    return readWatch(response.body.getReader(), take, heard);
  }

  async #refusal(response: Response): Promise<WatchEnd> {
    const { status, headers } = response;
    const wallMs = this.#ports.clock.wallMs();
    const retryAfter = headers.get("retry-after");
    const body = parseBody((await readBody(response, BODY_BYTES_MAX)) ?? "");
    // A success that is no stream (a proxy's page) is as little a watch as an error is.
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

/** What `take` throws is a bug and ends the watch as one; what the stream throws is a lost line. */
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

/** The text of a body; `null` if it is longer than `bytesMax`. Rejects if it breaks off. */
async function readBody(response: Response, bytesMax: number): Promise<string | null> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > bytesMax) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** `undefined` if it is no JSON; an empty body is `null`. */
function parseBody(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `/api/v1/namespaces/a/pods/b/eviction` is about `pods/eviction`. */
export function resourceOf(path: string): string {
  const parts = path.split("/").filter((part) => part !== "");
  let rest = parts.slice(parts[0] === "apis" ? 3 : 2);
  if (rest[0] === "namespaces" && rest.length > 2) rest = rest.slice(2);
  const [resource = "", , subresource] = rest;
  return subresource === undefined ? resource : `${resource}/${subresource}`;
}

const EXPLAINED_MAX = 300;

function explain(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause).slice(0, EXPLAINED_MAX);
  // Bun adds the address and advice for programmers behind the first sentence.
  const message = cause.message.replace(/\.? (?:fetching "|For more information).*$/s, "");
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const shown = code === "" || message.startsWith(code) ? message : `${code}: ${message}`;
  return shown.slice(0, EXPLAINED_MAX);
}

/** Bounds concurrent calls, first come, first served: each call needs its own connection. */
class SocketGate {
  #free: number;
  readonly #waiting = new Set<(entered: boolean) => void>();

  constructor(socketsMax: number) {
    this.#free = socketsMax;
  }

  /** `false` if the signal aborted first; after `true` the caller must call `leave()`. */
  enter(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const settle = (entered: boolean) => {
      this.#waiting.delete(settle);
      signal.removeEventListener("abort", give);
      resolve(entered);
    };
    const give = () => settle(false);
    signal.addEventListener("abort", give);
    this.#waiting.add(settle);
    return promise;
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free += 1;
    else next(true);
  }
}
