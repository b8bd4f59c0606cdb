/**
 * One GET of a metrics source: bounded in time and size, without redirects, with its token read for
 * each request. Never retries, and its messages hold neither the token nor the query.
 *
 * Adapter: network; reads the files of the token and of the authority.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import type { External } from "../core/scaling/external.ts";

/** A number's document; a page of metrics may hold thousands of nodes. */
const BODY_BYTES_MAX = 1024 * 1024;
const PAGE_BYTES_MAX = 64 * 1024 * 1024;
const SHOWN_CHARS = 120;

export type Environment = Readonly<Record<string, string | undefined>>;

export type Document =
  | { kind: "json"; status: number; value: unknown }
  | { kind: "failed"; message: string };

export type Page = { kind: "text"; status: number; text: string } | Failed;

type Failed = { kind: "failed"; message: string };

/** How a source is reached. */
export type Access = Pick<External, "timeoutMs" | "tokenEnv" | "tokenFile" | "username" | "caFile">;

const failed = (message: string): Failed => ({ kind: "failed", message });

/** Never rejects. A reply that is not JSON, and a redirect, are failures. */
export async function getDocument(url: string, from: Access, env: Environment): Promise<Document> {
  const page = await get(url, from, env, { accept: "application/json", most: BODY_BYTES_MAX });
  if (page.kind === "failed") return page;
  const { status, text } = page;
  try {
    return { kind: "json", status, value: JSON.parse(text) };
  } catch {
    const shown = text.trim().slice(0, SHOWN_CHARS);
    const found = shown === "" ? "nothing" : JSON.stringify(shown);
    return failed(`${new URL(url).host}: HTTP ${status}, expected JSON, found ${found}`);
  }
}

/** A page of text, such as metrics. Never rejects; a redirect is a failure. */
export function getPage(url: string, from: Access, env: Environment): Promise<Page> {
  return get(url, from, env, { accept: "text/plain", most: PAGE_BYTES_MAX });
}

async function get(
  url: string,
  from: Access,
  env: Environment,
  { accept, most }: { accept: string; most: number },
): Promise<Page> {
  const host = new URL(url).host;
  try {
    const token = await readToken(from, env);
    if ("why" in token) return failed(token.why);
    const ca = from.caFile === null ? null : await readOwn("ca_file", from.caFile);
    if (ca !== null && "why" in ca) return failed(ca.why);
    const response = await fetch(url, {
      redirect: "manual",
      signal: AbortSignal.timeout(from.timeoutMs),
      headers: { accept, ...headersOf(from, token.text) },
      ...(ca === null ? {} : { tls: { ca: ca.text } }),
    });
    return await readReply(host, response, most);
  } catch (error) {
    return failed(`${host}: ${reasonOf(error, from.timeoutMs)}`);
  }
}

async function readReply(host: string, response: Response, most: number): Promise<Page> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    await response.body?.cancel();
    return failed(`${host}: HTTP ${status}, a redirect, which is not followed; check url`);
  }
  const text = await readText(response, most);
  if (text === null) return failed(`${host}: the reply is longer than ${most / 1024 / 1024} MiB`);
  if (status === 401 || status === 403) return failed(`${host}: HTTP ${status}; check the token`);
  return { kind: "text", status, text };
}

async function readText(response: Response, most: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > most) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

type Own = { text: string } | { why: string };

async function readOwn(key: string, given: string): Promise<Own> {
  const path = given.startsWith("~/") ? `${homedir()}${given.slice(1)}` : given;
  try {
    return { text: await readFile(path, "utf8") };
  } catch {
    return { why: `${key} ${given} cannot be read` };
  }
}

/** An empty text is no token. */
async function readToken({ tokenEnv, tokenFile }: Access, env: Environment): Promise<Own> {
  if (tokenEnv === null && tokenFile === null) return { text: "" };
  const given: Own = { text: env[tokenEnv ?? ""] ?? "" };
  const read = tokenFile === null ? given : await readOwn("token_file", tokenFile);
  if ("why" in read) return read;
  const text = read.text.trim();
  const name = tokenFile === null ? `token_env ${tokenEnv}` : `token_file ${tokenFile}`;
  if (text === "") return { why: `${name} is empty` };
  // A header takes nothing else, and the message must not repeat the token.
  return /^[\x21-\x7e]+$/.test(text) ? { text } : { why: `${name} is not printable ASCII` };
}

function headersOf({ username }: Access, token: string): Record<string, string> {
  if (token === "") return {};
  if (username === null) return { authorization: `Bearer ${token}` };
  return { authorization: `Basic ${Buffer.from(`${username}:${token}`).toString("base64")}` };
}

function reasonOf(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return "the request failed";
  if (error.name === "TimeoutError") return `no answer within ${timeoutMs / 1_000} s`;
  return "code" in error ? String(error.code) : error.name;
}
