/** Single objects of any kind: their paths, their names for people, and calls for one of them. */
import { PATCH } from "../../reconciler/kubernetes/api.ts";
import type { Resource } from "./state.ts";
import { TaskError, type Run } from "./task.ts";
import { type Settled, settle } from "./write.ts";

/** Where an object is. */
export type Place = { resource: Resource; namespace: string | null; name: string };

/** A restart of an API server takes about half of this. */
const PATIENCE_MS = 20_000;

/** Until when a call is repeated that no time-out of its task bounds. */
export const patience = ({ clock }: Pick<Run, "clock">): number => clock.monoMs() + PATIENCE_MS;

export function collectionPath(
  { group, version, resource }: Pick<Resource, "group" | "version" | "resource">,
  namespace: string | null,
): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const under = namespace === null ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${under}/${resource}`;
}

/** Each watch is a connection; from here on one for all namespaces is kinder to the server. */
const WATCHES_MAX = 8;

/** What to list and watch for objects of these namespaces; `null`: they are in none. */
export function collectionPaths(
  resource: Pick<Resource, "group" | "version" | "resource">,
  namespaces: Iterable<string | null>,
): string[] {
  const own = new Set(namespaces);
  const places = own.size > WATCHES_MAX ? [null] : own;
  return [...places].map((namespace) => collectionPath(resource, namespace));
}

export const objectPath = ({ resource, namespace, name }: Place): string =>
  `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;

/** `batch/v1, Resource=jobs`, as Go's client writes it. */
export const formatResource = ({ group, version, resource }: Resource): string =>
  `${group}/${version}, Resource=${resource}`;

/** `job default/job1`, for people. */
export const formatPlace = ({ resource, namespace, name }: Place): string =>
  `${resource.kind.toLowerCase()} ${namespace === null ? "" : `${namespace}/`}${name}`;

export function readAt(run: Run, path: string, deadlineMs: number): Promise<Settled> {
  return settle(run, `reading ${path}`, { verb: "get", path, lane: "read" }, deadlineMs);
}

/** The object, or `null` if there is none. Throws `TaskError`. */
export async function readPlace(
  run: Run,
  place: Place,
  deadlineMs: number = patience(run),
): Promise<unknown> {
  const answer = await readAt(run, objectPath(place), deadlineMs);
  if (answer.kind === "ok") return answer.body;
  if (answer.status === 404) return null;
  throw new TaskError(answer.message);
}

/**
 * A merge patch, which may be sent twice. Its writer is not the one that creates: cleanup takes
 * what that one wrote.
 */
export function patchAt(
  run: Run,
  path: string,
  body: unknown,
  deadlineMs: number,
): Promise<Settled> {
  const query = { fieldManager: `${run.fieldManager}-update` };
  const request = { verb: "patch", path, query, contentType: PATCH.merge, body } as const;
  return settle(run, `patching ${path}`, { ...request, lane: "status" }, deadlineMs);
}
