/** Bounded bodies of HTTP replies, and what a request without a reply proves. */

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
