/**
 * Writes to the API server for tasks: each is repeated until the server answers, the time is over
 * or the run is interrupted. A lost reply of a create is settled by reading the object.
 */
import {
  deleteOptions,
  type KubeAnswer,
  type KubeRequest,
} from "../../reconciler/kubernetes/api.ts";
import { readList } from "../../reconciler/kubernetes/call.ts";
import { type Fields, readObject } from "../../reconciler/kubernetes/read-field.ts";
import { TaskError, type Run } from "./task.ts";
import { wait } from "./wait.ts";

/** What a writer needs of a run; `navarch sim nodes` has no task. */
export type Writer = Pick<Run, "api" | "made" | "fieldManager" | "signal" | "clock">;

/** An answer that says whether the request was done. */
export type Settled = Exclude<KubeAnswer, { kind: "lost" }>;

/** A server that is alive answers within a second; a restart takes some ten. */
const CALL_MS = 10_000;
/** A page of 500 Nodes is some 3 MiB. */
const PAGE_MS = 30_000;
const PAUSE_MS_LEAST = 250;
const PAUSE_MS_MOST = 5_000;

/** The time of a task is over. `last` is the last answer to what it waited for. */
export const expired = (what: string, last: string): TaskError =>
  new TaskError(`context deadline exceeded: ${what}${last === "" ? "" : `: ${last}`}`);

/** Repeats an idempotent request until it is answered; rejects at `deadlineMs` (monotonic). */
export async function settle(
  writer: Writer,
  what: string,
  request: Omit<KubeRequest, "timeoutMs">,
  deadlineMs: number,
): Promise<Settled> {
  let last = "";
  for (let attempt = 0; ; attempt += 1) {
    const answer = await once(writer, what, request, deadlineMs, last);
    const pauseMs = pauseOf(answer, attempt);
    if (pauseMs === null && answer.kind !== "lost") return answer;
    last = answer.kind === "ok" ? "" : answer.message;
    await pause(writer, what, pauseMs ?? PAUSE_MS_LEAST, deadlineMs, last);
  }
}

async function once(
  { api, clock, signal }: Writer,
  what: string,
  request: Omit<KubeRequest, "timeoutMs">,
  deadlineMs: number,
  last: string,
): Promise<KubeAnswer> {
  if (signal.aborted) throw new TaskError("interrupted");
  const leftMs = deadlineMs - clock.monoMs();
  if (leftMs <= 0) throw expired(what, last);
  const answer = await api.call({ ...request, timeoutMs: Math.min(CALL_MS, leftMs) });
  // Not sent: what an earlier request may have made stays noted.
  if (signal.aborted && answer.kind === "refused" && answer.reason === "NotWanted") {
    throw new TaskError("interrupted");
  }
  return answer;
}

/** `null`: the answer is final. */
function pauseOf(answer: KubeAnswer, attempt: number): number | null {
  const growing = Math.min(PAUSE_MS_LEAST * 2 ** attempt, PAUSE_MS_MOST);
  if (answer.kind === "lost") return growing;
  if (answer.kind === "ok") return null;
  const isBusy = answer.status === 429 || answer.status === 503 || answer.retryAfterMs !== null;
  return isBusy ? Math.min(answer.retryAfterMs ?? growing, PAUSE_MS_MOST) : null;
}

async function pause(
  writer: Writer,
  what: string,
  ms: number,
  deadlineMs: number,
  last: string,
): Promise<void> {
  if (writer.clock.monoMs() + ms >= deadlineMs) throw expired(what, last);
  await wait(writer, ms);
}

/** An object to create. */
export type NewObject = {
  /** `/api/v1/nodes`, percent-encoded. */
  collection: string;
  name: string;
  /** For people: `node virtual-a`. */
  what: string;
  body: unknown;
  isNode?: boolean;
  /** False: `-cleanup` leaves it, as what it replaces was there before. */
  isNoted?: boolean;
};

export type Created =
  | { kind: "created"; object: Fields; warnings: readonly string[] }
  /** It was there before this invocation. */
  | { kind: "exists"; object: Fields }
  | { kind: "refused"; message: string };

