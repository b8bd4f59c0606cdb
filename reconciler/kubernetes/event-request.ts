/**
 * Builds Event objects (`events.k8s.io/v1`) and their paths: pure.
 */
import type { EventsV1Event, V1ObjectReference } from "@kubernetes/client-node";
import type { KubeRequest, Sent } from "./api.ts";
import { bounded, CALL_MS } from "./node-call.ts";
import { DOMAIN } from "../core/kubernetes/object.ts";

/** Another object that an event is about. */
export type Related = { kind: "Node" | "Pod"; namespace: string | null; name: string; uid: string };

export type KubeEvent = {
  /** Of a pod or another namespaced object; absent for an event on a Node. */
  namespace?: string;
  /** Of the object; absent for a Node or a Pod. */
  regarding?: { apiVersion: string; kind: string };
  name: string;
  /** Current UID of the object. */
  uid: string;
  pool: string | null;
  type: "Normal" | "Warning";
  /** Why it happened; made CamelCase. */
  reason: string;
  /** What was done about it; made CamelCase. */
  action: string;
  /** Text, cut at 1 KiB. */
  note: string;
  related?: Related;
  /** Distinguishes events of one object and reason. Defaults to a related pod's UID. */
  about?: string;
};

/** Namespace of events about cluster-scoped objects (client-go, `events`). */
const DEFAULT_NAMESPACE = "default";
/** `reason` and `action` have 128 characters at most (events.k8s.io/v1). */
const WORD_CHARS_MAX = 128;
/** `note` has 1 KiB at most, as the `message` of `v1` does for an event with a time. */
const NOTE_BYTES_MAX = 1_024;

export const noteOf = (text: string): string => bounded(text, NOTE_BYTES_MAX);

export const namespaceOf = ({ namespace }: KubeEvent): string => namespace ?? DEFAULT_NAMESPACE;

/** The subject; empty for an event about its object alone. */
export const aboutOf = ({ related, about }: KubeEvent): string =>
  about ?? (related?.kind === "Pod" ? related.uid : "");

/** Only `v1` allows a text to change. */
export function eventPath(namespace: string, change: "message" | "series"): string {
  const group = change === "message" ? "/api/v1" : "/apis/events.k8s.io/v1";
  return `${group}/namespaces/${encodeURIComponent(namespace)}/events`;
}

export function createRequest(
  event: KubeEvent,
  object: string,
  reportingInstance: string,
  nowMs: number,
): KubeRequest {
  const { name, uid, pool, type, reason, action, note, related } = event;
  const namespace = namespaceOf(event);
  const kind = event.namespace === undefined ? "Node" : "Pod";
  const regarding = event.regarding ?? { apiVersion: "v1", kind };
  const place = event.namespace === undefined ? {} : { namespace };
  const body: Sent<EventsV1Event> = {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: object, namespace },
    eventTime: micro(nowMs),
    reportingController: `${DOMAIN}/reconciler`,
    reportingInstance,
    type,
    reason: camel(reason),
    action: camel(action),
    regarding: { ...regarding, ...place, name, uid },
    ...(related === undefined ? {} : { related: referenceOf(related) }),
    note: noteOf(note),
  };
  const path = eventPath(namespace, "series");
  return { verb: "create", path, body, timeoutMs: CALL_MS, lane: "status", pool };
}

function referenceOf({ kind, namespace, name, uid }: Related): V1ObjectReference {
  return { apiVersion: "v1", kind, ...(namespace === null ? {} : { namespace }), name, uid };
}

/** `MicroTime` is parsed with exactly six digits. */
export const micro = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, "000Z");

/** `gpu-reset`, `gpu reset` and `GpuReset` become one word. */
export function camel(text: string): string {
  const words = text.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return joined.slice(0, WORD_CHARS_MAX) || "Unknown";
}
