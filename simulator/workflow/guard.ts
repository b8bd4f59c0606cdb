/**
 * The API server as the tasks of one run see it. After an interrupt nothing more is sent, and reads
 * and watches end at once; a write that is on its way is waited for, since its answer says what was
 * made. After the run nothing is sent at all. In a dry run no write is sent unless the server is
 * asked to try it alone.
 */
import type { KubeApi, KubeAnswer, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { unsent } from "../../reconciler/kubernetes/limiter.ts";
import { type Say, TaskError } from "./task.ts";

const UNBROKEN = Symbol("unbroken");
type Section = <T>(work: (api: KubeApi) => Promise<T>) => Promise<T>;
type GuardedApi = KubeApi & { [UNBROKEN]: Section };

/**
 * Work that an interrupt must not cut in two, such as a deletion and the creation of what takes its
 * place. Its own deadline bounds it, and the end of the run waits for it.
 */
export function unbroken<W extends { api: KubeApi; signal: AbortSignal }, T>(
  writer: W,
  work: (writer: W) => Promise<T>,
): Promise<T> {
  const section = (writer.api as Partial<GuardedApi>)[UNBROKEN];
  if (section === undefined) return work(writer);
  return section((api) => work({ ...writer, api, signal: new AbortController().signal }));
}

export type GuardOptions = { signal: AbortSignal; isDryRun: boolean; say: Say };

export type Guard = {
  api: KubeApi;
  /** Refuses what comes now, and waits for the writes that are on their way. */
  end(): Promise<void>;
};

export function openGuard(bare: KubeApi, { signal, isDryRun, say }: GuardOptions): Guard {
  const pending = new Set<Promise<unknown>>();
  const track = async <T>(work: Promise<T>): Promise<T> => {
    pending.add(work);
    try {
      return await work;
    } finally {
      pending.delete(work);
    }
  };
  let isOver = false;
  const isRefused = (): boolean => isOver || signal.aborted;
  const write = async (request: KubeRequest): Promise<KubeAnswer> => {
    if (isDryRun && request.query?.["dryRun"] !== "All") {
      return unsent("NotWanted", "this is a dry run");
    }
    const answer = await track(bare.call(request));
    say("detail", `${METHOD[request.verb]} ${request.path}: ${outcomeOf(answer)}`);
    return answer;
  };
  const through: KubeApi = {
    call: (request) => (isRead(request) ? bare.call(request) : write(request)),
    watch: (...given) => bare.watch(...given),
    close: () => undefined,
  };
  const api: GuardedApi = {
    async call(request) {
      if (isRefused()) return refused();
      if (isRead(request)) return untilAborted(bare.call(request), signal);
      return write({ ...request, isWanted: () => !isRefused() && request.isWanted?.() !== false });
    },
    async watch(path, query, take, options) {
      const both = AbortSignal.any([signal, options.signal]);
      if (isOver || both.aborted) return { kind: "ended" };
      return bare.watch(path, query, take, { ...options, signal: both });
    },
    // The run does not own the client: cleanup needs it after the run.
    close: () => undefined,
    async [UNBROKEN](work) {
      if (isRefused()) throw new TaskError("interrupted");
      return track(work(through));
    },
  };
  return {
    api,
    async end() {
      isOver = true;
      while (pending.size > 0) await Promise.allSettled(pending);
    },
  };
}

const isRead = ({ verb }: KubeRequest): boolean => verb === "get" || verb === "list";

const METHOD = { get: "GET", list: "GET", create: "POST", patch: "PATCH", delete: "DELETE" };

function outcomeOf(answer: KubeAnswer): string {
  if (answer.kind === "lost") return answer.message;
  return answer.kind === "ok" ? String(answer.status) : `${answer.status} ${answer.reason}`.trim();
}

const refused = (): KubeAnswer => unsent("NotWanted", "the run is over");

async function untilAborted(sent: Promise<KubeAnswer>, signal: AbortSignal): Promise<KubeAnswer> {
  const aborted = Promise.withResolvers<KubeAnswer>();
  const onAbort = (): void => aborted.resolve(refused());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([sent, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
