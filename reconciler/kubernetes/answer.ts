/**
 * Interprets an API server's answer, its HTTP code and Status body (`meta/v1 Status`), as a
 * `KubeAnswer`. Pure. *Refused* means that the server certainly did nothing; in doubt the answer is
 * *lost*, and the caller reads again.
 */
import { readRetryAfter } from "../core/reply.ts";
import { waitMs } from "../../schema/millis.ts";
import type { V1Status, V1StatusCause, V1StatusDetails } from "@kubernetes/client-node";
import { readAdmission } from "./admission.ts";
import type { Cause, KubeAnswer } from "./api.ts";
import { readObject } from "./read-field.ts";

export type Status = {
  /** Absent in answers of some proxies. */
  code: number | null;
  reason: string;
  message: string;
  causes: Cause[];
  retryAfterMs: number | null;
};

/** An invalid object has a cause for every field. */
const CAUSES_MAX = 32;
/** Messages of webhooks may be whole pages. */
const MESSAGE_MAX = 2_000;

/** `null` if it is no failed Status. */
export function readStatus(body: unknown): Status | null {
  const { kind, status, code, reason, message, details } = readObject<V1Status>(body);
  if (kind !== "Status" || status === "Success") return null;
  const { causes, retryAfterSeconds: seconds } = readObject<V1StatusDetails>(details);
  return {
    code: typeof code === "number" && Number.isInteger(code) ? code : null,
    reason: textOf(reason),
    message: withoutObject(textOf(message)).slice(0, MESSAGE_MAX),
    causes: Array.isArray(causes) ? causes.slice(0, CAUSES_MAX).map(readCause) : [],
    retryAfterMs: typeof seconds === "number" && seconds > 0 ? waitMs(seconds * 1_000) : null,
  };
}

const STRICT = "strict decoding error: ";

/** An unknown field is named behind the whole object, which is longer than any message. */
function withoutObject(message: string): string {
  const at = message.lastIndexOf(STRICT);
  return at === -1 ? message : message.slice(at + STRICT.length);
}

function readCause(cause: unknown): Cause {
  const { reason, message, field } = readObject<V1StatusCause>(cause);
  return {
    reason: textOf(reason),
    message: textOf(message).slice(0, MESSAGE_MAX),
    field: textOf(field),
  };
}

/** A server notes each unknown field of an object. */
const WARNINGS_MAX = 32;

/** The texts of a `Warning` header: `299 - "unknown field \"spec.x\""`, several after commas. */
export function readWarnings(header: string | null): string[] {
  const text = (header ?? "").slice(0, WARNINGS_MAX * MESSAGE_MAX);
  const found = text.matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g);
  const texts = [...found].slice(0, WARNINGS_MAX).map(([, one = ""]) => one);
  return texts.map((one) => one.replace(/\\(.)/g, "$1").slice(0, MESSAGE_MAX));
}

/**
 * The server timed out waiting for its storage, a webhook or another server; the request may still
 * take effect (`StatusReasonTimeout`, `StatusReasonServerTimeout` of apimachinery meta/v1).
 */
const DOUBTFUL = new Set(["Timeout", "ServerTimeout"]);

/**
 * The only certain refusal with 500 and no reason: the eviction of a pod with two budgets, decided
 * before anything is done (kubernetes pkg/registry/core/pod/storage/eviction.go).
 */
const TWO_BUDGETS = /more than one PodDisruptionBudget/;

export type Head = { status: number; retryAfter: string | null };

/** `body`: the parsed JSON, `undefined` if it is not JSON. */
export function judgeAnswer(head: Head, body: unknown, wallMs: number): KubeAnswer {
  const { status } = head;
  if (status >= 200 && status < 300) return judgeSuccess(status, body);
  const said = readStatus(body);
  const code = said?.code ?? status;
  const reason = said?.reason ?? "";
  const message = said?.message || `HTTP ${status} without a Status`;
  if (isDoubtful(status, said)) {
    return { kind: "lost", message: `HTTP ${code} ${reason}: ${message}`.replace(" :", ":") };
  }
  return {
    kind: "refused",
    status,
    reason,
    message,
    causes: said?.causes ?? [],
    retryAfterMs: readRetryAfter(head.retryAfter, wallMs) ?? said?.retryAfterMs ?? null,
  };
}

function isDoubtful(status: number, said: Status | null): boolean {
  if (said !== null && readAdmission(said.message) !== null) return false;
  // Also sent by a proxy that did not wait for the end.
  if (status === 408 || status === 504) return true;
  if (said !== null && DOUBTFUL.has(said.reason)) return true;
  if (status < 500) return false;
  if (said === null) return true;
  return said.reason === "" && !TWO_BUDGETS.test(said.message);
}

/** An unreadable body may hide a success whose content is needed. */
function judgeSuccess(status: number, body: unknown): KubeAnswer {
  if (body === undefined) {
    return { kind: "lost", message: `HTTP ${status} with a body that is no JSON` };
  }
  const failed = readStatus(body);
  if (failed !== null) {
    return { kind: "lost", message: `HTTP ${status} with a failed Status: ${failed.message}` };
  }
  return { kind: "ok", status, body };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
