/**
 * Builds the requests of a drain and parses its lists: pure. Evictions and deletions carry the UID,
 * so that they never end another pod of the same name, and never a grace period of 0, which would
 * free the name while the old pod still runs.
 */
import type { V1Eviction } from "@kubernetes/client-node";
import type { PoolName } from "../../schema/id.ts";
import { deleteOptions } from "./api.ts";
import type { KubeAnswer, KubeRequest, Sent } from "./api.ts";
import type { KubePod } from "../core/kubernetes/object.ts";
import { readObject, readText } from "./read-field.ts";
import { podReader } from "./read-pod.ts";

/**
 * The server cannot fence an eviction, so it must end before the leader's lease
 * (docs/reference/safety.md#leadership).
 */
export const EVICT_TIMEOUT_MS = 7_000;
/** A node's pods take well under a second, a cluster's volume attachments longer. */
const READ_TIMEOUT_MS = 15_000;

type Named = Pick<KubePod, "namespace" | "name" | "uid">;

const podPath = ({ namespace, name }: Named): string =>
  `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;

const read = (verb: "get" | "list", path: string, query = {}): KubeRequest => ({
  verb,
  path,
  query,
  timeoutMs: READ_TIMEOUT_MS,
  lane: "read",
});

/**
 * All pods bound to a Node, as of now: without `resourceVersion` nothing is older than the request
 * (Kubernetes API concepts, "Semantics for get and list").
 */
export const listPodsOf = (node: string): KubeRequest =>
  read("list", "/api/v1/pods", { fieldSelector: `spec.nodeName=${node}` });

/** `key` is `namespace/name`. */
export function getDaemonset(key: string): KubeRequest {
  const [namespace = "", name = ""] = key.split("/").map(encodeURIComponent);
  return read("get", `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`);
}

export const listAttachments = (): KubeRequest =>
  read("list", "/apis/storage.k8s.io/v1/volumeattachments");

/** `graceMs` below 0: the pod's own. */
export function evictPod(pod: Named, graceMs: number, pool: PoolName | null): KubeRequest {
  const { namespace, name, uid } = pod;
  const grace = graceMs < 0 ? {} : { gracePeriodSeconds: formatSeconds(graceMs) };
  const body: Sent<V1Eviction> = {
    apiVersion: "policy/v1",
    kind: "Eviction",
    metadata: { namespace, name },
    deleteOptions: { preconditions: { uid }, ...grace },
  };
  return {
    verb: "create",
    path: `${podPath(pod)}/eviction`,
    body,
    timeoutMs: EVICT_TIMEOUT_MS,
    lane: "evict",
    pool,
  };
}

/** Ignores budgets: only when the node ends anyway. */
export function deletePod(pod: Named, graceMs: number, pool: PoolName | null): KubeRequest {
  return {
    verb: "delete",
    path: podPath(pod),
    body: { ...deleteOptions(pod.uid), gracePeriodSeconds: formatSeconds(graceMs) },
    timeoutMs: EVICT_TIMEOUT_MS,
    lane: "evict",
    pool,
  };
}

const formatSeconds = (ms: number): number => Math.max(1, Math.round(ms / 1000));

export type Listed<T> = { kind: "ok"; items: T[] } | { kind: "dark"; message: string };

/**
 * A complete list of pods, or why there is none. One unreadable entry makes the list unusable: it
 * must not count as absent.
 */
export function readPods(answer: KubeAnswer, slinky = true): Listed<KubePod> {
  const read = podReader(slinky);
  const raw = readItems(answer);
  if (raw.kind === "dark") return raw;
  const items: KubePod[] = [];
  for (const item of raw.items) {
    const pod = read(item);
    if (pod === null) return { kind: "dark", message: "the list holds a pod without an identity" };
    items.push(pod);
  }
  return { kind: "ok", items };
}

/** The items of any complete list. */
export function readItems(answer: KubeAnswer): Listed<unknown> {
  if (answer.kind !== "ok") return { kind: "dark", message: formatFailure(answer) };
  const body = readObject(answer.body);
  // Some versions send `null` for an empty list.
  const items = body["items"] ?? [];
  if (!Array.isArray(items) || readText(body["kind"])?.endsWith("List") !== true)
    return { kind: "dark", message: "the answer is no list" };
  if (readText(readObject(body["metadata"])["continue"]) !== null)
    return { kind: "dark", message: "the list is not complete" };
  return { kind: "ok", items };
}

export function formatFailure(answer: Exclude<KubeAnswer, { kind: "ok" }>): string {
  const status = answer.kind === "refused" ? `${answer.status} ` : "";
  return `${status}${answer.message}`.slice(0, 300);
}
