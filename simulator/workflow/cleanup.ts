/**
 * Removes what an invocation created and nothing else. An object goes if the server has confirmed
 * that we made it, or if its `managedFields` name our writer; a deletion carries its UID, so that
 * another object of the same name stays.
 */
import { formatDuration } from "../../schema/duration.ts";
import type { Clock } from "../../reconciler/core/clock.ts";
import { deleteOptions, type KubeAnswer, type KubeApi } from "../../reconciler/kubernetes/api.ts";
import { readObject } from "../../reconciler/kubernetes/read-field.ts";
import type { Made, MadeObject, Undo } from "./made.ts";
import type { Say } from "./task.ts";
import { isWrittenBy, uidOf } from "./write.ts";

export type CleanupOptions = {
  /** Not that of the run, which is closed after an interrupt. */
  api: KubeApi;
  made: Made;
  clock: Clock;
  say: Say;
  /** The writer's name in `managedFields`. */
  fieldManager: string;
  timeoutMs: number;
  /** `-cleanup.nodes=false`: virtual nodes stay. */
  keepsNodes: boolean;
};

const CALL_MS = 10_000;
const PARALLEL = 32;
/** A control plane that is alive clears a fault at once. */
const UNDO_MS = 30_000;
/** Between looks at an object that is being deleted, or that a lost request may still make. */
const LOOK_MS = 500;
/** A request whose answer was lost may be executed this much later. */
const LATE_MS = 2_000;
/** Looks before the log says what is waited for. */
const ROUNDS_SILENT = 6;
/** Pods leave their virtual nodes before these go, or they wait for the pod collector. */
const PODS_MS = 10_000;

/** Returns what is left, with a warning for each. Never rejects. */
export async function cleanUp(options: CleanupOptions): Promise<MadeObject[]> {
  const { clock, made, say, timeoutMs } = options;
  const startedMs = clock.monoMs();
  const sweep = new Sweep(options, startedMs + timeoutMs);
  await undoAll(options);
  const wanted = made.all().filter(({ isNode }) => !(isNode && options.keepsNodes));
  if (wanted.length === 0) return [];
  say("info", `Cleanup: ${count(wanted.length)} to remove`);
  for (const group of groupsOf(wanted)) {
    if (group[0]?.isNode === true) await sweep.awaitPods(group);
    await inParallel(group, (object) => sweep.remove(object));
  }
  await sweep.settle();
  const left = wanted.filter(({ path }) => made.has(path));
  for (const object of left) {
    say("warning", `cleanup: ${object.name} is not removed: ${sweep.whyLeft(object)}`);
  }
  const took = formatDuration(Math.round(clock.monoMs() - startedMs));
  say("info", `Cleanup: ${count(wanted.length - left.length)} removed in ${took}`);
  return left;
}

/** Before the objects go: a fault of a machine is cleared while there is one. */
async function undoAll({ made, clock, say, timeoutMs }: CleanupOptions): Promise<void> {
  const late = Promise.withResolvers<Awaited<ReturnType<Undo>>>();
  const cancel = clock.after(Math.min(timeoutMs, UNDO_MS), () => {
    late.resolve({ ok: false, say: "no answer in time" });
  });
  for (const [name, undo] of made.undos()) {
    const end = await Promise.race([undo(), late.promise]);
    if (end.ok) made.dropUndo(name);
    if (end.ok) say("info", `Cleanup: ${name} ${end.say}`);
    else say("warning", `cleanup: the ${name} is not cleared: ${end.say}`);
  }
  cancel();
}

const count = (n: number): string => `${n} ${n === 1 ? "object" : "objects"}`;

/** Neighbours of one kind and namespace go together; kinds in the reverse order of creation. */
function groupsOf(objects: readonly MadeObject[]): MadeObject[][] {
  const groups: MadeObject[][] = [];
  let last = "";
  for (const object of objects) {
    const collection = object.path.slice(0, object.path.lastIndexOf("/"));
    if (collection !== last) groups.push([]);
    groups.at(-1)?.push(object);
    last = collection;
  }
  return groups;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, worker));
}

class Sweep {
  readonly #options: CleanupOptions;
  readonly #deadlineMs: number;
  readonly #why = new Map<string, string>();
  /** Asked for and never seen: a lost request may still make them. */
  readonly #unseen: MadeObject[] = [];
  /** Deleted, and not gone yet: a finalizer or a namespace takes its time. */
  readonly #ending: MadeObject[] = [];
  #isAway = false;

  constructor(options: CleanupOptions, deadlineMs: number) {
    this.#options = options;
    this.#deadlineMs = deadlineMs;
  }

  whyLeft({ path }: MadeObject): string {
    return this.#why.get(path) ?? `no time was left (-cleanup.timeout)`;
  }

