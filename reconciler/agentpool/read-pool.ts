/**
 * Parses an AgentPool object and applies the rules of its definition again: a cluster before 1.25
 * does not check them. Nothing in an object makes it throw; each broken rule is a problem with its
 * field. Pure.
 */
import type { V1ObjectMeta } from "@kubernetes/client-node";
import { AUTOSCALER_FIELDS, AUTOSCALER_MAX } from "../../schema/agentpool-resource.ts";
import { POOL_ANNOTATION, POOL_FINALIZER, POOL_NAME_MAX } from "../../schema/agentpool-resource.ts";
import type { AutoscalerField } from "../../schema/agentpool-resource.ts";
import { cutText } from "../../schema/cut-text.ts";
import { parseDuration } from "../../schema/duration.ts";
import type { AgentPool, PoolScaler } from "../core/agentpool/model.ts";
import { readIdentity, readList, readObject, readText } from "../kubernetes/read-field.ts";
import type { Fields, Untrusted } from "../kubernetes/read-field.ts";

/** As it is held: with what a writer needs of it. */
export type HeldPool = AgentPool & {
  finalizers: readonly string[];
  /** As the server shows it. */
  status: Fields;
};

export const PENDING_TIMEOUT_MS = 900_000;
/** Shorter than this, a pod would be replaced while its image is pulled. */
const PENDING_LEAST_MS = 1_000;
const PROBLEMS_MAX = 20;
const SHOWN_CHARS_MAX = 60;
/** A DNS subdomain (RFC 1123). */
const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

class Problems {
  readonly list: string[] = [];

  add(field: string, expected: string, found: unknown): void {
    if (this.list.length >= PROBLEMS_MAX) return;
    this.list.push(`${field}: expected ${expected}, found ${shown(found)}`);
  }
}

/** `null` if it has no namespace, name or UID. */
export function readPool(json: unknown): HeldPool | null {
  const object = readObject(json);
  const metadata = readObject<V1ObjectMeta>(object["metadata"]);
  const identity = readIdentity(metadata);
  const namespace = readText(metadata.namespace);
  if (identity === null || namespace === null) return null;
  const problems = new Problems();
  const { name } = identity;
  if (name.length > POOL_NAME_MAX) {
    problems.add("metadata.name", `at most ${POOL_NAME_MAX} characters`, name);
  }
  const spec = readObject(object["spec"]);
  const finalizers = readList(metadata.finalizers).flatMap((one) => readText(one) ?? []);
  return {
    ...{ key: `${namespace}/${name}`, namespace, ...identity },
    generation: isWhole(metadata.generation, 0) ? metadata.generation : 0,
    isDeleting: readText(metadata.deletionTimestamp) !== null,
    hasFinalizer: finalizers.includes(POOL_FINALIZER),
    ...readAnnotations(readObject(metadata.annotations), problems),
    scaler: readScaler(spec["autoscaler"], problems),
    template: readTemplate(spec["template"], namespace, problems),
    ...(isAbsent(spec["instance"]) ? {} : (noInstance(problems), {})),
    problems: problems.list,
    finalizers,
    status: readObject(object["status"]),
  };
}

function noInstance(problems: Problems): void {
  const instead = "for machines write a pool with autoscaler idle into the configuration";
  problems.list.push(`spec.instance: this release creates pods only; delete it; ${instead}`);
}

type Annotated = Pick<AgentPool, "drainsOnDelete" | "recycles" | "adopts" | "pendingTimeoutMs">;

function readAnnotations(given: Fields, problems: Problems): Annotated {
  const isOn = (key: string, value: string, none: string): boolean => {
    const found = given[key];
    if (isAbsent(found) || found === "" || found === none) return false;
    if (found !== value) problems.add(fieldOf(key), `"${value}" or "${none}"`, found);
    return found === value;
  };
  const { deletePolicy, recycle, adopt, pendingTimeout } = POOL_ANNOTATION;
  const policy = given[deletePolicy];
  const deletes = policy === "" || policy === "Delete" || isAbsent(policy);
  isOn(deletePolicy, "Drain", "Delete");
  const waited = given[pendingTimeout];
  let pendingTimeoutMs = PENDING_TIMEOUT_MS;
  if (!isAbsent(waited)) {
    const read = typeof waited === "string" ? parseDuration(waited) : null;
    if (read?.ok === true && read.ms >= PENDING_LEAST_MS) pendingTimeoutMs = read.ms;
    else problems.add(fieldOf(pendingTimeout), "a duration of at least 1s, such as 15m", waited);
  }
  return {
    // A misspelt policy waits for claims: it was set to keep them.
    drainsOnDelete: !deletes,
    recycles: isOn(recycle, "OnIdle", "Never"),
    adopts: isOn(adopt, "true", "false"),
    pendingTimeoutMs,
  };
}

