/**
 * What is different about a database on a libSQL server: others may use it too, and it may not
 * answer.
 *
 * Adapter: network.
 */

/** A server that does not answer is an error like any other, before a lease could end over it. */
const ANSWER_MS = 5_000;

/** The client's way to make a request. */
export function fetchInTime(request: Request): Promise<Response> {
  return fetch(request, { signal: AbortSignal.timeout(ANSWER_MS) });
}

/** Whether a URL names a database that several control planes may share. */
export function isServer(url: string): boolean {
  return /^(libsql|https?|wss?):/.test(url);
}
