/**
 * Calls for single objects of any kind: paths, and requests that are repeated while the API server
 * is away or busy. A creation whose answer was lost is settled by the writer's name in
 * `managedFields`, so that it is made once.
 */
import {
  type KubeAnswer,
  type KubeRequest,
  PATCH,
  deleteOptions,
} from "../../reconciler/kubernetes/api.ts";
import { readObject } from "../../reconciler/kubernetes/read-field.ts";
import type { Resource } from "./state.ts";
import { TaskError, type Run } from "./task.ts";
import { wait } from "./wait.ts";

/** Where an object is. */
export type Place = { resource: Resource; namespace: string | null; name: string };

const CALL_MS = 10_000;
/** A restart of an API server takes about this long. */
const PATIENCE_MS = 20_000;
const PAUSE_LEAST_MS = 100;
const PAUSE_MOST_MS = 2_000;

export function collectionPath(
  { group, version, resource }: Pick<Resource, "group" | "version" | "resource">,
  namespace: string | null,
): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const under = namespace === null ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${under}/${resource}`;
}

export const objectPath = ({ resource, namespace, name }: Place): string =>
  `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;

/** `batch/v1, Resource=jobs`, as Go's client writes it. */
export const formatResource = ({ group, version, resource }: Resource): string =>
  `${group}/${version}, Resource=${resource}`;

/** `job default/job1`, for people. */
export const formatPlace = ({ resource, namespace, name }: Place): string =>
  `${resource.kind.toLowerCase()} ${namespace === null ? "" : `${namespace}/`}${name}`;

type Refused = KubeAnswer & { kind: "refused" };
export type Answered = Exclude<KubeAnswer, { kind: "lost" }>;
type Request = Omit<KubeRequest, "timeoutMs" | "lane">;

/** The server has no time now: the same call later may succeed. */
const isBusy = ({ status, reason }: Refused): boolean =>
  status === 429 || (status >= 500 && reason !== "InternalError");

/** How long to wait before the next attempt; throws `TaskError` when the patience is over. */
class Patience {
  readonly #run: Run;
  readonly #endMs: number;
  #pauseMs = PAUSE_LEAST_MS;

  constructor(run: Run, ms: number) {
    this.#run = run;
    this.#endMs = run.clock.monoMs() + ms;
  }

