/**
 * The API server as the tasks of one run see it: after an interrupt nothing more is sent, reads and
 * watches end at once, and a write that is on its way is waited for, since its answer says what was
 * made. In a dry run no write is sent unless the server is asked to try it alone.
 */
import type { KubeApi, KubeAnswer, KubeRequest } from "../../reconciler/kubernetes/api.ts";
import { unsent } from "../../reconciler/kubernetes/limiter.ts";

export type GuardOptions = { signal: AbortSignal; isDryRun: boolean };

export function guarded(api: KubeApi, { signal, isDryRun }: GuardOptions): KubeApi {
  return {
    async call(request) {
      if (signal.aborted) return interrupted();
      const isRead = request.verb === "get" || request.verb === "list";
      if (!isRead && isDryRun && request.query?.["dryRun"] !== "All") {
        return unsent("NotWanted", "this is a dry run");
      }
      const isWanted = (): boolean => !signal.aborted && request.isWanted?.() !== false;
      const sent = api.call({ ...request, isWanted } satisfies KubeRequest);
      return isRead ? untilAborted(sent, signal) : sent;
    },
    async watch(path, query, take, options) {
      const both = AbortSignal.any([signal, options.signal]);
      if (both.aborted) return { kind: "ended" };
      return api.watch(path, query, take, { ...options, signal: both });
    },
    // The run does not own the client: cleanup needs it after the run.
    close: () => undefined,
  };
}

const interrupted = (): KubeAnswer => unsent("NotWanted", "the run was interrupted");

async function untilAborted(sent: Promise<KubeAnswer>, signal: AbortSignal): Promise<KubeAnswer> {
  const aborted = Promise.withResolvers<KubeAnswer>();
  const onAbort = (): void => aborted.resolve(interrupted());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([sent, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
