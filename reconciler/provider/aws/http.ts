/**
 * One HTTP request to AWS or a machine's own metadata: bounded in time and size, never redirected,
 * never repeated.
 *
 * Adapter: network.
 */
import { readText, whyUnanswered } from "../../core/reply.ts";
import { type Failed, failed } from "./failure.ts";

const BODY_BYTES_MAX = 32 * 1024 * 1024;

export type Reply = { kind: "ok"; status: number; text: string };

export type HttpRequest = {
  /** For messages: the call, without addresses and secrets. */
  what: string;
  method: "GET" | "PUT" | "POST";
  url: URL;
  headers: Record<string, string>;
  body: string | null;
  limitMs: number;
};

/** Rejects never. A refused connection and an unknown name prove that nothing was sent. */
export async function send(request: HttpRequest): Promise<Reply | Failed> {
  const { what, method, url, headers, body, limitMs } = request;
  try {
    const response = await fetch(url, {
      method,
      headers,
      body,
      // Bun follows a 301 of a POST as a GET and reports 200.
      redirect: "manual",
      signal: AbortSignal.timeout(limitMs),
    });
    const { status } = response;
    if (status >= 300 && status < 400) {
      return failed("bad_request", `${what}: redirected to another address; check endpoint`);
    }
    const text = await readText(response, BODY_BYTES_MAX);
    if (text === null) return failed("unknown", `${what}: the reply is longer than 32 MiB`);
    return { kind: "ok", status, text };
  } catch (error) {
    const { isUnsent, why } = whyUnanswered(error, limitMs);
    return failed(isUnsent ? "unsent" : "unknown", `${what}: ${why} (${url.host})`);
  }
}
