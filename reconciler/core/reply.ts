/** Bounded bodies of HTTP replies, when to ask again, and what a request without a reply proves. */
import { type Millis, waitMs } from "../../schema/millis.ts";

/** `null` if it is longer. */
export async function readText(response: Response, bytesMax: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/**
 * Why `fetch` rejected under `AbortSignal.timeout(limitMs)`. `isUnsent`: a refused connection or a
 * name that does not resolve proves that nothing was sent.
 */
export function whyUnanswered(error: unknown, limitMs: number): { isUnsent: boolean; why: string } {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const isUnsent = ["ConnectionRefused", "ECONNREFUSED", "ENOTFOUND"].includes(code);
  const name = error instanceof Error ? error.name : "error";
  const why = name === "TimeoutError" ? `no answer within ${limitMs / 1_000} s` : code || name;
  return { isUnsent, why };
}

/**
 * `Retry-After` as seconds or as a date (RFC 9110 §10.2.3), in milliseconds from `wallMs`; `null`
 * if it is absent or invalid.
 */
export function readRetryAfter(header: string | null, wallMs: number): Millis | null {
  if (header === null) return null;
  if (/^\s*\d{1,9}\s*$/.test(header)) return waitMs(Number(header) * 1_000);
  const at = /[A-Za-z]/.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? null : waitMs(at - wallMs);
}

/** Whether a secret may be sent there; only addresses of this machine need no TLS. */
export function isPrivate(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || hostname === "127.0.0.1" || hostname === "localhost";
}
