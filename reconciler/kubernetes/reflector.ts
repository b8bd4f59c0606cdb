/**
 * A copy of one collection of the API server, kept current by a list and a watch that continues
 * where the list ended (docs/reference/kubernetes.md#watches). The copy reports its age: a broken
 * watch makes it *stale*, never empty. Every failure is retried after a pause.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { Clock, Log } from "../core/clock.ts";
import { backoffMs, spreadMs } from "../core/turn/backoff.ts";
import type { KubeApi, WatchEnd } from "./api.ts";
import { explainForbidden } from "./permission.ts";
import { readList } from "./call.ts";
import type { ListAnswer } from "./call.ts";
import { Collection } from "./collection.ts";
import type { CollectionOptions, Item } from "./collection.ts";

export type ReflectorOptions<T extends Item> = CollectionOptions<T> & {
  api: KubeApi;
  /** Of the collection: `/api/v1/pods`. */
  path: string;
  /** Selectors. */
  query: Readonly<Record<string, string>>;
  clock: Clock;
  /** 0 ≤ x < 1. */
  random: () => number;
  log: Log;
};

/** A page of 500 pods arrives within a second; a busy server takes several. */
const PAGE_MS = 30_000;
/**
 * Below five minutes, where servers and proxies end a watch themselves, and spread over processes
 * (docs/reference/runtime.md#http).
 */
const WATCH_SECONDS_LEAST = 240;
const WATCH_SECONDS_SPREAD = 50;
/**
 * The server sends a bookmark each minute. A watch without one is ended and replaced by a list
 * before the copy counts as stale, which would stop every drain.
 */
const SILENCE_MS = 75_000;
const PAUSE_LEAST_MS = 1_000;
/** Upper bound until a recovered server is watched again; a stale copy stops every drain. */
const PAUSE_MOST_MS = 8_000;
const SPREAD = 0.25;
/**
 * A watch that broke over a copy this old is followed by a list: a new quiet watch would confirm
 * the copy only with its first bookmark, a minute later.
 */
const AGED_MS = 10_000;
/** That list makes the copy current again; at most one in ten seconds. */
const AGED_PAUSE_MS = 2_000;
/** A longer `Retry-After` is an error of the server and would make the copy stale. */
const RETRY_AFTER_MOST_MS = 60_000;
/** Before the list after an expired version: never at once, and spread over processes. */
const EXPIRED_LEAST_MS = 250;
const EXPIRED_SPREAD_MS = 2_000;
/**
 * Consecutive failed watches without an event: the server may not know the version (restored from a
 * backup), so a list follows.
 */
const FRUITLESS_MAX = 4;
/** A watch that ended in order sooner than this counts as failed. */
const SHORT_MS = 1_000;
/** Failures before a warning: single broken connections are ordinary. */
const LOGGED_FAILURES = 3;

