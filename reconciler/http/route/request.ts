/**
 * What routes do with a request before they act on it: read body and query, and refuse. A refusal
 * is thrown, and `app.ts` makes the answer.
 */
import type { Context } from "hono";
import * as v from "valibot";
import { ERROR_STATUS, type ErrorCode } from "../../../schema/api.ts";
import { cutText } from "../../../schema/cut-text.ts";
import { parseDuration } from "../../../schema/duration.ts";
import type { EventDraft } from "../../../schema/event.ts";
import { CommandId } from "../../../schema/id.ts";
import { nearest } from "../../../schema/nearest.ts";
import { StaleEpoch, StoreFailed } from "../../core/store.ts";
import { type Env, type RoutePorts, sectionOf } from "./route.ts";
import { parseInstant } from "../../../schema/instant.ts";

/** A message may name what was sent, and that may be as long as a body. */
const MESSAGE_CHARS_MAX = 2_000;

/** Thrown for an answer that is an error. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}) {
    super(cutText(message, MESSAGE_CHARS_MAX));
    this.code = code;
    this.details = details;
  }
}

/** What an error says to the caller; `null` = it is a bug, and is only logged. */
export function refusalFor(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error;
  // Another replica leads. Nothing was written, so the same request can be repeated there.
  if (error instanceof StaleEpoch) return new Refusal("not_leader", error.message);
  return error instanceof StoreFailed ? new Refusal("unavailable", error.message) : null;
}

/** An error answer. `retryS` is `Retry-After` in seconds, for errors that pass. */
export function refuse(
  c: Context<Env>,
  code: ErrorCode,
  message: string,
  details: Record<string, unknown> = {},
  retryS = 1,
): Response {
  c.set("code", code);
  // What is wrong with a body is told by quoting it, and the audit keeps no body.
  if (code !== "invalid_argument") c.set("detail", message);
  if (code === "unauthenticated") c.header("WWW-Authenticate", 'Bearer realm="navarch"');
  const passing = code === "unavailable" || code === "not_leader" || code === "rate_limited";
  if (passing) c.header("Retry-After", String(retryS));
  const error = { code, message, details, request_id: c.get("requestId") ?? "" };
  const body = sectionOf(c.req.path)?.kind === "console" ? { error: message, code } : { error };
  return c.json(body, ERROR_STATUS[code]);
}

/**
 * The same error shape for a request that does not reach the application, such as a refused
 * upgrade. `retryMs` becomes `Retry-After`; `status` replaces the code's own.
 */
export function refuseUpgrade(
  code: ErrorCode,
  message: string,
  more: { retryMs?: number | null; status?: number } = {},
): Response {
  const { retryMs = null, status = ERROR_STATUS[code] } = more;
  const error = { code, message, details: {}, request_id: "" };
  const answer = Response.json({ error }, { status });
  if (status === 401) answer.headers.set("WWW-Authenticate", 'Bearer realm="navarch"');
  if (retryMs !== null) answer.headers.set("Retry-After", String(Math.ceil(retryMs / 1_000)));
  return answer;
}

/** Throws that the request itself is wrong. */
export function invalid(message: string): never {
  throw new Refusal("invalid_argument", message);
}

/** Reads and checks a JSON body; the error names the path, what was expected and what was found. */
export async function readBody<S extends v.GenericSchema>(
  c: Context<Env>,
  schema: S,
): Promise<v.InferOutput<S>> {
  if (c.get("route").body !== schema) throw new Error(`${c.req.path}: its row has another body`);
  const text = await c.req.text();
  const body: unknown = parse(schema, text === "" ? {} : parseJson(text, "body"));
  const { reason } = (body ?? {}) as { reason?: unknown };
  // Why a person did it is in the audit, beside what was done.
  if (typeof reason === "string" && reason.trim() !== "") c.set("detail", `reason: ${reason}`);
  return body as v.InferOutput<S>;
}

/** The parser's own message would repeat the text, which may hold a secret. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return invalid(`${what} is not JSON`);
  }
}

/** A person's request: the body, the person's name, and the time. */
export async function readAsked<S extends v.GenericSchema>(
  c: Context<Env>,
  { clock }: Pick<RoutePorts, "clock">,
  schema: S,
): Promise<{ body: v.InferOutput<S>; by: string; now: number }> {
  const body = await readBody(c, schema);
  return { body, by: c.get("principal").name, now: clock.wallMs() };
}

/** Reads and checks the query; keys that the schema does not name are ignored. */
export function readQuery<S extends v.GenericSchema>(c: Context<Env>, schema: S) {
  if (c.get("route").query !== schema) throw new Error(`${c.req.path}: its row has another query`);
  return parse(schema, c.req.query());
}

/** The query of lists that one node filters. */
export const OfNode = v.object({ node: v.optional(v.string()) });

/** A time of the query, as milliseconds. */
export const queryTime = v.optional(
  v.pipe(
    v.string(),
    v.transform((text) => parseInstant(text)),
    v.check((at) => !Number.isNaN(at), "expected an RFC 3339 time"),
  ),
);

/** A number of the query; `message` says what was expected. */
export const queryNumber = (message: string, least = 0) =>
  v.optional(
    v.pipe(
      v.string(),
      v.transform(Number),
      v.check((value) => Number.isInteger(value) && value >= least, message),
    ),
  );

/** Only the first issue is reported, so parsing stops there. */
export function parse<S extends v.GenericSchema>(schema: S, raw: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, raw, { abortEarly: true });
  return parsed.success ? parsed.output : invalid(sayIssue(parsed.issues[0]));
}

/** Milliseconds of a duration in the body, such as `24h`. */
export function durationOf(key: string, text: string): number {
  const span = parseDuration(text);
  if (span.ok) return span.ms;
  return invalid(`${key}: ${span.message}${span.hint === null ? "" : ` (${span.hint})`}`);
}

export function idempotencyKey(c: Context<Env>): CommandId | null {
  const key = v.safeParse(v.nullish(CommandId, null), c.req.header("Idempotency-Key"));
  return key.success ? key.output : invalid(`Idempotency-Key: ${key.issues[0].message}`);
}

/** A message names the problem and does not repeat the whole value. */
const ISSUE_CHARS_MAX = 300;

/** `gpus[0].index: expected number, found "x"`. */
export function sayIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? "body";
  const text = `${path}: ${issue.message}`;
  return text.length <= ISSUE_CHARS_MAX ? text : `${text.slice(0, ISSUE_CHARS_MAX - 1)}…`;
}

/** ` (did you mean "x"?)`, or nothing if no allowed name is near. */
export function sayNear(given: string, allowed: readonly string[]): string {
  const near = nearest(given, allowed);
  return near === null ? "" : ` (did you mean "${near}"?)`;
}

/** There is no such thing. `details.near` is the name in the message. */
export function unknown(what: string, given: string, allowed: readonly string[]): Refusal {
  const near = nearest(given, allowed);
  const message = `no ${what} ${given}${sayNear(given, allowed)}`;
  return new Refusal("not_found", message, near === null ? {} : { near });
}

/** An optional reason. */
export const reasonOrNone = v.optional(v.pipe(v.string(), v.maxLength(1_024)), "");

/** `: REASON`, or nothing. */
export const sayReason = (reason: string): string => (reason === "" ? "" : `: ${reason}`);

/** The event that records what a person did. */
export function eventBy(
  by: string,
  event: Pick<EventDraft, "at" | "kind" | "message"> & Partial<EventDraft>,
): EventDraft {
  return { node: null, pool: null, session: null, ...event, actor: `human:${by}` };
}
