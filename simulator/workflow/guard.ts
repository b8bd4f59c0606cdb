/**
 * The API server as the tasks of one run see it. After an interrupt nothing more is sent, and reads
 * and watches end at once; a write that is on its way is waited for, since its answer says what was
 * made. After the run nothing is sent at all. In a dry run no write is sent unless the server is
 * asked to try it alone.
 */
import type { KubeApi, KubeAnswer, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { unsent } from "../../reconciler/kubernetes/limiter.ts";
import type { Say } from "./task.ts";

export type GuardOptions = { signal: AbortSignal; isDryRun: boolean; say: Say };

export type Guard = {
  api: KubeApi;
  /** Refuses what comes now, and waits for the writes that are on their way. */
  end(): Promise<void>;
};

export function openGuard(api: KubeApi, { signal, isDryRun, say }: GuardOptions): Guard {
  const writes = new Set<Promise<KubeAnswer>>();
  let isOver = false;
  const isRefused = (): boolean => isOver || signal.aborted;
  return {
    api: {
      async call(request) {
        if (isRefused()) return refused();
        const isRead = request.verb === "get" || request.verb === "list";
        if (!isRead && isDryRun && request.query?.["dryRun"] !== "All") {
          return unsent("NotWanted", "this is a dry run");
        }
        const isWanted = (): boolean => !isRefused() && request.isWanted?.() !== false;
        const sent = api.call({ ...request, isWanted } satisfies KubeRequest);
        if (isRead) return untilAborted(sent, signal);
        writes.add(sent);
        const answer = await sent;
        writes.delete(sent);
        say("detail", `${METHOD[request.verb]} ${request.path}: ${outcomeOf(answer)}`);
        return answer;
      },
      async watch(path, query, take, options) {
        const both = AbortSignal.any([signal, options.signal]);
        if (isOver || both.aborted) return { kind: "ended" };
        return api.watch(path, query, take, { ...options, signal: both });
      },
      // The run does not own the client: cleanup needs it after the run.
      close: () => undefined,
    },
    async end() {
      isOver = true;
      await Promise.all(writes);
    },
  };
}

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