/** Creates an object once, however often the reply is lost. Rejects at `deadlineMs`. */
export async function createObject(
  writer: Writer,
  { collection, name, what, body, isNode = false, isNoted = true }: NewObject,
  deadlineMs: number,
): Promise<Created> {
  const { made, fieldManager } = writer;
  const path = `${collection}/${encodeURIComponent(name)}`;
  const query = { fieldManager };
  const doing = `creating ${what}`;
  if (isNoted) made.intend(path, what, isNode);
  let last = "";
  let isDoubtful = false;
  for (let attempt = 0; ; attempt += 1) {
    const request = { verb: "create", path: collection, query, body, lane: "status" } as const;
    const answer = await once(writer, doing, request, deadlineMs, last);
    if (answer.kind === "ok") {
      made.confirm(path, uidOf(answer.body));
      return {
        kind: "created",
        object: readObject(answer.body),
        warnings: answer.warnings ?? [],
      };
    }
    last = answer.message;
    const isThere = answer.kind === "refused" && answer.reason === "AlreadyExists";
    if (isThere || answer.kind === "lost") {
      const found = await look(writer, path, what, deadlineMs);
      if (found !== null) return found;
    }
    const pauseMs = isThere ? PAUSE_MS_LEAST : pauseOf(answer, attempt);
    isDoubtful ||= answer.kind === "lost";
    if (pauseMs === null) {
      // A request whose reply was lost may still be done: cleanup looks.
      if (!isDoubtful) made.drop(path);
      return { kind: "refused", message: last };
    }
    await pause(writer, doing, pauseMs, deadlineMs, last);
  }
}

/** The object at `path`, judged by who created it; `null`: there is none. */
async function look(
  writer: Writer,
  path: string,
  what: string,
  deadlineMs: number,
): Promise<Created | null> {
  const request = { verb: "get", path, lane: "read" } as const;
  const answer = await settle(writer, `reading ${what}`, request, deadlineMs);
  if (answer.kind === "refused") {
    if (answer.status === 404) return null;
    return { kind: "refused", message: answer.message };
  }
  const object = readObject(answer.body);
  if (isWrittenBy(object, writer.fieldManager)) {
    writer.made.confirm(path, uidOf(object));
    return { kind: "created", object, warnings: [] };
  }
  writer.made.drop(path);
  return { kind: "exists", object };
}

/** The name is this invocation's alone, and only creates carry it: a patch proves no creation. */
export function isWrittenBy(object: Fields, manager: string): boolean {
  const { managedFields } = readObject(object["metadata"]);
  const entries: unknown[] = Array.isArray(managedFields) ? managedFields : [];
  return entries.some((entry) => readObject(entry)["manager"] === manager);
}

/** Deletes the object of this UID in the background; one that is gone counts as deleted. */
export async function deleteObject(
  writer: Writer,
  { path, uid, what }: { path: string; uid: string; what: string },
  deadlineMs: number,
): Promise<void> {
  const body = { ...deleteOptions(uid), propagationPolicy: "Background" };
  const request = { verb: "delete", path, body, lane: "status" } as const;
  const answer = await settle(writer, `deleting ${what}`, request, deadlineMs);
  // 409: another object has the name now, so this one is gone.
  if (answer.kind === "refused" && answer.status !== 404 && answer.status !== 409) {
    throw new TaskError(`failed to delete ${what}: ${answer.message}`);
  }
  writer.made.drop(path);
}

/** A whole collection, read again until it is answered. */
export async function listObjects<T>(
  writer: Writer,
  ask: {
    path: string;
    query: Readonly<Record<string, string>>;
    /** For people: `virtual nodes`. */
    what: string;
    read: (item: unknown) => T | null;
  },
  deadlineMs: number,
): Promise<T[]> {
  const { path, query, what, read } = ask;
  const { api, clock, signal } = writer;
  let last = "";
  for (let attempt = 0; ; attempt += 1) {
    if (signal.aborted) throw new TaskError("interrupted");
    const leftMs = deadlineMs - clock.monoMs();
    if (leftMs <= 0) throw expired(`listing ${what}`, last);
    const options = { timeoutMs: Math.min(PAGE_MS, leftMs), signal, read };
    const answer = await readList(api, path, query, options);
    if (answer.kind === "ok") return answer.items;
    last = answer.message;
    const pauseMs = pauseOf(answer, attempt);
    if (pauseMs === null) throw new TaskError(`failed to list ${what}: ${last}`);
    await pause(writer, `listing ${what}`, pauseMs, deadlineMs, last);
  }
}

export function uidOf(object: unknown): string {
  const { uid } = readObject(readObject(object)["metadata"]);
  return typeof uid === "string" ? uid : "";
}

/** Runs `work` on all items, some at once. The first failure stops the rest and is thrown. */
export async function forEach<T>(
  items: Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  let failure: { cause: unknown } | null = null;
  const lane = async () => {
    for (let next = queue.next(); next.done !== true && failure === null; next = queue.next()) {
      try {
        await work(next.value);
      } catch (cause) {
        failure ??= { cause };
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  if (failure !== null) throw (failure as { cause: unknown }).cause;
}
