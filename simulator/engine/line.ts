/**
 * One process's connection to the simulated API server. While the process is stopped, sent
 * requests are carried out, and answers and watch events wait until it resumes. Nothing reaches a
 * dead process.
 */
import type {
  KubeAnswer,
  KubeApi,
  KubeRequest,
  WatchEnd,
  WatchEvent,
} from "../../reconciler/kubernetes/api.ts";
import { notWanted } from "../../reconciler/kubernetes/limiter.ts";

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export class Line implements KubeApi {
  private readonly api: KubeApi;
  private readonly ended = new AbortController();
  private stopped: PromiseWithResolvers<void> | null = null;
  private backlog: (() => void)[] = [];

  constructor(api: KubeApi) {
    this.api = api;
  }

  async call(request: KubeRequest): Promise<KubeAnswer> {
    if (this.isDead()) return never();
    if (request.isWanted?.() === false) return notWanted();
    const answer = await this.api.call(request);
    while (this.stopped !== null) await this.stopped.promise;
    return this.isDead() ? never() : answer;
  }

  async watch(
    path: string,
    query: Readonly<Record<string, string>>,
    take: (event: WatchEvent) => void,
    { signal, silenceMs }: { signal: AbortSignal; silenceMs: number },
  ): Promise<WatchEnd> {
    if (this.isDead()) return never();
    const deliver = (event: WatchEvent): void => {
      if (this.stopped !== null) this.backlog.push(() => take(event));
      else if (!this.isDead()) take(event);
    };
    const either = AbortSignal.any([signal, this.ended.signal]);
    const end = await this.api.watch(path, query, deliver, { signal: either, silenceMs });
    while (this.stopped !== null) await this.stopped.promise;
    return this.isDead() ? never() : end;
  }

  close(): void {
    this.ended.abort();
  }

  /** SIGSTOP. */
  stop(): void {
    this.stopped ??= Promise.withResolvers<void>();
  }

  /** SIGCONT. */
  goOn(): void {
    const { stopped } = this;
    this.stopped = null;
    for (const one of this.backlog.splice(0)) one();
    stopped?.resolve();
  }

  private isDead(): boolean {
    return this.ended.signal.aborted;
  }
}
