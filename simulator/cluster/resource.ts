/**
 * The resources that the server in memory serves, and what a path means. A path that is not served
 * here answers 404 as a real server does for a group that is not installed.
 */
import { isEqual, isObject, listOf, metaOf, nameOf, objectOf, textOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { invalid } from "./status.ts";
import type { Refused } from "./status.ts";

export type Resource = {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  /** Changes of its spec are counted in `metadata.generation`. */
  counted: boolean;
  /** Fields that a field selector may name, beside name and namespace. */
  selectable: readonly string[];
};

const resource = (
  apiVersion: string,
  plural: string,
  kind: string,
  namespaced: boolean,
  selectable: readonly string[] = [],
): Resource => {
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const counted = ["pods", "poddisruptionbudgets", "daemonsets", "agentpools"].includes(plural);
  const name = { group: group ?? "", version: version ?? "", plural, kind };
  return { ...name, namespaced, counted, selectable };
};

const POD_FIELDS = ["spec.nodeName", "status.phase", "spec.restartPolicy", "spec.schedulerName"];

export const RESOURCES: readonly Resource[] = [
  resource("v1", "nodes", "Node", false, ["spec.unschedulable"]),
  resource("v1", "pods", "Pod", true, POD_FIELDS),
  resource("v1", "namespaces", "Namespace", false, ["status.phase"]),
  resource("v1", "secrets", "Secret", true, ["type"]),
  resource("v1", "configmaps", "ConfigMap", true),
  resource("policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
  resource("apps/v1", "daemonsets", "DaemonSet", true),
  resource("velda.io/v1", "agentpools", "AgentPool", true),
  resource("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment", false),
  resource("events.k8s.io/v1", "events", "Event", true, ["reason", "type", "regarding.uid"]),
  // The same objects: only an event's text is changed through it.
  resource("v1", "events", "Event", true, ["reason", "type"]),
  resource("coordination.k8s.io/v1", "leases", "Lease", true),
  resource("authorization.k8s.io/v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
  resource("authentication.k8s.io/v1", "tokenreviews", "TokenReview", false),
];

export const apiVersionOf = ({ group, version }: Resource): string =>
  group === "" ? version : `${group}/${version}`;

/** The resource by its plural. Throws for one that is not served: a mistake of the test. */
export function resourceOf(plural: string): Resource {
  const found = RESOURCES.find((candidate) => candidate.plural === plural);
  if (found === undefined) throw new Error(`no resource ${plural} in the server in memory`);
  return found;
}

export type Target = { resource: Resource; namespace: string; name: string; sub: string };

/**
 * `null` = no path of the API. A resource that is not served has no kind: every request for it is
 * forbidden, so its absence does not show.
 */
export function parsePath(path: string): Target | null {
  const steps = path.split("?")[0]?.split("/").slice(1).map(decodeURIComponent) ?? [];
  const apiVersion =
    steps[0] === "api" ? steps[1] : steps[0] === "apis" ? `${steps[1]}/${steps[2]}` : undefined;
  const rest = steps.slice(steps[0] === "api" ? 2 : 3);
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 2) namespace = rest.splice(0, 2)[1] ?? "";
  const [plural, name = "", sub = ""] = rest;
  if (apiVersion === undefined || plural === undefined || rest.length > 3) return null;
  const found =
    RESOURCES.find(
      (candidate) => apiVersionOf(candidate) === apiVersion && candidate.plural === plural,
    ) ?? resource(apiVersion, plural, "", namespace !== "");
  if (name !== "" && found.namespaced !== (namespace !== "")) return null;
  return { resource: found, namespace, name, sub };
}

/** `""` for a resource without namespaces. */
export const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

/**
 * What decoding into the server's types leaves of an object: nothing that is empty and marked
 * `omitempty` (API types), so a literal `unschedulable: false` is gone.
 */
export function cleanObject(object: KubeObject): KubeObject {
  const clean: KubeObject = { ...object };
  const metadata: KubeObject = { ...metaOf(object) };
  for (const key of ["labels", "annotations", "finalizers", "ownerReferences"]) {
    const value = metadata[key];
    const size = isObject(value) ? Object.keys(value).length : listOf(value).length;
    if (size === 0) delete metadata[key];
  }
  clean["metadata"] = metadata;
  if (isObject(object["spec"])) {
    const spec: KubeObject = { ...object["spec"] };
    if (spec["unschedulable"] === false || spec["unschedulable"] === null) {
      delete spec["unschedulable"];
    }
    for (const key of ["taints", "tolerations", "volumes"]) {
      if (Array.isArray(spec[key]) && listOf(spec[key]).length === 0) delete spec[key];
    }
    clean["spec"] = spec;
  }
  return clean;
}

const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/** Of an event's note (API validation of events.k8s.io/v1). */
const NOTE_CHARS_MAX = 1_024;

/** What validation finds wrong with an object; `null` = it may be stored. */
export function judgeObject({ kind }: Resource, object: KubeObject): Refused | null {
  const causes =
    kind === "Node"
      ? judgeTaints(listOf(objectOf(object["spec"])["taints"]))
      : kind === "Event"
        ? judgeEvent(object)
        : [];
  return causes.length === 0 ? null : invalid(kind, nameOf(object), causes);
}

type Fault = { reason: string; field: string; detail: string };

function judgeTaints(taints: readonly unknown[]): Fault[] {
  const seen = new Set<string>();
  const faults: Fault[] = [];
  for (const [i, raw] of taints.entries()) {
    const { key, value = "", effect } = objectOf(raw);
    const pair = `${textOf(key)}:${textOf(effect)}`;
    if (seen.has(pair)) {
      const shown = JSON.stringify({ Key: key, Value: value, Effect: effect, TimeAdded: null });
      const detail = `Duplicate value: ${shown}: taints must be unique by key and effect pair`;
      faults.push({ reason: "FieldValueDuplicate", field: `metadata.taints[${i}]`, detail });
    }
    seen.add(pair);
    if (!EFFECTS.includes(textOf(effect))) {
      const values = EFFECTS.map((known) => `"${known}"`).join(", ");
      const detail = `Unsupported value: "${textOf(effect)}": supported values: ${values}`;
      const field = `metadata.taints[${i}].effect`;
      faults.push({ reason: "FieldValueNotSupported", field, detail });
    }
  }
  return faults;
}

/** What `events.k8s.io/v1` makes immutable (`ValidateEventUpdate`); `v1` does not ask. */
const EVENT_FIXED = ["note", "reason", "type", "action", "regarding", "related", "eventTime"];

export function judgeEventChange(
  { group, kind }: Resource,
  before: KubeObject,
  after: KubeObject,
): Refused | null {
  if (kind !== "Event" || group === "") return null;
  const causes = EVENT_FIXED.filter((key) => !isEqual(before[key], after[key])).map((key) => {
    const field = key === "note" ? "message" : key === "regarding" ? "involvedObject" : key;
    const detail = `Invalid value: ${JSON.stringify(after[key])}: field is immutable`;
    return { reason: "FieldValueInvalid", field, detail };
  });
  return causes.length === 0 ? null : invalid(kind, nameOf(after), causes);
}

function judgeEvent(event: KubeObject): Fault[] {
  const faults: Fault[] = [];
  const needed = ["eventTime", "reportingController", "reportingInstance", "action", "reason"];
  for (const field of needed) {
    if (textOf(event[field]) !== "") continue;
    faults.push({ reason: "FieldValueRequired", field, detail: "Required value" });
    // Without a time the rest is not looked at: it would be an event of the old group.
    if (field === "eventTime") return faults;
  }
  if (textOf(event["note"]).length > NOTE_CHARS_MAX) {
    const detail = `Invalid value: "": can have at most ${NOTE_CHARS_MAX} characters`;
    faults.push({ reason: "FieldValueInvalid", field: "message", detail });
  }
  return faults;
}