  /** Repeats lost requests until the time is over. */
  async remove(object: MadeObject): Promise<void> {
    const uid = object.uid ?? (await this.#ownUid(object));
    if (uid === null) return;
    for (;;) {
      const body = { ...deleteOptions(uid), propagationPolicy: "Background" };
      const answer = await this.#call("delete", object.path, body);
      if (answer === null) return;
      if (answer.kind === "ok") {
        if (isEnding(answer.body)) this.#ending.push({ ...object, uid });
        else this.#gone(object);
        return;
      }
      if (answer.kind === "refused" && answer.status === 404) return this.#gone(object);
      // Another object has the name now, or ours is being deleted already.
      const isTaken = answer.kind === "refused" && answer.status === 409;
      if (isTaken) return void this.#ending.push({ ...object, uid });
      if (this.#isFinal(object, answer)) return;
      await this.#pass(LOOK_MS);
    }
  }

  /** Until what is ending is gone, and what no answer told of has not appeared. */
  async settle(): Promise<void> {
    if (this.#unseen.length > 0) {
      await this.#pass(LATE_MS);
      await inParallel(this.#unseen.splice(0), (object) => this.remove(object));
      for (const object of this.#unseen.splice(0)) this.#gone(object);
    }
    for (let round = 0; this.#ending.length > 0 && this.#leftMs() > 0; round++) {
      if (round === ROUNDS_SILENT) this.#options.say("info", this.#waiting());
      await inParallel(this.#ending.splice(0), (object) => this.#look(object));
      if (this.#ending.length > 0) await this.#pass(LOOK_MS);
    }
  }

  async #look(object: MadeObject): Promise<void> {
    const answer = await this.#call("get", object.path);
    if (answer?.kind === "refused" && answer.status === 404) return this.#gone(object);
    if (answer?.kind === "ok") {
      if (uidOf(answer.body) !== object.uid) return this.#gone(object);
      if (!isEnding(answer.body)) return this.remove(object);
      this.#why.set(object.path, "it is being deleted; a finalizer may hold it");
    }
    this.#ending.push(object);
  }

  #waiting(): string {
    const [first] = this.#ending;
    const more = this.#ending.length > 1 ? ` and ${this.#ending.length - 1} more` : "";
    return `Cleanup: waiting until ${first?.name ?? ""}${more} is gone`;
  }

  /** Gives the pods of these nodes time to end; without the right to list pods it is skipped. */
  async awaitPods(nodes: readonly MadeObject[]): Promise<void> {
    const lastOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
    const names = new Set(nodes.map(({ path }) => decodeURIComponent(lastOf(path))));
    const endMs = Math.min(this.#deadlineMs, this.#options.clock.monoMs() + PODS_MS);
    while (this.#options.clock.monoMs() < endMs) {
      const answer = await this.#call("list", "/api/v1/pods");
      if (answer?.kind !== "ok") return;
      const { items } = readObject<{ items: unknown[] }>(answer.body);
      const isOn = (pod: unknown): boolean => {
        const { spec } = readObject<{ spec: { nodeName?: string } }>(pod);
        return names.has(String(readObject<{ nodeName: string }>(spec).nodeName ?? ""));
      };
      if (!Array.isArray(items) || !items.some(isOn)) return;
      await this.#pass(LOOK_MS);
    }
  }

  /** The UID of an object of ours whose creation has no answer; `null`: there is none. */
  async #ownUid(object: MadeObject): Promise<string | null> {
    for (;;) {
      const answer = await this.#call("get", object.path);
      if (answer === null) return null;
      if (answer.kind === "refused" && answer.status === 404) {
        this.#unseen.push(object);
        return null;
      }
      if (answer.kind === "ok") {
        if (isWrittenBy(readObject(answer.body), this.#options.fieldManager)) {
          return uidOf(answer.body);
        }
        this.#gone(object);
        return null;
      }
      if (this.#isFinal(object, answer)) return null;
      await this.#pass(LOOK_MS);
    }
  }

  /** False: the same call may succeed later. */
  #isFinal({ path }: MadeObject, answer: Exclude<KubeAnswer, { kind: "ok" }>): boolean {
    this.#why.set(path, answer.message);
    // 429 and 5xx: the server has no time now.
    const isRefusal = answer.kind === "refused" && answer.status !== 429 && answer.status < 500;
    if (isRefusal || this.#isAway) return isRefusal;
    this.#isAway = true;
    const left = formatDuration(Math.max(1_000, Math.ceil(this.#leftMs() / 1_000) * 1_000));
    this.#options.say(
      "warning",
      `cleanup: the API server does not serve (${answer.message}); trying for ${left}`,
    );
    return false;
  }

  #gone(object: MadeObject): void {
    this.#options.say("detail", `removed ${object.name}`);
    this.#options.made.drop(object.path);
  }

  #leftMs(): number {
    return this.#deadlineMs - this.#options.clock.monoMs();
  }

  /** `null`: the time is over. */
  async #call(
    verb: "get" | "list" | "delete",
    path: string,
    body?: unknown,
  ): Promise<KubeAnswer | null> {
    const leftMs = this.#leftMs();
    if (leftMs <= 0) return null;
    const timeoutMs = Math.ceil(Math.min(CALL_MS, leftMs));
    const lane = verb === "delete" ? "status" : "read";
    return this.#options.api.call({
      verb,
      path,
      timeoutMs,
      lane,
      ...(body === undefined ? {} : { body }),
    });
  }

  #pass(ms: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      clock.after(Math.max(0, Math.min(ms, this.#leftMs())), resolve);
    });
  }
}

function isEnding(body: unknown): boolean {
  const { metadata } = readObject<{ metadata: unknown }>(body);
  return readObject<{ deletionTimestamp: string }>(metadata).deletionTimestamp !== undefined;
}