const fieldOf = (annotation: string): string => `metadata.annotations[${annotation}]`;

/** `null` without an autoscaler, and for one that is not readable. */
function readScaler(value: unknown, problems: Problems): PoolScaler | null {
  if (isAbsent(value)) return null;
  const path = "spec.autoscaler";
  if (!isMap(value)) {
    problems.add(path, "an object", value);
    return null;
  }
  const before = problems.list.length;
  const read = new Map<AutoscalerField["name"], number>();
  for (const field of AUTOSCALER_FIELDS) {
    const found = value[field.name];
    const isRight = isWhole(found, field.minimum) && found <= AUTOSCALER_MAX;
    if (isRight) read.set(field.name, found);
    else if (isAbsent(found) && field.default !== null) read.set(field.name, field.default);
    else {
      const expected = `a whole number from ${field.minimum} to ${AUTOSCALER_MAX}`;
      problems.add(`${path}.${field.name}`, expected, found);
    }
  }
  if (problems.list.length > before) return null;
  const number = (name: AutoscalerField["name"]): number => read.get(name) ?? 0;
  const [min, max] = [number("minReplicas"), number("maxReplicas")];
  if (max < min) {
    problems.add(`${path}.maxReplicas`, `at least minReplicas (${min})`, max);
    return null;
  }
  return {
    ...{ min, max, minIdle: number("minIdle"), maxIdle: number("maxIdle") },
    decayMs: number("idleDecaySecond") * 1_000,
    killUnknownMs: number("killUnknownAfterSecond") * 1_000,
    slots: number("defaultSlotsPerAgent"),
  };
}

function readTemplate(value: unknown, namespace: string, problems: Problems): Fields {
  const path = "spec.template";
  if (!isMap(value)) {
    problems.add(path, "a Pod", value);
    return {};
  }
  const kinds = { apiVersion: "v1", kind: "Pod" } as const;
  for (const [key, expected] of Object.entries(kinds)) {
    const found = value[key];
    if (!isAbsent(found) && found !== "" && found !== expected) {
      problems.add(`${path}.${key}`, expected, found);
    }
  }
  readTemplateMeta(readObject<V1ObjectMeta>(value["metadata"]), namespace, problems);
  const { containers } = readObject<{ containers: unknown }>(value["spec"]);
  if (!Array.isArray(containers) || containers.length === 0) {
    problems.add(`${path}.spec.containers`, "at least one container", containers);
    return value;
  }
  for (const [i, container] of containers.entries()) {
    const { name } = readObject<{ name: unknown }>(container);
    if (readText(name) === null) {
      problems.add(`${path}.spec.containers[${i}].name`, "a name", name);
    }
  }
  return value;
}

function readTemplateMeta(
  metadata: Untrusted<V1ObjectMeta>,
  namespace: string,
  problems: Problems,
): void {
  const path = "spec.template.metadata";
  const labels = metadata.labels;
  if (!isMap(labels) || Object.keys(labels).length === 0) {
    problems.add(`${path}.labels`, "at least one label", labels);
  }
  for (const key of ["labels", "annotations"] as const) {
    for (const [name, found] of Object.entries(readObject(metadata[key]))) {
      const field = `${path}.${key}[${cutText(name)}]`;
      if (typeof found !== "string") problems.add(field, "text", found);
    }
  }
  const { name, namespace: other } = metadata;
  const isName = typeof name === "string" && name.length <= POOL_NAME_MAX && NAME.test(name);
  if (!isAbsent(name) && name !== "" && !isName) {
    problems.add(`${path}.name`, `a name of at most ${POOL_NAME_MAX} characters`, name);
  }
  if (!isAbsent(other) && other !== "" && other !== namespace) {
    problems.add(`${path}.namespace`, `the pool's namespace (${namespace}) or none`, other);
  }
}

const isAbsent = (value: unknown): value is undefined | null =>
  value === undefined || value === null;

const isMap = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isWhole = (value: unknown, least: number): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= least;

/** Short, for a message. */
function shown(value: unknown): string {
  if (isAbsent(value)) return "none";
  if (typeof value === "string") return `"${cutText(value.slice(0, SHOWN_CHARS_MAX))}"`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  return Object.keys(value).length === 0 ? "an empty object" : "an object";
}