  async attempt(request: Request): Promise<KubeAnswer> {
    const { api, signal, clock } = this.#run;
    if (signal.aborted) throw new TaskError("interrupted");
    const isRead = request.verb === "get" || request.verb === "list";
    const leftMs = Math.max(1, Math.min(CALL_MS, this.#endMs - clock.monoMs()));
    const lane = isRead ? "read" : "status";
    const answer = await api.call({ ...request, timeoutMs: Math.ceil(leftMs), lane });
    if (signal.aborted && answer.kind !== "ok") throw new TaskError("interrupted");
    return answer;
  }

  async pause(answer: Exclude<KubeAnswer, { kind: "ok" }>): Promise<void> {
    const leftMs = this.#endMs - this.#run.clock.monoMs();
    if (leftMs <= 0) throw new TaskError(explain(answer));
    const askedMs = answer.kind === "refused" ? (answer.retryAfterMs ?? 0) : 0;
    await wait(this.#run, Math.max(1, Math.min(Math.max(this.#pauseMs, askedMs), leftMs)));
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MOST_MS);
  }
}

/** Sends until the server decides; not for creations. Throws `TaskError` if it stays away. */
export async function send(
  run: Run,
  request: Request & { verb: "get" | "list" | "patch" | "delete" },
  patienceMs: number = PATIENCE_MS,
): Promise<Answered> {
  const patience = new Patience(run, patienceMs);
  for (;;) {
    const answer = await patience.attempt(request);
    if (answer.kind === "ok" || (answer.kind === "refused" && !isBusy(answer))) return answer;
    await patience.pause(answer);
  }
}

export function explain(answer: Exclude<KubeAnswer, { kind: "ok" }>): string {
  if (answer.kind === "lost") return `the API server does not answer: ${answer.message}`;
  return answer.message || answer.reason || `HTTP ${answer.status}`;
}

/** The object, or `null` if there is none. */
export async function readObjectAt(run: Run, place: Place): Promise<unknown> {
  const answer = await send(run, { verb: "get", path: objectPath(place) });
  if (answer.kind === "ok") return answer.body;
  if (answer.status === 404) return null;
  throw new TaskError(explain(answer));
}

type Metadata = { uid: string; managedFields: { manager?: string }[] };

export function uidOf(body: unknown): string {
  const { metadata } = readObject<{ metadata: unknown }>(body);
  const { uid } = readObject<Metadata>(metadata);
  return typeof uid === "string" ? uid : "";
}

function isWrittenBy(body: unknown, manager: string): boolean {
  const { metadata } = readObject<{ metadata: unknown }>(body);
  const { managedFields } = readObject<Metadata>(metadata);
  if (!Array.isArray(managedFields)) return false;
  return managedFields.some((entry) => readObject<{ manager: string }>(entry).manager === manager);
}

export type Created = { kind: "made" | "exists"; uid: string };

/** Creates one object, once. `made` gets it before it is asked for. Throws `TaskError`. */
export async function createObject(run: Run, place: Place, body: unknown): Promise<Created> {
  const { made, fieldManager } = run;
  const path = objectPath(place);
  const isKnown = made.has(path);
  made.intend(path, formatPlace(place), place.resource.kind === "Node");
  const patience = new Patience(run, PATIENCE_MS);
  let isDoubtful = false;
  for (;;) {
    const answer = await patience.attempt({
      verb: "create",
      path: collectionPath(place.resource, place.namespace),
      query: { fieldManager, fieldValidation: "Warn" },
      body,
    });
    if (answer.kind === "ok") {
      for (const warning of answer.warnings ?? []) run.say("detail", `warning: ${warning}`);
      return confirmed(run, path, uidOf(answer.body));
    }
    if (answer.kind === "refused" && answer.reason === "AlreadyExists") {
      const held = await readObjectAt(run, place);
      const isOurs = isDoubtful && !isKnown && isWrittenBy(held, fieldManager);
      if (held !== null && isOurs) return confirmed(run, path, uidOf(held));
      if (held !== null) {
        if (!isKnown) made.drop(path);
        return { kind: "exists", uid: uidOf(held) };
      }
    } else if (answer.kind === "refused" && !isBusy(answer)) {
      // After a lost answer the object may be there all the same: cleanup looks.
      if (!isKnown && !isDoubtful) made.drop(path);
      throw new TaskError(explain(answer));
    }
    if (answer.kind === "lost") isDoubtful = true;
    await patience.pause(answer);
  }
}

function confirmed(run: Run, path: string, uid: string): Created {
  run.made.confirm(path, uid);
  return { kind: "made", uid };
}

/**
 * A merge patch, which may be sent twice. Its writer is not the one that creates: cleanup takes
 * what that one wrote.
 */
export function patchObject(
  run: Run,
  path: string,
  body: unknown,
  patienceMs?: number,
): Promise<Answered> {
  return send(
    run,
    {
      verb: "patch",
      path,
      query: { fieldManager: `${run.fieldManager}-update`, fieldValidation: "Warn" },
      contentType: PATCH.merge,
      body,
    },
    patienceMs,
  );
}

/** `gone`: it does not exist; `replaced`: another object has its name, and stays. */
export async function deleteObject(
  run: Run,
  place: Place & { uid: string },
): Promise<"deleted" | "gone" | "replaced"> {
  const answer = await send(run, {
    verb: "delete",
    path: objectPath(place),
    body: { ...deleteOptions(place.uid), propagationPolicy: "Background" },
  });
  if (answer.kind === "ok") return "deleted";
  if (answer.status === 404) return "gone";
  if (answer.status === 409) return "replaced";
  throw new TaskError(`failed to delete ${formatPlace(place)}: ${explain(answer)}`);
}

/** Works on several at once, begun in order. The first failure ends it, after what has begun. */
export async function inParallel<T, U>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<U>,
): Promise<U[]> {
  const results: U[] = [];
  let next = 0;
  let failure: { cause: unknown } | null = null;
  const worker = async (): Promise<void> => {
    while (failure === null && next < items.length) {
      const index = next;
      next += 1;
      const item = items[index];
      if (item === undefined) return;
      try {
        results[index] = await work(item);
      } catch (cause) {
        failure ??= { cause };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  const failed = failure as { cause: unknown } | null;
  if (failed !== null) throw failed.cause;
  return results;
}
