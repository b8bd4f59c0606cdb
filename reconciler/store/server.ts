/**
 * Databases on a libSQL server, which other processes may use and which may not answer.
 *
 * Adapter: network.
 */

/** Below the lease's length, so that a server that does not answer is an error before it ends. */
const ANSWER_MS = 5_000;

export function fetchInTime(request: Request): Promise<Response> {
  return fetch(request, { signal: AbortSignal.timeout(ANSWER_MS) });
}

/** Whether several control planes may share the database. */
export function isServer(url: string): boolean {
  return /^(libsql|https?|wss?):/.test(url);
}
