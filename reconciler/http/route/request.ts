/**
 * What routes do with a request before they act on it: who may call, what the body and the query
 * say, and the one shape of a refusal. A refusal is thrown where it is noticed, and `app.ts` turns
 * it into the answer, so that a handler reads as what happens when all is well.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { ErrorCode } from "../../../schema/api.ts";
import { roleIncludes, type Role } from "../../../schema/credential.ts";
import type { EventDraft } from "../../../schema/event.ts";
import { nearest } from "../../../schema/nearest.ts";
import type { Env, RoutePorts } from "./app.ts";

/** Thrown for an answer that is an error. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** Throws that the request itself is wrong. */
export function invalid(message: string): never {
  throw new Refusal("invalid_argument", message);
}

/** Lets only `role` and above through. */
export function needs(role: Exclude<Role, "node">) {
  return async (c: Context<Env>, next: () => Promise<void>): Promise<void> => {
    const { name, role: has } = c.get("principal");
    if (!roleIncludes(has, role)) {
      throw new Refusal("permission_denied", `${name} has role ${has}; this needs ${role}`);
    }
    await next();
  };
}

/** Reads and checks a JSON body; the error names the path, what was expected and what was found. */
export async function readBody<S extends v.GenericSchema>(
  c: Context<Env>,
  schema: S,
): Promise<v.InferOutput<S>> {
  const text = await c.req.text();
  let raw: unknown;
  try {
    raw = text === "" ? {} : JSON.parse(text);
  } catch {
    // What could not be read is not repeated: it may be a secret in the wrong place.
    return invalid("body is not JSON");
  }
  return parse(schema, raw);
}

/** What a person asks for: the body, by whom, and when. */
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
  return parse(schema, c.req.query());
}

/** A time of the query, as milliseconds. */
export const queryTime = v.optional(
  v.pipe(
    v.string(),
    v.transform((text) => Date.parse(text)),
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

/** One mistake is told, so no more are looked for. */
function parse<S extends v.GenericSchema>(schema: S, raw: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, raw, { abortEarly: true });
  return parsed.success ? parsed.output : invalid(sayIssue(parsed.issues[0]));
}

/** A message says what is wrong, and does not carry the whole value back. */
const ISSUE_CHARS_MAX = 300;

/** `gpus[0].index: expected number, found "x"`. */
export function sayIssue(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? "body";
  const said = `${path}: ${issue.message}`;
  return said.length <= ISSUE_CHARS_MAX ? said : `${said.slice(0, ISSUE_CHARS_MAX - 1)}…`;
}

/** ` (did you mean "x"?)`, or nothing where no allowed name is near. */
export function sayNear(given: string, allowed: readonly string[]): string {
  const near = nearest(given, allowed);
  return near === null ? "" : ` (did you mean "${near}"?)`;
}

/** Why something is done, where it need not be said. */
export const reasonOrNone = v.optional(v.pipe(v.string(), v.maxLength(1_024)), "");

/** The event that tells what a person did. */
export function eventBy(
  by: string,
  event: Pick<EventDraft, "at" | "kind" | "message"> & Partial<EventDraft>,
): EventDraft {
  return { node: null, pool: null, session: null, ...event, actor: `human:${by}` };
}
