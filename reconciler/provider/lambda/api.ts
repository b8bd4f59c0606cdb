/**
 * One call of the Lambda Cloud API, version 1.10.0 (docs/reference/lambda.md): paced, bounded, and
 * its failure as one of the port's classes. Never retries.
 *
 * Adapter: network.
 */
import * as v from "valibot";
import type { Millis } from "../../../schema/millis.ts";
import type { Clock } from "../../core/clock.ts";
import { readRetryAfter, readText, whyUnanswered } from "../../core/reply.ts";
import { Bucket } from "../../core/turn/bucket.ts";
import { pause } from "../../core/turn/time-limit.ts";

const CALL_MS = 30_000;
const BODY_BYTES_MAX = 32 * 1024 * 1024;
/** A call waits this long for its turn; beyond it the caller learns when to come back. */
const PATIENCE_MS = 10_000;
const SHOWN_CHARS = 200;

export type FailureClass =
  | "bad_request"
  | "capacity"
  | "quota"
  | "rate_limit"
  | "auth"
  | "billing"
  | "conflict"
  | "not_found"
  /** It may have been accepted. */
  | "unknown";

export type Failed = {
  kind: "failed";
  class: FailureClass;
  message: string;
  retryAfterMs: Millis | null;
};
export type Got<T> = { kind: "ok"; data: T } | Failed;

export type LambdaApiOptions = {
  /** Without a slash at its end. */
  endpoint: string;
  key: string;
  requestMs: number;
  clock: Clock;
};

const ErrorBody = v.object({ error: v.object({ code: v.string(), message: v.string() }) });

/** By the code's beginning; the message is for people and never read. */
const CODES: readonly (readonly [string, FailureClass])[] = [
  ["instance-operations/launch/insufficient-capacity", "capacity"],
  ["instance-operations/launch/", "bad_request"],
  ["global/quota-exceeded", "quota"],
  ["global/invalid-parameters", "bad_request"],
  ["global/object-does-not-exist", "not_found"],
  ["global/conflict", "conflict"],
  ["global/invalid-api-key", "auth"],
  ["global/forbidden", "auth"],
  ["global/account-inactive", "billing"],
  ["global/invalid-address", "billing"],
];

export class LambdaApi {
  readonly #options: LambdaApiOptions;
  readonly #turns: Bucket;

  constructor(options: LambdaApiOptions) {
    this.#options = options;
    this.#turns = new Bucket({ perSecond: 1_000 / options.requestMs, burst: 1 });
  }

  /** Rejects never. `data` is the checked `data` of the reply. */
  async call<T>(
    method: "GET" | "POST",
    path: string,
    schema: v.GenericSchema<unknown, T>,
    body: object | null = null,
    launches: Bucket | null = null,
  ): Promise<Got<T>> {
    const { clock } = this.#options;
    const mono = clock.monoMs();
    const turnMs = this.#turns.reserve(mono, PATIENCE_MS);
    if (turnMs === null) {
      const message = "waiting for a turn: the account allows one request a second";
      const retryAfterMs = this.#turns.waitMs(mono);
      return { kind: "failed", class: "rate_limit", message, retryAfterMs };
    }
    if (turnMs > 0) await pause(this.#options.clock, turnMs);
    // Taken when the request is sent: Lambda counts from the last launch that reached it.
    if (launches !== null && launches.reserve(clock.monoMs(), 0) === null) {
      const message = "waiting for a turn: the account allows one launch in 12 seconds";
      const retryAfterMs = launches.waitMs(clock.monoMs());
      return { kind: "failed", class: "rate_limit", message, retryAfterMs };
    }
    const answer = await this.#send(method, path, body);
    if (answer.kind === "failed") return answer;
    const read = v.safeParse(v.object({ data: schema }), answer.data);
    if (read.success) return { kind: "ok", data: read.output.data };
    const [issue] = read.issues;
    const at = v.getDotPath(issue) ?? "reply";
    return failed("unknown", `${method} ${path}: ${at}: ${issue.message}`);
  }

  async #send(method: string, path: string, body: object | null): Promise<Got<unknown>> {
    const { endpoint, key } = this.#options;
    const where = `${method} ${path}`;
    try {
      const response = await fetch(`${endpoint}${path}`, {
        method,
        // Bun follows a 301 of a POST as a GET and reports 200.
        redirect: "manual",
        signal: AbortSignal.timeout(CALL_MS),
        headers: {
          authorization: `Bearer ${key}`,
          accept: "application/json",
          ...(body === null ? {} : { "content-type": "application/json" }),
        },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      });
      return await readResponse(where, response, this.#options.clock.wallMs());
    } catch (error) {
      return unanswered(where, error);
    }
  }
}

async function readResponse(
  where: string,
  response: Response,
  wallMs: number,
): Promise<Got<unknown>> {
  const { status, headers } = response;
  if (status >= 300 && status < 400) {
    return failed("bad_request", `${where}: redirected to another address; check endpoint`);
  }
  const text = await readText(response, BODY_BYTES_MAX);
  if (text === null) return failed("unknown", `${where}: the reply is longer than 32 MiB`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (status === 429) {
    const retryAfterMs = readRetryAfter(headers.get("retry-after"), wallMs);
    return { ...failed("rate_limit", `${where}: too many requests`), retryAfterMs };
  }
  if (status >= 200 && status < 300) {
    if (value !== null) return { kind: "ok", data: value };
    return failed("unknown", `${where}: ${status} without JSON`);
  }
  const read = v.safeParse(ErrorBody, value);
  if (!read.success) return failed(byStatus(status), `${where}: HTTP ${status}`);
  const { code, message } = read.output.error;
  const cls = CODES.find(([start]) => code.startsWith(start))?.[1] ?? "unknown";
  return failed(cls, `${where}: ${code}: ${message.slice(0, SHOWN_CHARS)}`);
}

/** A gateway in between answers without a code. */
function byStatus(status: number): FailureClass {
  if (status === 401 || status === 403) return "auth";
  return "unknown";
}

function unanswered(where: string, error: unknown): Failed {
  const { isUnsent, why } = whyUnanswered(error, CALL_MS);
  return failed(isUnsent ? "rate_limit" : "unknown", `${where}: ${why}`);
}

function failed(cls: FailureClass, message: string): Failed {
  return { kind: "failed", class: cls, message, retryAfterMs: null };
}
