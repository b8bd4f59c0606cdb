/**
 * The two requests by which we may change a Node's cordon: pure. The
 * requests carry the UID and the resource version of the object that they were decided from, so
 * that the server refuses one that was decided from an old picture (law 5).
 */
import type { V1Node } from "@kubernetes/client-node";
import { PATCH } from "./api.ts";
import type { KubeRequest, Sent } from "./api.ts";
import { bounded, CALL_MS, nodePath } from "./node-call.ts";
import { ANNOTATION, MANAGER } from "../core/kubernetes/object.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";

/** An annotation is for a person to read; the whole story is in our own record. */
const WHY_BYTES_MAX = 1_024;

/** What the reason annotation holds. */
export const formatReason = (why: string): string => bounded(why, WHY_BYTES_MAX);

/** The exact request that adds our share. */
export function cordonRequest(
  live: KubeNode,
  options: { session: string; why: string; pool: string | null },
): KubeRequest {
  return apply(live, options.pool, {
    annotations: {
      [ANNOTATION.session]: options.session,
      [ANNOTATION.reason]: formatReason(options.why),
      [ANNOTATION.preexisting]: preexisting(live),
    },
    spec: { unschedulable: true },
  });
}

/** The exact request that drops it: the same manager, wanting nothing. */
export function releaseRequest(live: KubeNode, pool: string | null): KubeRequest {
  return apply(live, pool, {});
}

/**
 * Whether the node was unschedulable before our first share; kept for as long as that share lasts.
 * If it lasts and the annotation was taken away, nobody knows: then as if it was.
 */
function preexisting(live: KubeNode): "true" | "false" {
  if (!live.own) return live.unschedulable ? "true" : "false";
  return live.annotations[ANNOTATION.preexisting] === "false" ? "false" : "true";
}

/**
 * With the UID always: an apply creates what it does not find, and a deleted Node would come back
 * as a ghost (docs/reference/kubernetes.md#cordon). `force` is right for isolation only: the one
 * other value that anybody can own is a `false`.
 */
function apply(
  live: KubeNode,
  pool: string | null,
  { annotations, spec }: Pick<Sent<V1Node>, "spec"> & { annotations?: Record<string, string> },
): KubeRequest {
  const { name, uid, resourceVersion } = live;
  const metadata = {
    ...{ name, uid, resourceVersion },
    ...(annotations === undefined ? {} : { annotations }),
  };
  return {
    verb: "patch",
    path: nodePath(name),
    query: { fieldManager: MANAGER.cordon, force: "true" },
    contentType: PATCH.apply,
    body: { apiVersion: "v1", kind: "Node", metadata, ...(spec === undefined ? {} : { spec }) },
    timeoutMs: CALL_MS,
    lane: "cordon",
    pool,
  };
}