export class Reflector<T extends Item> {
  readonly #options: ReflectorOptions<T>;
  readonly #held: Collection<T>;
  #synced = false;
  #heardMs = Number.NEGATIVE_INFINITY;
  #stop: AbortController | null = null;
  #failures = 0;
  #problem: Problem | null = null;
  #fruitless = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#held = new Collection(options);
  }

  /** Grows with every change, and only then. */
  get version(): number {
    return this.#held.version;
  }

  get size(): number {
    return this.#held.size;
  }

  start(): void {
    if (this.#stop !== null) return;
    const stop = new AbortController();
    this.#stop = stop;
    // A quiet watch would not confirm a copy from before the pause, so a list comes first.
    this.#held.forgetSeen();
    this.#synced = false;
    this.#heardMs = Number.NEGATIVE_INFINITY;
    this.#problem = null;
    // An exception in here is a bug, ours or of `changed`, and must not be caught.
    void this.#run(stop.signal);
  }

  /** Ends the watch; the copy stays and ages. */
  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
  }

  /** True once a list was complete. */
  synced(): boolean {
    return this.#synced;
  }

  /** Why the last list or watch failed; `null` after a later success. */
  get problem(): string | null {
    return this.#problem?.why ?? null;
  }

  /** The last attempt failed because this account lacks the permission. */
  get forbidden(): boolean {
    return this.#problem?.status === 403;
  }

  /** The last attempt failed because the server has no such resource. */
  get unknown(): boolean {
    return this.#problem?.status === 404;
  }

  /** Milliseconds since the last event, bookmark or list; infinite before the first. */
  ageMs(): number {
    return this.#options.clock.monoMs() - this.#heardMs;
  }

  values(): IterableIterator<T> {
    return this.#held.values();
  }

  get(key: string): T | undefined {
    return this.#held.get(key);
  }

  /**
   * Takes the answer to our own write, if it is newer than the copy: read your own writes. The item
   * must belong to the collection, selectors included.
   */
  ingest(item: T): void {
    this.#held.ingest(item);
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const isList = this.#held.seen === "";
      const pauseMs = isList ? await this.#list(signal) : await this.#watch(signal);
      if (pauseMs > 0) await this.#pause(pauseMs, signal);
    }
  }

  /** Returns the milliseconds to wait before the next step. */
  async #list(signal: AbortSignal): Promise<number> {
    const { api, path, query, read } = this.#options;
    this.#held.beginList();
    const answer = await readList(api, path, query, { timeoutMs: PAGE_MS, signal, read });
    // A newer run has begun: only its list counts.
    if (signal.aborted) return 0;
    if (answer.kind !== "ok") return this.#failed(problemOf(answer), retryAfterOf(answer));
    this.#held.replace(answer.items, answer.resourceVersion);
    this.#synced = true;
    this.#fruitless = 0;
    // The count of failures stays: lists may succeed while every watch fails.
    this.#heardMs = this.#options.clock.monoMs();
    this.#problem = null;
    return 0;
  }

  async #watch(signal: AbortSignal): Promise<number> {
    const { api, path, query, clock, random } = this.#options;
    const timeoutSeconds = WATCH_SECONDS_LEAST + Math.floor(random() * WATCH_SECONDS_SPREAD);
    const startedMs = clock.monoMs();
    let events = 0;
    const end = await api.watch(
      path,
      {
        ...query,
        resourceVersion: this.#held.seen,
        allowWatchBookmarks: "true",
        timeoutSeconds: String(timeoutSeconds),
      },
      (event) => {
        if (signal.aborted) return;
        events += 1;
        this.#held.hear(event);
        this.#heard();
      },
      { signal, silenceMs: SILENCE_MS },
    );
    if (signal.aborted) return 0;
    return this.#ended(end, events, clock.monoMs() - startedMs);
  }

  #ended(end: WatchEnd, events: number, lastedMs: number): number {
    if (events > 0) this.#fruitless = 0;
    switch (end.kind) {
      case "ended":
        if (lastedMs < SHORT_MS) return this.#failedWatch(own("the watch ended at once"), null);
        this.#failures = 0;
        return 0;
      case "expired": {
        this.#held.forgetSeen();
        const pauseMs = this.#failed(own("the watch's version expired"), null);
        // The first one is ordinary and waits only to spread; repeated ones back off.
        const spreadMs = EXPIRED_LEAST_MS + this.#options.random() * EXPIRED_SPREAD_MS;
        return this.#failures > 1 ? pauseMs : spreadMs;
      }
      case "refused": {
        // 429 and 5xx concern the server's state, everything else this request.
        const isBusy = end.status === 429 || end.status >= 500;
        if (!isBusy) this.#held.forgetSeen();
        return this.#failedWatch({ why: end.message, status: end.status }, end.retryAfterMs);
      }
      case "lost":
        // The server may be reachable; a list finds out.
        if (this.ageMs() < AGED_MS) return this.#failedWatch(own(end.message), null);
        this.#held.forgetSeen();
        return Math.min(this.#failedWatch(own(end.message), null), AGED_PAUSE_MS);
      default:
        return unreachable(end);
    }
  }

  #failedWatch(problem: Problem, retryAfterMs: number | null): number {
    this.#fruitless += 1;
    if (this.#fruitless >= FRUITLESS_MAX) {
      this.#fruitless = 0;
      this.#held.forgetSeen();
    }
    return this.#failed(problem, retryAfterMs);
  }

  /** The pause: doubles from 1 s to 8 s, ±25 %, and at least `retryAfterMs`. */
  #failed(problem: Problem, retryAfterMs: number | null): number {
    const { log, path, random } = this.#options;
    const { why, status } = problem;
    this.#failures += 1;
    this.#problem = problem;
    const isWarned = this.#failures === LOGGED_FAILURES && problem.isLogged !== true;
    const answered = status === null ? {} : { status };
    const about = { path, reason: why, times: this.#failures, ...answered };
    log(isWarned ? "warn" : "debug", "informer out of sync", about);
    const doubledMs = backoffMs(this.#failures, PAUSE_LEAST_MS, PAUSE_MOST_MS);
    const pauseMs = spreadMs(doubledMs, SPREAD, random());
    const desiredMs = Math.min(retryAfterMs ?? 0, RETRY_AFTER_MOST_MS);
    return Math.max(pauseMs, desiredMs * (1 + random() / 10));
  }

  #heard(): void {
    const { clock, log, path } = this.#options;
    if (this.#failures >= LOGGED_FAILURES) log("info", "informer resynchronized", { path });
    this.#failures = 0;
    this.#problem = null;
    this.#heardMs = clock.monoMs();
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(ms, resolve);
    const abort = () => {
      cancel();
      resolve();
    };
    signal.addEventListener("abort", abort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", abort));
  }
}

/** Why a list or watch failed; `status` of the answer, `null` = there was none. */
type Problem = {
  why: string;
  status: number | null;
  /** `refusal-log.ts` has logged it. */
  isLogged?: true;
};

const own = (why: string): Problem => ({ why, status: null });

type FailedList = Exclude<ListAnswer<unknown>, { kind: "ok" }>;

function problemOf(answer: FailedList): Problem {
  if (answer.kind === "lost") return own(answer.message);
  const { status } = answer;
  const said = `${status} ${answer.reason}: ${answer.message}`;
  if (status !== 403) return { why: said, status };
  const why = explainForbidden(answer);
  return why === null ? { why: `forbidden (${said})`, status } : { why, status, isLogged: true };
}

const retryAfterOf = (answer: FailedList): number | null =>
  answer.kind === "lost" ? null : answer.retryAfterMs;

/**
 * A copy this old is stale: on a quiet cluster a bookmark comes each 60 s (measured on
 * kube-apiserver 1.37.1), so one of them may be late.
 */
export const STALE_MS = 100_000;
/** While lists or watches fail, the copy is stale much sooner. */
const TROUBLED_MS = 15_000;

type Copy = { problem: string | null; synced(): boolean; ageMs(): number };

/** Why the copy of these objects is stale, for display; `null`: it is current. */
export function darkCopy(what: string, copy: Copy): string | null {
  const { problem } = copy;
  const why = problem === null ? "" : `: ${problem}`;
  if (!copy.synced()) return `the cluster's ${what} are not known yet${why}`;
  const ageMs = copy.ageMs();
  const isOld = ageMs > STALE_MS || (problem !== null && ageMs > TROUBLED_MS);
  if (!isOld) return null;
  return `no update of ${what} from Kubernetes for ${Math.round(ageMs / 1_000)} s${why}`;
}
