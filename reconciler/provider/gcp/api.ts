/**
 * One call of the Compute Engine API, v1 (docs/reference/gce.md): with a token, paced, bounded, and
 * its failure as one of the port's classes. Repeats a call only after 401, which proves that
 * nothing was done.
 *
 * Adapter: network.
 */
import * as v from "valibot";
import type { Millis } from "../../../schema/millis.ts";
import type { Clock } from "../../core/clock.ts";
import { readRetryAfter, readText, whyUnanswered } from "../../core/reply.ts";
import { Bucket } from "../../core/turn/bucket.ts";
import { pause } from "../../core/turn/time-limit.ts";
import { type FailureClass, readRefusal } from "./error.ts";
import type { Tokens } from "../../google/token.ts";

const CALL_MS = 15_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** A call waits this long for its turn; beyond it the caller learns when to come back. */
const PATIENCE_MS = 10_000;

export type Failed = {
  kind: "failed";
  class: FailureClass;
  message: string;
  retryAfterMs: Millis | null;
};
export type Got<T> = { kind: "ok"; data: T } | Failed;

export type GceApiOptions = {
  /** Up to the version and without a slash at its end. */
  endpoint: string;
  project: string;
  requestMs: number;
  tokens: Tokens;
  clock: Clock;
};

export type Call<T> = {
  method: "GET" | "POST" | "DELETE";
  /** Below the project, or a whole address. */
  path: string;
  schema: v.GenericSchema<unknown, T>;
  query?: Readonly<Record<string, string>>;
  body?: object;
};

export class GceApi {
  readonly #options: GceApiOptions;
  readonly #turns: Bucket;

  constructor(options: GceApiOptions) {
    this.#options = options;
    this.#turns = new Bucket({ perSecond: 1_000 / options.requestMs, burst: 1 });
  }

  /** Rejects never. */
  async call<T>(call: Call<T>): Promise<Got<T>> {
    const mono = this.#options.clock.monoMs();
    const turnMs = this.#turns.reserve(mono, PATIENCE_MS);
    if (turnMs === null) {
      const message = "waiting for a turn: rate_limit bounds the requests a second";
      const retryAfterMs = this.#turns.waitMs(mono);
      return { kind: "failed", class: "rate_limit", message, retryAfterMs };
    }
    if (turnMs > 0) await pause(this.#options.clock, turnMs);
    const answer = await this.#authorized(call);
    if (answer.kind === "failed") return answer;
    const read = v.safeParse(call.schema, answer.data);
    if (read.success) return { kind: "ok", data: read.output };
    const [issue] = read.issues;
    const at = v.getDotPath(issue) ?? "reply";
    return failed("unknown", `${call.method} ${call.path}: ${at}: ${issue.message}`);
  }

  async #authorized<T>(call: Call<T>): Promise<Got<unknown>> {
    const { tokens } = this.#options;
    for (let again = false; ; again = true) {
      const token = await tokens.get();
      if (token.kind === "failed") return failed(token.class, token.message);
      const { answer, status } = await this.#send(call, token.token);
      if (status !== 401) return answer;
      // The next call asks for another: this one was revoked or expired early.
      tokens.drop(token.token);
      if (again) return answer;
    }
  }

  async #send<T>(call: Call<T>, token: string): Promise<{ answer: Got<unknown>; status: number }> {
    const { endpoint, project, clock } = this.#options;
    const { method, path, query = {}, body } = call;
    const where = `${method} ${path}`;
    const base = path.includes("://") ? path : `${endpoint}/projects/${project}${path}`;
    const search = new URLSearchParams(query).toString();
    try {
      const response = await fetch(search === "" ? base : `${base}?${search}`, {
        method,
        // Bun follows a 301 of a POST as a GET and reports 200.
        redirect: "manual",
        signal: AbortSignal.timeout(CALL_MS),
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const wallMs = clock.wallMs();
      return { answer: await readResponse(where, response, wallMs), status: response.status };
    } catch (error) {
      return { answer: unanswered(where, error), status: 0 };
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
  const value = await readJson(response);
  if (status >= 200 && status < 300) {
    if (typeof value === "object" && value !== null) return { kind: "ok", data: value };
    return failed("unknown", `${where}: ${status} without a JSON object`);
  }
  const retryAfterMs = readRetryAfter(headers.get("retry-after"), wallMs);
  const refusal = readRefusal(value);
  const cls = classOf(status, refusal?.class ?? "unknown", refusal !== null);
  const message = `${where}: ${refusal?.message ?? `HTTP ${status}`}`;
  return { kind: "failed", class: cls, message, retryAfterMs };
}

/** A gateway in between answers without a code. */
function classOf(status: number, cls: FailureClass, hasCode: boolean): FailureClass {
  if (status === 429) return cls === "quota" ? "quota" : "rate_limit";
  if (status === 401 || (status === 403 && !hasCode)) return "auth";
  return cls;
}

/** `undefined` for a body that is no JSON or too long. */
async function readJson(response: Response): Promise<unknown> {
  const text = await readText(response, BODY_BYTES_MAX);
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

function unanswered(where: string, error: unknown): Failed {
  const { isUnsent, why } = whyUnanswered(error, CALL_MS);
  return failed(isUnsent ? "rate_limit" : "unknown", `${where}: ${why}`);
}

/** A reading call's failure, as the port has it. */
export function failedOf({ class: cls, message }: Failed) {
  const known = cls === "auth" || cls === "rate_limit" ? cls : "unavailable";
  return { kind: "failed" as const, class: known, message } as const;
}

function failed(cls: FailureClass, message: string): Failed {
  return { kind: "failed", class: cls, message, retryAfterMs: null };
}
