/**
 * One call of slurmrestd, over a Unix socket or HTTP: limited in time and size, without redirects,
 * never repeated, with its token read for each call. Messages never hold the token.
 *
 * Adapter: network; reads the file of the token.
 */
import { readFile } from "node:fs/promises";
import { withoutEndSlash } from "../../schema/end-slash.ts";
import type { Clock } from "../core/clock.ts";
import { inTime } from "../core/turn/time-limit.ts";

/** 10,000 jobs are some 80 MB in the newest format. */
const BODY_BYTES_MAX = 256 * 1024 * 1024;
const SHOWN_CHARS = 120;
const JSON_HEADERS = { accept: "application/json", "content-type": "application/json" };

export type RestPlace = {
  /** `unix:/path/of/socket` or `http(s)://host:port`. */
  address: string;
  /** File with the JWT, plain or as `scontrol token` prints it; `null` = the socket is enough. */
  tokenFile: string | null;
  user: string | null;
};

export type RestRequest = { method: "GET" | "POST" | "DELETE"; path: string; body?: unknown };

export type RestAnswer =
  | { kind: "json"; status: number; value: unknown; note?: string }
  | RestFailure;

/** No JSON came. `isUnsent`: the request certainly did not reach slurmrestd. */
export type RestFailure = {
  kind: "failed";
  message: string;
  status: number | null;
  isUnsent: boolean;
  /** What is wrong with the token, if that may be the cause. */
  note?: string;
};

export type RestCall = (request: RestRequest) => Promise<RestAnswer>;

export function openRestCall(place: RestPlace, clock: Clock, timeoutMs: number): RestCall {
  const socket = place.address.startsWith("unix:") ? place.address.slice("unix:".length) : null;
  const base = socket === null ? withoutEndSlash(place.address) : "http://localhost";
  return async ({ method, path, body }) => {
    const stop = new AbortController();
    const late = (): RestAnswer => {
      stop.abort();
      return failed(`slurmrestd: no answer within ${timeoutMs / 1_000} s`);
    };
    const token = await tokenHeaders(place);
    if (token.kind === "failed") return token;
    const work = () =>
      send(`${base}${path}`, {
        method,
        headers: { ...token.headers, ...JSON_HEADERS },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(socket === null ? {} : { unix: socket }),
        redirect: "manual",
        signal: stop.signal,
      });
    const answer = await inTime(clock, timeoutMs, work, late);
    const { expiresAt } = token;
    if (expiresAt === null || expiresAt >= clock.wallMs()) return answer;
    // Told only beside an error: slurmctld's clock decides.
    const at = new Date(expiresAt).toISOString();
    return { ...answer, note: `the token of ${place.tokenFile} expired at ${at}` };
  };
}

async function send(url: string, init: RequestInit & { unix?: string }): Promise<RestAnswer> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (cause) {
    if (!isConnect(cause)) return failed(`slurmrestd: ${explain(cause)}`);
    const why = `slurmrestd does not listen at ${init.unix ?? url} (${codeOf(cause)})`;
    return failed(why, null, true);
  }
  try {
    const { status } = response;
    const text = await readBody(response);
    if (text === null) return failed("slurmrestd: an answer of more than 256 MiB", status);
    try {
      return { kind: "json", status, value: JSON.parse(text) };
    } catch {
      const shown = JSON.stringify(text.trim().slice(0, SHOWN_CHARS));
      return failed(`slurmrestd: HTTP ${status}, expected JSON, found ${shown}`, status);
    }
  } catch (cause) {
    return failed(`slurmrestd: ${explain(cause)}`, response.status);
  }
}

async function readBody(response: Response): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

type Token =
  | { kind: "headers"; headers: Record<string, string>; expiresAt: number | null }
  | RestFailure;

/** Read each time: tokens live for half an hour, and whatever renews them writes the file. */
async function tokenHeaders({ tokenFile, user }: RestPlace): Promise<Token> {
  const name: Record<string, string> = user === null ? {} : { "x-slurm-user-name": user };
  if (tokenFile === null) return { kind: "headers", headers: name, expiresAt: null };
  try {
    const text = (await readFile(tokenFile, "utf8")).trim().replace(/^SLURM_JWT=/, "");
    if (/^[\w.-]+$/.test(text)) {
      const headers = { ...name, "x-slurm-user-token": text };
      return { kind: "headers", headers, expiresAt: expiryOf(text) };
    }
    return failed(`slurm.token_file ${tokenFile} holds no token`, null, true);
  } catch (cause) {
    return failed(`slurm.token_file ${tokenFile}: ${explain(cause)}`, null, true);
  }
}

/** Wall milliseconds; `null` = the token does not say. It is not judged otherwise. */
function expiryOf(token: string): number | null {
  try {
    const claims = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
    const body: unknown = JSON.parse(claims);
    const isObject = typeof body === "object" && body !== null && "exp" in body;
    return isObject && typeof body.exp === "number" && body.exp > 0 ? body.exp * 1_000 : null;
  } catch {
    return null;
  }
}

function failed(message: string, status: number | null = null, isUnsent = false): RestFailure {
  return { kind: "failed", message, status, isUnsent };
}

function explain(cause: unknown): string {
  const code = codeOf(cause);
  const message = cause instanceof Error ? cause.message : "the connection failed";
  return code === null || message.includes(code) ? message : `${message} (${code})`;
}

function codeOf(cause: unknown): string | null {
  return cause instanceof Error && "code" in cause ? String(cause.code) : null;
}

function isConnect(cause: unknown): boolean {
  return ["ConnectionRefused", "ECONNREFUSED", "FailedToOpenSocket", "ENOENT"].includes(
    codeOf(cause) ?? "",
  );
}
