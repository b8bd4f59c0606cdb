/**
 * Create and patch as the API server does them: the four kinds of patch, the checks of version and
 * identity in the server's order, ownership of fields, and no new version where nothing changed.
 */
import { PATCH } from "../../reconciler/kubernetes/api.ts";
import type { KubeAnswer, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { ownApply, ownUpdate } from "./field.ts";
import type { Writer } from "./field.ts";
import {
  clone,
  countOf,
  isEqual,
  listOf,
  metaOf,
  nameOf,
  objectOf,
  formatInstant,
} from "./json.ts";
import { textOf, uidOf, withMeta } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from "./merge.ts";
import { apiVersionOf, cleanObject, judgeEventChange, judgeObject } from "./resource.ts";
import type { Resource, Target } from "./resource.ts";
import * as say from "./status.ts";
import { note } from "./world.ts";
import type { Hand, World } from "./world.ts";

export type PatchRequest = Pick<KubeRequest, "contentType" | "body" | "query">;

export function createObject(
  world: World,
  { resource, namespace }: Target,
  body: unknown,
  hand: Hand,
  isDry: boolean,
): KubeAnswer {
  const desired = objectOf(body);
  const prefix = textOf(metaOf(desired)["generateName"]);
  const suffix = world.store.version.toString(36).padStart(5, "0");
  const name = nameOf(desired) || (prefix === "" ? "" : `${prefix}${suffix}`);
  if (name === "") return say.badRequest("name or generateName is required");
  if (world.store.get(resource, namespace, name) !== undefined) {
    return say.alreadyExists(resource, name);
  }
  const named = withMeta(desired, { name, ...(namespace === "" ? {} : { namespace }) });
  const fault = judgeObject(resource, named);
  if (fault !== null) return fault;
  const owned = ownUpdate({}, cleanObject(clone(named)), writerOf(world, resource, "", hand));
  if (isDry) return say.ok(owned, 201);
  const stored = world.store.add(resource, withMeta(owned, { uid: undefined }));
  note(world, hand, "create", resource, "", stored);
  return say.ok(stored, 201);
}

export function patchObject(
  world: World,
  target: Target,
  request: PatchRequest,
  hand: Hand,
): KubeAnswer {
  const { resource, namespace, name, sub } = target;
  const live = world.store.get(resource, namespace, name);
  if (request.contentType === PATCH.apply) return applyObject(world, target, live, request, hand);
  if (live === undefined) return say.notFound(resource, name);
  const patched = patchOf(live, request, resource);
  if ("kind" in patched && patched.kind === "refused") return patched as say.Refused;
  const narrowed = narrow(live, objectOf(patched), resource, sub);
  const judged = judgeIdentity(resource, live, narrowed, name);
  if (judged !== null) return judged;
  const after = ownUpdate(live, cleanObject(narrowed), writerOf(world, resource, sub, hand));
  return store(world, target, live, after, hand);
}

const writerOf = (world: World, resource: Resource, sub: string, hand: Hand): Writer => ({
  manager: hand.manager,
  subresource: sub,
  apiVersion: apiVersionOf(resource),
  time: formatInstant(world.clock.wallMs()),
});

/** The object with the patch in it, or why not. */
function patchOf(
  live: KubeObject,
  { contentType, body }: PatchRequest,
  resource: Resource,
): KubeObject | say.Refused {
  switch (contentType) {
    case PATCH.json: {
      if (!Array.isArray(body)) {
        const type = "[]handlers.jsonPatchOp";
        const found = "cannot unmarshal object into Go value of type";
        return say.badRequest(`error decoding patch: json: ${found} ${type}`);
      }
      return applyJsonPatch(live, body) ?? say.patchFailed();
    }
    case PATCH.merge:
      return objectOf(applyMergePatch(live, resource.kind === "Event" ? eventOf(body) : body));
    case PATCH.strategic:
      return objectOf(applyStrategicPatch(live, body));
    default:
      return say.refused(415, "UnsupportedMediaType", "415: Unsupported Media Type");
  }
}

/** `note` is called `message` in `v1`. */
function eventOf(body: unknown): KubeObject {
  const { message, ...rest } = objectOf(body);
  return message === undefined ? rest : { ...rest, note: message };
}

/** What an endpoint may not change is as it was: the status here, all but the status there. */
function narrow(
  live: KubeObject,
  patched: KubeObject,
  resource: Resource,
  sub: string,
): KubeObject {
  const kept: KubeObject = { ...patched };
  // An event has no status, and what else it has is at its top.
  if (resource.kind === "Event") return kept;
  const key = sub === "status" ? "spec" : "status";
  if (live[key] === undefined) delete kept[key];
  else kept[key] = live[key];
  return kept;
}

/** In the server's order: the name, the version, the UID. `null` = it is the same object. */
function judgeIdentity(
  resource: Resource,
  live: KubeObject,
  after: KubeObject,
  name: string,
): say.Refused | null {
  const metadata = metaOf(after);
  if (nameOf(after) !== name) {
    const what = `the name of the object (${nameOf(after)})`;
    return say.badRequest(`${what} does not match the name on the URL (${name})`);
  }
  const version = textOf(metadata["resourceVersion"]);
  if (version !== "" && version !== metaOf(live)["resourceVersion"]) {
    return say.staleVersion(resource, name);
  }
  const uid = textOf(metadata["uid"]);
  if (uid !== "" && uid !== uidOf(live)) return say.uidImmutable(resource.kind, name, uid);
  return null;
}

function store(
  world: World,
  { resource, sub }: Target,
  live: KubeObject,
  desired: KubeObject,
  hand: Hand,
): KubeAnswer {
  const { uid, resourceVersion, creationTimestamp, generation } = metaOf(live);
  const after = withMeta(desired, { uid, resourceVersion, creationTimestamp, generation });
  const fault = judgeObject(resource, after) ?? judgeEventChange(resource, live, after);
  if (fault !== null) return fault;
  if (isEqual(live, after)) return say.ok(live);
  const isLeaving = metaOf(after)["deletionGracePeriodSeconds"] === 0;
  if (isLeaving && listOf(metaOf(after)["finalizers"]).length === 0) {
    // The last finalizer is gone from an object that only waited for it.
    note(world, hand, "patch", resource, sub, after);
    world.store.remove(resource, live);
    return say.ok(after);
  }
  const isOther = resource.counted && !isEqual(live["spec"], after["spec"]);
  const counted = isOther ? withMeta(after, { generation: countOf(generation) + 1 }) : after;
  const stored = world.store.put(resource, counted);
  note(world, hand, "patch", resource, sub, stored);
  return say.ok(stored);
}

function judgeRequest(desired: KubeObject, { resource, name }: Target): say.Refused | null {
  if (desired["kind"] !== resource.kind || desired["apiVersion"] !== apiVersionOf(resource)) {
    const found = `${textOf(desired["apiVersion"]) || "/"}, Kind=${textOf(desired["kind"])}`;
    return say.badRequest(`invalid object type: ${found}`);
  }
  if (metaOf(desired)["managedFields"] !== undefined) {
    return say.badRequest("metadata.managedFields must be nil");
  }
  return nameOf(desired) === name ? null : judgeIdentity(resource, {}, desired, name);
}

function applyObject(
  world: World,
  target: Target,
  live: KubeObject | undefined,
  { body, query = {} }: PatchRequest,
  hand: Hand,
): KubeAnswer {
  const { resource, namespace, name, sub } = target;
  const desired = objectOf(body);
  if ((query["fieldManager"] ?? "") === "") {
    const detail = "Required value: is required for apply patch";
    const cause = { reason: "FieldValueRequired", field: "fieldManager", detail };
    return say.invalid("PatchOptions.meta.k8s.io", "", [cause]);
  }
  const misfit = judgeRequest(desired, target);
  if (misfit !== null) return misfit;
  if (live === undefined) return applyNew(world, target, desired, hand);
  const writer = writerOf(world, resource, sub, hand);
  const narrowed = narrow({}, desired, resource, sub);
  const applied = ownApply(live, narrowed, writer, query["force"] === "true", cleanObject);
  if (applied.kind === "conflict") {
    const causes = applied.with.map(({ manager, path }) => ({
      reason: "FieldManagerConflict",
      message: `conflict with "${manager}"`,
      field: path,
    }));
    const [first] = causes;
    const told = `${first?.message}${causes.length === 1 ? `: ${first?.field}` : ""}`;
    const count = `${causes.length} conflict${causes.length === 1 ? "" : "s"}`;
    return say.refused(409, "Conflict", `Apply failed with ${count}: ${told}`, { causes });
  }
  const { uid, resourceVersion } = metaOf(desired);
  const claimed = withMeta(applied.object, { namespace: namespace || undefined });
  const judged = judgeIdentity(resource, live, withMeta(claimed, { uid, resourceVersion }), name);
  return judged ?? store(world, target, live, claimed, hand);
}

/** An apply to nothing creates, unless it is of a status or names the UID that it is meant for. */
function applyNew(world: World, target: Target, desired: KubeObject, hand: Hand): KubeAnswer {
  const { resource, namespace, name, sub } = target;
  if (sub !== "") return say.notFound(resource, name);
  const uid = textOf(metaOf(desired)["uid"]);
  if (uid !== "") {
    const why =
      `uid mismatch: the provided object specified uid ${uid}, ` +
      "and no existing object was found";
    return say.conflict(say.groupResource(resource), name, why);
  }
  if (hand.by === "api" && world.denied.has(`create ${resource.plural}`)) {
    return say.forbidden(world.user, "create", resource, sub, name, namespace);
  }
  const writer = writerOf(world, resource, "", hand);
  const applied = ownApply({}, desired, writer, true, cleanObject);
  if (applied.kind === "conflict") throw new Error("nobody owns what does not exist");
  const object = withMeta(applied.object, namespace === "" ? {} : { namespace });
  const named = withMeta(object, { name, resourceVersion: undefined });
  const stored = world.store.add(resource, named);
  note(world, hand, "create", resource, "", stored);
  return say.ok(stored, 201);
}
