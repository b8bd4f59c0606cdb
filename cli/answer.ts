/**
 * Turns errors of the connection and of the API into failures with an exit status. Pure.
 */
import type { ErrorCode } from "../schema/api.ts";
import { formatDuration } from "../schema/duration.ts";
import { EXIT, type Exit, failure, type Failure } from "./failure.ts";
import type { Token } from "./token.ts";

/** Exit status of each error code. */
const EXIT_OF: Record<ErrorCode, Exit> = {
  invalid_argument: EXIT.usage,
  unauthenticated: EXIT.forbidden,
  permission_denied: EXIT.forbidden,
  not_found: EXIT.notFound,
  node_unknown: EXIT.notFound,
  conflict: EXIT.refused,
  out_of_bounds: EXIT.refused,
  not_cordoned: EXIT.refused,
  gone: EXIT.refused,
  precondition_failed: EXIT.refused,
  too_large: EXIT.usage,
  rate_limited: EXIT.failed,
  budget_blocked: EXIT.refused,
  internal: EXIT.failed,
  cluster_unreachable: EXIT.unreachable,
  unavailable: EXIT.unreachable,
  not_leader: EXIT.unreachable,
  cluster_slow: EXIT.unreachable,
};

/** The error code of an HTTP status, for an answer of a proxy. */
const CODE_OF: Readonly<Record<number, ErrorCode>> = {
  400: "invalid_argument",
  401: "unauthenticated",
  403: "permission_denied",
  404: "not_found",
  409: "conflict",
  412: "precondition_failed",
  413: "too_large",
  422: "invalid_argument",
  429: "rate_limited",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

/** The failure of an answer outside 2xx, which may come from a proxy. */
export function refusalOf(
  url: string,
  page: { status: number; body: string },
  token: Token,
): Failure {
  const said = parseError(page.body);
  const code = said?.code ?? CODE_OF[page.status] ?? "internal";
  if (code === "unauthenticated") return unauthenticated(token);
  const exit = Object.hasOwn(EXIT_OF, code) ? EXIT_OF[code as ErrorCode] : EXIT.failed;
  const message = said?.message ?? `${url} answered ${page.status}`;
  if (code === "permission_denied") {
    const from = token.from === null ? "" : ` (token from ${token.from})`;
    return failure(exit, code, `permission denied: ${message}${from}`, said?.details);
  }
  return failure(exit, code, message, said?.details);
}

function unauthenticated(token: Token): Failure {
  const message =
    token.from === null
      ? "unauthenticated: no token given (set NAVARCH_AUTH_TOKEN or --token)"
      : `unauthenticated: token rejected (it came from ${token.from})`;
  return failure(EXIT.forbidden, "unauthenticated", message);
}

type Said = { code: string; message: string; details: Record<string, unknown> };

function parseError(body: string): Said | null {
  try {
    const { error, code } = JSON.parse(body) as { error?: unknown; code?: unknown };
    // The console's errors are flat.
    if (typeof error === "string" && typeof code === "string") {
      return { code, message: error === "" ? code : error, details: {} };
    }
    if (typeof error !== "object" || error === null) return null;
    if (!("code" in error) || typeof error.code !== "string") return null;
    const message = "message" in error && typeof error.message === "string" ? error.message : "";
    const details = "details" in error && isRecord(error.details) ? error.details : {};
    return { code: error.code, message: message === "" ? error.code : message, details };
  } catch {
    return null;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The failure of a server that is not a control plane. */
export function unexpected(url: string, what: string): Failure {
  const message = `${url} is not a Navarch control plane: ${what}`;
  return failure(EXIT.unreachable, "unreachable", message);
}

/** The failure of a redirect, which is not followed: it would send the token elsewhere. */
export function redirected(url: string, status: number, headers: Headers): Failure | null {
  const location = headers.get("location");
  if (status < 300 || status > 399 || location === null) return null;
  return unexpected(url, `it redirects to ${location} (set --server to that)`);
}

const HINT = "is the control plane running? set --server or NAVARCH_SERVER";

/** No answer came. `error` is what `fetch` threw; Bun puts the system's code in `code`. */
export function unreachable(url: string, error: unknown, timeoutMs: number): Failure {
  const said = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError" || name === "AbortError") {
    const waited = formatDuration(Math.round(timeoutMs));
    const message = `cannot reach ${url}: no answer within ${waited} (raise --timeout)`;
    return failure(EXIT.unreachable, "timeout", message);
  }
  const why = reasonOf(code, said);
  return failure(EXIT.unreachable, "unreachable", `cannot reach ${url}: ${why}`);
}

function reasonOf(code: string, said: string): string {
  const both = `${code} ${said}`;
  if (/ECONNREFUSED|ConnectionRefused/.test(both)) return `connection refused (${HINT})`;
  if (/FailedToOpenSocket/.test(both)) return `the connection could not be opened (${HINT})`;
  if (/ENOTFOUND|EAI_AGAIN|getaddrinfo/.test(both)) {
    return "no such host (check --server or NAVARCH_SERVER)";
  }
  if (/ECONNRESET|ConnectionClosed|EPIPE/.test(both)) return `connection closed (${HINT})`;
  if (/EPROTO/.test(both)) return "it does not use TLS on this port (write http://)";
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|certificate/i.test(both)) {
    const hint = "trust its CA with --ca-fingerprint or --ca-file, or pass --insecure";
    return `its certificate is not trusted: ${said} (${hint})`;
  }
  return said === "" ? code : said;
}
