/**
 * What all writes on Node objects share: paths, reads, the meaning of refusals, and back-offs.
 */
import type { RefusalCause } from "../../schema/kube-past.ts";
import type { Clock } from "../core/clock.ts";
import { readAdmission, formatAdmission } from "./admission.ts";
import type { KubeAnswer, KubeApi } from "./api.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { backoffMs, spreadMs } from "../core/turn/backoff.ts";
import { pause } from "../core/turn/time-limit.ts";
import { explainForbidden } from "./permission.ts";
import { readNode } from "./read-node.ts";

export type NodePorts = { api: KubeApi; clock: Clock; random: () => number };

/** The next activation repeats a call that takes longer. */
export const CALL_MS = 5_000;
/** Retries after a lost race (docs/reference/kubernetes.md#cordon). */
export const RETRIES_MAX = 5;
/**
 * 5–15 ms, doubling: the first retry fits into the 100 ms in which a cordon is acknowledged, and
 * rivals are a second apart by the last one.
 */
const RETRY_MS = 10;

/** Like an eviction: the remainder that a lease must have for a call (lease.ts). */
const MARK_MS = 7_000;

/**
 * The API for one mark, whose calls are dropped after 7 s: a process that was suspended must not
 * write over what a newer leader decided.
 */
export function briefly({ api, clock, random }: NodePorts, isStill = () => true): NodePorts {
  const endMono = clock.monoMs() + MARK_MS;
  const isWanted = (): boolean => clock.monoMs() <= endMono && isStill();
  return { api: { ...api, call: (one) => api.call({ ...one, isWanted }) }, clock, random };
}

export const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`;

/** How far the pauses of writes on Node objects are spread. */
export const SPREAD = 0.5;

export function waitToRetry({ clock, random }: NodePorts, attempt: number): Promise<void> {
  const ms = spreadMs(backoffMs(attempt + 1, RETRY_MS, Number.POSITIVE_INFINITY), SPREAD, random());
  return pause(clock, ms);
}

/** The server did nothing. `cause` is missing where the refusal is our own. */
export type Refusal = {
  kind: "refused";
  message: string;
  cause?: RefusalCause;
  retryAfterMs: number | null;
};
/** The outcome is unknown: it may also take effect later. */
export type Loss = { kind: "lost"; message: string };

export type Failed = {
  kind: "failed";
  message: string;
  cause?: RefusalCause;
  retryAfterMs: number | null;
};

export function failed(failure: Refusal | Loss): Failed {
  if (failure.kind === "refused") return { ...failure, kind: "failed" };
  return { kind: "failed", message: failure.message, retryAfterMs: null };
}

/** No object of this name, or one with another UID: the message says which. */
export type OtherObject = { kind: "other_object"; message: string };

export type Live = { kind: "found"; node: KubeNode } | OtherObject | Refusal;

/** Reads the Node that must have this UID. A lost read changes nothing, so it is a refusal. */
export async function readLive(
  api: KubeApi,
  name: string,
  uid: string,
  pool: string | null,
): Promise<Live> {
  const answer = await api.call({
    verb: "get",
    path: nodePath(name),
    timeoutMs: CALL_MS,
    lane: "read",
    pool,
  });
  if (answer.kind === "refused" && answer.status === 404)
    return { kind: "other_object", message: `there is no Node ${name}` };
  if (answer.kind !== "ok") {
    return { retryAfterMs: null, ...refusalOf(answer), kind: "refused" };
  }
  const node = readNode(answer.body);
  if (node === null)
    return { kind: "refused", message: `Node ${name} could not be read`, retryAfterMs: null };
  return sameObject(node, uid) ?? { kind: "found", node };
}

/** `null`: the object has the UID that is meant. */
export function sameObject(node: KubeNode, uid: string): OtherObject | null {
  if (node.uid === uid) return null;
  return {
    kind: "other_object",
    message: `Node ${node.name} is another object now (UID ${node.uid}, not ${uid})`,
  };
}

/** Why a write failed; a 5xx may follow its effect (a late time-out), so that is a loss. */
export function failureOf(answer: Exclude<KubeAnswer, { kind: "ok" }>): Refusal | Loss {
  const isSure = answer.kind === "lost" || answer.status < 500;
  if (isSure || readAdmission(answer.message) !== null) return refusalOf(answer);
  return { kind: "lost", message: `${answer.status} ${answer.message}` };
}

/** Why a call did not succeed, for display. */
export function refusalText(answer: Exclude<KubeAnswer, { kind: "ok" }>): string {
  return refusalOf(answer).message;
}

function refusalOf(answer: Exclude<KubeAnswer, { kind: "ok" }>): Refusal | Loss {
  if (answer.kind === "lost") return answer;
  const admission = readAdmission(answer.message);
  const { retryAfterMs } = answer;
  if (admission !== null) {
    const message = formatAdmission(admission);
    return { kind: "refused", message, cause: "admission", retryAfterMs };
  }
  const forbidden = explainForbidden(answer);
  const message = forbidden ?? `${answer.status} ${answer.message}`;
  const cause = forbidden === null ? "other" : "permission";
  return { kind: "refused", message, cause, retryAfterMs };
}

/** `refusal-log.ts` has logged the refusal and its source. */
export const isExplained = (failure: Refusal | Loss | Failed): boolean =>
  "cause" in failure && (failure.cause === "permission" || failure.cause === "admission");

/** Cut to `bytesMax` bytes of UTF-8, never inside a character. */
export function bounded(text: string, bytesMax: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return text;
  return new TextDecoder().decode(bytes.subarray(0, bytesMax - 3)).replace(/\uFFFD$/, "") + "…";
}
