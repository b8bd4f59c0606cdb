/**
 * The result of a stage of a bootstrap: input of the next stage, or the end of the attempt.
 * Failures of the machine and the network are values, never exceptions.
 */
import type { FailureCause } from "./job.ts";

export type End =
  | { kind: "failed"; cause: FailureCause; retry: "later" | "never"; error: string }
  | { kind: "stale"; error: string }
  /** By the signal, whose reason tells why. */
  | { kind: "aborted" };

export type Failure = { ok: false; end: End };
export type Answer<Value> = { ok: true; value: Value } | Failure;

export function good<Value>(value: Value): Answer<Value> {
  return { ok: true, value };
}

/** An attempt after this one may succeed. */
export function failed(cause: FailureCause, error: string): Failure {
  return { ok: false, end: { kind: "failed", cause, retry: "later", error } };
}

/** No further attempt will help. */
export function refused(cause: FailureCause, error: string): Failure {
  return { ok: false, end: { kind: "failed", cause, retry: "never", error } };
}

export function stale(error: string): Failure {
  return { ok: false, end: { kind: "stale", error } };
}

export const ABORTED: Failure = { ok: false, end: { kind: "aborted" } };

/** The message of an end. */
export function sentenceOf(end: End): string {
  return end.kind === "aborted" ? "stopped by the control plane" : end.error;
}
