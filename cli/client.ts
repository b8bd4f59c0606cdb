/**
 * The HTTP client of the commands: one answer type, and a message and exit status
 * (docs/cli.md#exit-status) for every failure. It never retries.
 *
 * Adapter: speaks HTTP.
 */
import { readText } from "../reconciler/core/reply.ts";
import type { Address } from "./address.ts";
import { redirected, refusalOf, unexpected, unreachable } from "./answer.ts";
import { type ClientOptions, download, type FileKind, type Seen } from "./download.ts";
import { type Failure, usage } from "./failure.ts";
import type { Token } from "./token.ts";
import type { World } from "./world.ts";

/** Paths of the console have their own prefix. */
const CONSOLE = /^\/api\//;

/** `nowMs` is the server's clock if it sends one (whole seconds), else ours. */
export type Answer<T> = { ok: true; value: T; nowMs: number };

export type Query = Readonly<Record<string, string | readonly string[] | null>>;

/** A plain page (`/healthz`, `/readyz`), whatever its status. */
export type Page = {
  ok: true;
  status: number;
  body: string;
  /** The server's clock, whole seconds. */
  dateMs: number | null;
  tookMs: number;
};

export type Client = {
  readonly address: Address;
  readonly token: Token;
  /** `keys` must be in the answer. */
  get<T>(path: string, keys: readonly string[], query?: Query): Promise<Answer<T> | Failure>;
  send<T>(
    method: "POST" | "PUT" | "DELETE",
    path: string,
    keys: readonly string[],
    body?: Record<string, unknown>,
    /** Sent twice under one key it is done once. */
    idempotencyKey?: string,
  ): Promise<Answer<T> | Failure>;
  /** Asks by POST for a file and writes it, mode 0600, to `out`; no file is left on a failure. */
  download(path: string, out: string, kind: FileKind, seen: Seen): Promise<{ ok: true } | Failure>;
  /** A page outside the API's prefix, without its token. */
  page(path: string): Promise<Page | Failure>;
};

/**
 * Least limit of one request of a waiting command: a late answer is reported as "not reached", not
 * as a dead server.
 */
const EACH_MS_MIN = 5_000;

/** 5,000 nodes of 8 GPUs are about 20 MB; a larger answer is not a control plane's. */
const ANSWER_BYTES_MAX = 128 * 1024 * 1024;

function formatRound(method: string, path: string, status: number, tookMs: number): string {
  return `${method} ${path}: ${status} in ${Math.round(tookMs)} ms\n`;
}

export function openClient(world: World, options: ClientOptions): Client {
  const { address, token, timeoutMs } = options;
  const untilMs = world.monoMs() + timeoutMs;
  const eachMs = options.each ? Math.max(EACH_MS_MIN, timeoutMs) : timeoutMs;
  const request = async (
    method: string,
    path: string,
    body?: Record<string, unknown>,
    { bare = false, key }: { bare?: boolean; key?: string | undefined } = {},
  ): Promise<Page | Failure> => {
    const leftMs = Math.max(1, options.each ? eachMs : untilMs - world.monoMs());
    const headers: Record<string, string> = { accept: bare ? "text/plain" : "application/json" };
    if (token.token !== null && !bare) headers["authorization"] = `Bearer ${token.token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    if (key !== undefined) headers["idempotency-key"] = key;
    const tls = await options.trust.tls(Math.ceil(leftMs));
    if (tls !== null && "ok" in tls) return tls;
    const startMs = world.monoMs();
    try {
      const response = await fetch(`${address.url}${path}`, {
        method,
        headers,
        // A token must not follow a redirect to another host.
        redirect: "manual",
        signal: AbortSignal.timeout(Math.ceil(leftMs)),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(tls && { tls }),
      });
      const text = await readText(response, ANSWER_BYTES_MAX);
      if (text === null) return unexpected(address.url, "the answer is too large");
      const tookMs = world.monoMs() - startMs;
      if (options.verbose) world.err(formatRound(method, path, response.status, tookMs));
      return readPage(response, text, tookMs, address.url);
    } catch (error) {
      return unreachable(address.url, error, eachMs);
    }
  };
  const call = async <T>(
    method: string,
    path: string,
    keys: readonly string[],
    body?: Record<string, unknown>,
    key?: string,
  ): Promise<Answer<T> | Failure> => {
    if (isElsewhere(path)) return usage('an empty name, "." or ".." names nothing');
    const prefix = CONSOLE.test(path) ? "" : "/api/v1";
    const page = await request(method, `${prefix}${path}`, body, { key });
    if (!page.ok) return page;
    if (page.status < 200 || page.status > 299) return refusalOf(address.url, page, token);
    const value = parseAnswer(page.body, keys);
    if (value === null) return unexpected(address.url, `unexpected answer to ${method} ${path}`);
    // Keys are checked; the rest follows the contract of schema/api.ts and is printed defensively.
    return { ok: true, value: value as T, nowMs: page.dateMs ?? world.wallMs() };
  };
  return {
    address,
    token,
    get: (path, keys, query = {}) => call("GET", `${path}${formatQuery(query)}`, keys),
    send: (method, path, keys, body, key) => call(method, path, keys, body, key),
    download: (path, out, kind, seen) => download(options, `/api/v1${path}`, out, kind, seen),
    page: (path) => request("GET", path, undefined, { bare: true }),
  };
}

/** True if a name (empty, `.`, `..`) would change the path of the URL. */
function isElsewhere(path: string): boolean {
  const [, ...parts] = (path.split("?")[0] ?? "").split("/");
  return parts.some((part) => /^\.{0,2}$/.test(part));
}

function readPage(
  { status, headers }: Response,
  body: string,
  tookMs: number,
  url: string,
): Page | Failure {
  const elsewhere = redirected(url, status, headers);
  if (elsewhere !== null) return elsewhere;
  const dateMs = Date.parse(headers.get("date") ?? "");
  return { ok: true, status, body, dateMs: Number.isNaN(dateMs) ? null : dateMs, tookMs };
}

function parseAnswer(text: string, keys: readonly string[]): object | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return keys.every((key) => Object.hasOwn(value, key)) ? value : null;
  } catch {
    return null;
  }
}

export function formatQuery(query: Query): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of value === null ? [] : [value].flat()) pairs.append(key, one);
  }
  const text = pairs.toString();
  return text === "" ? "" : `?${text}`;
}
