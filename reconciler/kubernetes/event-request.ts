/**
 * An Event in the form that the API server takes (`events.k8s.io/v1`), and where it lies: pure.
 */
import type { EventsV1Event, V1ObjectReference } from "@kubernetes/client-node";
import type { KubeRequest, Sent } from "./api.ts";
import { bounded, CALL_MS } from "./node-call.ts";
import { DOMAIN } from "../core/kubernetes/object.ts";

/** Another object that an event is about; a budget is known by its name alone. */
export type Related = { kind: "Node" | "Pod"; namespace: string | null; name: string; uid: string };

export type KubeEvent = {
  /** The object that it is shown on: a pod where `namespace` is given, a Node otherwise. */
  namespace?: string;
  name: string;
  /** Of the object as it is now. */
  uid: string;
  pool: string | null;
  type: "Normal" | "Warning";
  /** Why it happened; made CamelCase. */
  reason: string;
  /** What was done about it; made CamelCase. */
  action: string;
  /** For a person; cut at 1 KiB. */
  note: string;
  related?: Related;
  /** Tells events of one object and reason apart: a budget. A related pod's UID if absent. */
  about?: string;
};

/** Events of objects that lie in no namespace are kept here (client-go, `events`). */
const DEFAULT_NAMESPACE = "default";
/** `reason` and `action` have 128 characters at most (events.k8s.io/v1). */
const WORD_CHARS_MAX = 128;
/** `note` has 1 KiB at most, as the `message` of `v1` does for an event with a time. */
const NOTE_BYTES_MAX = 1_024;

export const noteOf = (text: string): string => bounded(text, NOTE_BYTES_MAX);

export const namespaceOf = ({ namespace }: KubeEvent): string => namespace ?? DEFAULT_NAMESPACE;

/** What is different about it; empty for an event about its object alone. */
export const aboutOf = ({ related, about }: KubeEvent): string =>
  about ?? (related?.kind === "Pod" ? related.uid : "");

/** By what is to change: only `v1` lets a text change. */
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
    regarding: { apiVersion: "v1", kind, ...place, name, uid },
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

/** `gpu-reset`, `gpu reset` and `GpuReset` are one word. */
export function camel(text: string): string {
  const words = text.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return joined.slice(0, WORD_CHARS_MAX) || "Unknown";
}
