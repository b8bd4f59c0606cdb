/**
 * Downloads a file and checks its first bytes. It is written beside its destination and moved there
 * when complete, so that a failure leaves nothing.
 *
 * Adapter: speaks HTTP, writes a file.
 */
import { createWriteStream, existsSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { readText } from "../reconciler/core/reply.ts";
import { redirected, refusalOf, unexpected, unreachable } from "./answer.ts";
import { EXIT, failure, type Failure, usage } from "./failure.ts";
import type { Address } from "./address.ts";
import type { Token } from "./token.ts";
import type { Trust } from "./trust.ts";

/** First bytes of a kind of file, and its name in messages. */
export type FileKind = { magic: string; name: string };

const REFUSAL_BYTES_MAX = 1024 * 1024;

/** `--timeout` bounds each wait for data, not the whole download. */
export async function download(
  options: ClientOptions,
  path: string,
  out: string,
  kind: FileKind,
  seen: Seen,
): Promise<{ ok: true } | Failure> {
  const { address, token, timeoutMs, trust } = options;
  const { url } = address;
  const tls = await trust.tls(timeoutMs);
  if (tls !== null && "ok" in tls) return tls;
  const partial = `${out}.part`;
  const late = openLate(timeoutMs);
  try {
    const response = await fetch(`${url}${path}`, {
      method: "POST",
      redirect: "manual",
      signal: late.signal,
      headers: token.token === null ? {} : { authorization: `Bearer ${token.token}` },
      ...(tls === null ? {} : { tls }),
    });
    const elsewhere = redirected(url, response.status, response.headers);
    if (elsewhere !== null) return elsewhere;
    if (!response.ok) {
      const { status } = response;
      const body = (await readText(response, REFUSAL_BYTES_MAX)) ?? "";
      return refusalOf(url, { status, body }, token);
    }
    const bytes = counted(late.watch(response.body), response.headers, seen);
    await pipeline(bytes, createWriteStream(partial, { mode: 0o600 }));
    const head = await Bun.file(partial).slice(0, kind.magic.length).text();
    if (head !== kind.magic) return unexpected(url, `its answer is not a ${kind.name}`);
    renameSync(partial, out);
    return { ok: true };
  } catch (error) {
    return isOfFile(error) ? cannotWrite(out, error) : unreachable(url, error, timeoutMs);
  } finally {
    late.stop();
    removeFile(partial);
  }
}

/** Called with the received bytes, and the total if the server reports it. */
export type Seen = (bytes: number, total: number | null) => void;

async function* counted(
  chunks: AsyncGenerator<Uint8Array>,
  headers: Headers,
  seen: Seen,
): AsyncGenerator<Uint8Array> {
  const total = Number(headers.get("navarch-bytes") ?? Number.NaN);
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    seen(bytes, Number.isSafeInteger(total) ? total : null);
    yield chunk;
  }
}

type Late = {
  signal: AbortSignal;
  /** The same chunks; each restarts the timeout. */
  watch(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array>;
  stop(): void;
};

function openLate(timeoutMs: number): Late {
  const controller = new AbortController();
  const start = () => setTimeout(() => controller.abort(), timeoutMs);
  let timer = start();
  const stop = (): void => clearTimeout(timer);
  const next = (): void => {
    stop();
    timer = start();
  };
  return {
    signal: controller.signal,
    stop,
    async *watch(body) {
      for await (const bytes of body ?? []) {
        // Time spent writing to a slow disk does not count.
        stop();
        yield bytes;
        next();
      }
    },
  };
}

/** ENOSPC comes without a path; errors of `fetch` have a URL as path. */
function isOfFile(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("code" in error && /^(ENOSPC|EDQUOT|EIO)$/.test(String(error.code))) return true;
  return "path" in error && !String(error.path).includes("://");
}

/** `error` is what writing threw. */
export function cannotWrite(out: string, error: unknown): Failure {
  const said = error instanceof Error ? error.message : String(error);
  return failure(EXIT.failed, "internal", `cannot write ${out}: ${said}`);
}

export function removeFile(path: string): void {
  if (existsSync(path)) rmSync(path, { force: true });
}

/** Checked first, so that the server does not make a file in vain. */
export function checkPlace(out: string): Failure | null {
  if (out === "") return usage("--out: expected the name of a file");
  if (existsSync(out)) return usage(`--out: ${out} exists already`);
  const folder = dirname(resolve(out));
  if (existsSync(folder) && statSync(folder).isDirectory()) return null;
  return usage(`--out: ${out} needs the folder ${folder}, which does not exist`);
}

export type ClientOptions = {
  address: Address;
  token: Token;
  trust: Trust;
  verbose: boolean;
  /** Milliseconds for each request (`each`), or for all of them together. */
  timeoutMs: number;
  each: boolean;
};
