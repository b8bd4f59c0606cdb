/**
 * Classifies errors of Compute Engine by their codes (docs/reference/gce.md#errors): those of a
 * refused request, and those of an operation that was accepted and failed later. Pure.
 */
import * as v from "valibot";
import type { RefusalClass } from "../../core/provider.ts";

export type FailureClass =
  | "bad_request"
  | "capacity"
  | "quota"
  | "rate_limit"
  | "auth"
  | "billing"
  | "not_found"
  /** The name is in use. */
  | "exists"
  /** It may have been accepted. */
  | "unknown";

const SHOWN_CHARS = 300;

/** First match wins: a quota code may contain the word of a class below it. */
const CODES: readonly (readonly [RegExp, FailureClass])[] = [
  [/RESOURCE_POOL_EXHAUSTED|^insufficientCapacity$/, "capacity"],
  // A Spot VM that was preempted while it was created.
  [/^UNSUPPORTED_OPERATION$/, "capacity"],
  [/RATE_?LIMIT_?EXCEEDED|OPERATION_RATE_EXCEEDED|^dailyLimitExceeded$/i, "rate_limit"],
  [/^RESOURCE_EXHAUSTED$|^resourceNotReady$/, "rate_limit"],
  [/QUOTA/i, "quota"],
  [/BILLING/i, "billing"],
  [/^(forbidden|insufficientPermissions|accessNotConfigured|authError|loginRequired)$/, "auth"],
  [/PERMISSIONS_ERROR|PERMISSION_DENIED|SERVICE_DISABLED|UNAUTHENTICATED|ACCESS_TOKEN/, "auth"],
  [/ALREADY_?EXISTS/i, "exists"],
  [/^(RESOURCE_)?NOT_FOUND$|^notFound$/, "not_found"],
  [/IP_SPACE_EXHAUSTED|CONDITION_?NOT_?MET|FAILED_PRECONDITION/i, "bad_request"],
  [/^(invalid|required|badRequest|parseError|resourceInUse)/, "bad_request"],
  [/^INVALID|_INVALID$|^BAD_REQUEST$|^UNSUPPORTED_/, "bad_request"],
];

/** A full reservation has no code of its own. */
const RESERVATION = /does not have available resources|No available resources in specified reserv/;

export function classify(codes: readonly string[], message: string): FailureClass {
  if (RESERVATION.test(message)) return "capacity";
  for (const code of codes) {
    const found = CODES.find(([pattern]) => pattern.test(code));
    if (found !== undefined) return found[1];
  }
  return "unknown";
}

const text = v.nullish(v.string(), "");
const Body = v.object({
  error: v.object({
    message: text,
    status: text,
    errors: v.nullish(v.array(v.object({ reason: text })), []),
    details: v.nullish(v.array(v.object({ reason: text })), []),
  }),
});

/** Class and sentence of a refused request; `null` = the body is not Google's. */
export function readRefusal(body: unknown): { class: FailureClass; message: string } | null {
  const read = v.safeParse(Body, body);
  if (!read.success) return null;
  const { message, status, errors, details } = read.output.error;
  // The details are the most precise, the status the least.
  const codes = [...details, ...errors].map(({ reason }) => reason).filter((one) => one !== "");
  const all = [...codes, status];
  const [first = "error"] = all;
  return { class: classify(all, message), message: `${first}: ${message.slice(0, SHOWN_CHARS)}` };
}

const OperationError = v.object({ code: text, message: text });
export type OperationError = v.InferOutput<typeof OperationError>;

export const Operation = v.object({
  name: v.string(),
  status: v.string(),
  operationType: text,
  targetId: text,
  targetLink: text,
  zone: text,
  insertTime: text,
  clientOperationId: text,
  error: v.nullish(v.object({ errors: v.nullish(v.array(OperationError), []) }), null),
});
export type Operation = v.InferOutput<typeof Operation>;

/** What an operation failed with; `null` = it has not failed. */
export function failureOf({ status, error }: Operation) {
  if (status !== "DONE" || error === null) return null;
  const codes = error.errors.map(({ code }) => code);
  const words = error.errors.map(({ message }) => message).join("; ");
  const message = `${codes[0] ?? "error"}: ${words.slice(0, SHOWN_CHARS)}`;
  return { class: classify(codes, words), message };
}

/**
 * The class of a failed insert that left nothing. A repeat of the request gives the same operation
 * again, so no class may ask for one (`rate_limit`), or be no proof on a repeat (`auth`).
 */
export function endedClass(cls: FailureClass): RefusalClass {
  switch (cls) {
    case "quota":
    case "billing":
    case "bad_request":
      return cls;
    case "auth":
      return "bad_request";
    default:
      // Of unknown reason, or a resource that was not found: mostly a stock-out.
      return "capacity";
  }
}
