/**
 * What every write on a Node object shares: where it lies, how it is read afresh, what a refusal
 * means, and how long to wait before a lost race is run again.
 */
import type { Clock } from "../core/clock.ts";
import { readAdmission, sayAdmission } from "./admission.ts";
import type { KubeAnswer, KubeApi } from "./api.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { explainForbidden } from "./permission.ts";
import { readNode } from "./read-node.ts";

export type NodePorts = { api: KubeApi; clock: Clock; random: () => number };

/** A call that takes longer has lost its use: the next activation asks again. */
export const CALL_MS = 5_000;
/** A lost race is run again this often (docs/reference/kubernetes.md#cordon). */
export const RETRIES_MAX = 5;
/**
 * Waits 5–15 ms, then twice that, and so on: the first retry must fit into the 100 ms in which a
 * cordon is to be acknowledged, the last one should meet another second than its rivals.
 */
const RETRY_MS = 10;

/** As long as an eviction: the rest that a lease must still have for a call (lease.ts). */
const MARK_MS = 7_000;

/**
 * The API for one order to mark, which is carried out now or not at all: a process that slept in
 * between must not write what another one has decided otherwise since.
 */
export function briefly({ api, clock, random }: NodePorts, isStill = () => true): NodePorts {
  const endMono = clock.monoMs() + MARK_MS;
  const isWanted = (): boolean => clock.monoMs() <= endMono && isStill();
  return { api: { ...api, call: (one) => api.call({ ...one, isWanted }) }, clock, random };
}

export const nodePath = (name: string): string => `/api/v1/nodes/${encodeURIComponent(name)}`;

export function waitToRetry({ clock, random }: NodePorts, attempt: number): Promise<void> {
  const ms = RETRY_MS * 2 ** attempt * (0.5 + random());
  return new Promise((done) => void clock.after(ms, done));
}

/** The server did nothing. */
export type Refusal = { kind: "refused"; message: string; retryAfterMs: number | null };
/** It may have been done, or be done later. */
export type Loss = { kind: "lost"; message: string };

export type Failed = { kind: "failed"; message: string; retryAfterMs: number | null };

export function failed(failure: Refusal | Loss): Failed {
  const retryAfterMs = failure.kind === "refused" ? failure.retryAfterMs : null;
  return { kind: "failed", message: failure.message, retryAfterMs };
}

/** No object of this name, or one with another UID: the message says which. */
export type OtherObject = { kind: "other_object"; message: string };

export type Live = { kind: "found"; node: KubeNode } | OtherObject | Refusal;

/** Reads the Node that must have this UID. A read changes nothing, so its loss is a refusal. */
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
    const failure = refusalOf(answer);
    return failure.kind === "refused"
      ? failure
      : { ...failure, kind: "refused", retryAfterMs: null };
  }
  const node = readNode(answer.body);
  if (node === null)
    return { kind: "refused", message: `Node ${name} could not be read`, retryAfterMs: null };
  return sameObject(node, uid) ?? { kind: "found", node };
}

/** `null` = it is the one that is meant. */
export function sameObject(node: KubeNode, uid: string): OtherObject | null {
  if (node.uid === uid) return null;
  return {
    kind: "other_object",
    message: `Node ${node.name} is another object now (UID ${node.uid}, not ${uid})`,
  };
}

/** What a write's refusal or loss says; a 5xx may have come after the effect (a late time-out). */
export function failureOf(answer: Exclude<KubeAnswer, { kind: "ok" }>): Refusal | Loss {
  const isSure = answer.kind === "lost" || answer.status < 500;
  if (isSure || readAdmission(answer.message) !== null) return refusalOf(answer);
  return { kind: "lost", message: `${answer.status} ${answer.message}` };
}

/** Why a call did not succeed, for a person. */
export function refusalText(answer: Exclude<KubeAnswer, { kind: "ok" }>): string {
  return refusalOf(answer).message;
}

function refusalOf(answer: Exclude<KubeAnswer, { kind: "ok" }>): Refusal | Loss {
  if (answer.kind === "lost") return answer;
  const admission = readAdmission(answer.message);
  const said = admission === null ? explainForbidden(answer) : sayAdmission(admission);
  const message = said ?? `${answer.status} ${answer.message}`;
  return { kind: "refused", message, retryAfterMs: answer.retryAfterMs };
}

/** Who or what refused is known: `refusal-log.ts` has logged it. */
export const isExplained = (message: string): boolean =>
  /^(?:forbidden: |refused (?:by|because) )/.test(message);

/** Bounded by bytes, without half a character at its end. */
export function bounded(text: string, bytesMax: number): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return text;
  return new TextDecoder().decode(bytes.subarray(0, bytesMax - 3)).replace(/\uFFFD$/, "") + "…";
}
