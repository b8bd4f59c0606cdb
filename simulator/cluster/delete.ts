/**
 * Deletion as the API server does it: preconditions, finalizers, and for pods the grace period
 * that only a kubelet, or a grace period of zero, brings to its end.
 */
import type { KubeAnswer } from "../../reconciler/kubernetes/api.ts";
import { countOf, listOf, metaOf, nameOf, objectOf, formatInstant, textOf } from "./json.ts";
import { uidOf, withMeta } from "./json.ts";
import type { KubeObject } from "./json.ts";
import type { Resource, Target } from "./resource.ts";
import { resourceOf } from "./resource.ts";
import * as say from "./status.ts";
import { note } from "./world.ts";
import type { Hand, World } from "./world.ts";

const PODS = resourceOf("pods");

/** Of the preconditions of a delete or an eviction; `null` = they hold. */
export function judgePreconditions(
  kind: string,
  live: KubeObject,
  preconditions: unknown,
): say.Refused | null {
  const { uid, resourceVersion } = objectOf(preconditions);
  const name = nameOf(live);
  if (textOf(uid) !== "" && uid !== uidOf(live)) {
    return say.preconditionFailed(kind, name, "UID", textOf(uid), uidOf(live));
  }
  const version = textOf(metaOf(live)["resourceVersion"]);
  if (textOf(resourceVersion) !== "" && resourceVersion !== version) {
    const wanted = textOf(resourceVersion);
    return say.preconditionFailed(kind, name, "ResourceVersion", wanted, version);
  }
  return null;
}

export function deleteObject(
  world: World,
  { resource, namespace, name }: Target,
  body: unknown,
  query: Readonly<Record<string, string>>,
  hand: Hand,
): KubeAnswer {
  const live = world.store.get(resource, namespace, name);
  if (live === undefined) return say.notFound(resource, name);
  const options = objectOf(body);
  const misfit = judgePreconditions(resource.kind, live, options["preconditions"]);
  if (misfit !== null) return misfit;
  const asked = options["gracePeriodSeconds"] ?? Number(query["gracePeriodSeconds"] ?? Number.NaN);
  const seconds = typeof asked === "number" && Number.isFinite(asked) ? asked : null;
  const last = endObject(world, resource, live, seconds, hand);
  if (resource.kind === "Pod") return say.ok(last);
  return say.success(200, { details: { name, kind: resource.plural, uid: uidOf(live) } });
}

/** Begins or ends the deletion. `graceSeconds` of `null` is the pod's own. */
export function endObject(
  world: World,
  resource: Resource,
  live: KubeObject,
  graceSeconds: number | null,
  hand: Hand,
): KubeObject {
  const grace = resource.kind === "Pod" ? graceOf(live, graceSeconds) : 0;
  const metadata = metaOf(live);
  const running = metadata["deletionTimestamp"] !== undefined;
  // A deletion that has begun can only be shortened.
  if (running && grace >= countOf(metadata["deletionGracePeriodSeconds"]) && grace > 0) return live;
  const marked = withMeta(live, {
    deletionTimestamp: formatInstant(world.clock.wallMs() + grace * 1_000),
    deletionGracePeriodSeconds: grace,
  });
  const isHeld = grace > 0 || listOf(metadata["finalizers"]).length > 0;
  if (isHeld) {
    if (running && grace === countOf(metadata["deletionGracePeriodSeconds"])) return live;
    const stored = world.store.put(resource, marked);
    note(world, hand, "delete", resource, "", stored);
    return stored;
  }
  world.store.remove(resource, live);
  note(world, hand, "delete", resource, "", marked);
  return marked;
}

/** Seconds. What no kubelet runs, and what has finished, needs no grace (pod strategy). */
function graceOf(pod: KubeObject, asked: number | null): number {
  const spec = objectOf(pod["spec"]);
  const phase = objectOf(pod["status"])["phase"];
  if (textOf(spec["nodeName"]) === "" || phase === "Succeeded" || phase === "Failed") return 0;
  const own = spec["terminationGracePeriodSeconds"];
  const seconds = asked ?? (typeof own === "number" ? own : 30);
  return seconds < 0 ? 1 : seconds;
}

/** As a kubelet or the garbage collector does when nothing runs any longer. */
export function finishPod(world: World, pod: KubeObject, manager: string): void {
  endObject(world, PODS, pod, 0, { by: "cluster", manager });
}
