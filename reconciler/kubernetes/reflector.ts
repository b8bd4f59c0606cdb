/**
 * A copy of one collection of the API server, kept by a list and a watch that goes on where the
 * list ended (docs/reference/kubernetes.md#watches). It says how old it is: a watch that is broken
 * makes the copy *stale*, never empty. Whatever the server does, it is asked again after a pause,
 * and never in a spin.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { Clock, Log } from "../core/clock.ts";
import type { KubeApi, WatchEnd } from "./api.ts";
import { isExplained } from "./node-call.ts";
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

/** A page of 500 pods comes within a second; a busy server takes several. */
const PAGE_MS = 30_000;
/**
 * Below five minutes, where servers and proxies end a watch by themselves, and spread, so that the
 * watches of all processes do not start together (docs/reference/runtime.md#http).
 */
const WATCH_SECONDS_LEAST = 240;
const WATCH_SECONDS_SPREAD = 50;
/**
 * The server sends a bookmark each minute. A watch that brings none is given up, and a list asked,
 * while the copy still counts as young: whoever may not trust it stands still in every drain.
 */
const SILENCE_MS = 75_000;
const PAUSE_LEAST_MS = 1_000;
/** A server that is back is watched again within this; blindness stops every drain. */
const PAUSE_MOST_MS = 8_000;
/**
 * A watch that broke over a copy this old is followed by a list: a quiet watch would tell for up to
 * a minute that nothing changed by saying nothing, and the copy counts as old long before.
 */
const AGED_MS = 10_000;
/** That list is what ends our blindness, and there is one in ten seconds at the most. */
const AGED_PAUSE_MS = 2_000;
/** A request of the server to wait longer is a mistake, and would blind us. */
const RETRY_AFTER_MOST_MS = 60_000;
/** Before the list after a version expired: never at once, and spread for many of us. */
const EXPIRED_LEAST_MS = 250;
const EXPIRED_SPREAD_MS = 2_000;
/**
 * Watches in a row that brought nothing and failed: the version may be one that this server does
 * not know (it was restored from a backup), and only a list tells.
 */
const FRUITLESS_MAX = 4;
/** A watch that ended in order after less than this was of no use. */
const SHORT_MS = 1_000;
/** Failures before the log speaks: one broken connection is nobody's business. */
const TOLD_FAILURES = 3;
/** How a refusal for want of a permission begins, in `explainForbidden` too. */
const FORBIDDEN = "forbidden";

export class Reflector<T extends Item> {
  readonly #options: ReflectorOptions<T>;
  readonly #held: Collection<T>;
  #synced = false;
  #heardMs = Number.NEGATIVE_INFINITY;
  #stop: AbortController | null = null;
  #failures = 0;
  #problem: string | null = null;
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
    // Whoever looks away for a while lists again: a quiet watch would not say that it is whole.
    this.#held.forgetSeen();
    this.#synced = false;
    this.#heardMs = Number.NEGATIVE_INFINITY;
    // What is thrown in here is a bug, of ours or of `changed`, and must not be caught.
    void this.#run(stop.signal);
  }

  /** Ends the watch; what is held stays and grows old. */
  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
  }

  /** True once a list was complete. */
  synced(): boolean {
    return this.#synced;
  }

  /** Why the last try to keep up failed; `null` once the server has spoken since. */
  get problem(): string | null {
    return this.#problem;
  }

  /** The last try failed because this account may not look. */
  get forbidden(): boolean {
    return this.#problem?.startsWith(FORBIDDEN) ?? false;
  }

  /** Milliseconds since the server last spoke for the whole collection; infinite before that. */
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
   * Takes the answer to our own write, if it is newer than what is held, so that nobody reads his
   * own write's past. It must be of the collection, selectors included.
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

  /** Answers how long to wait before the next step. */
  async #list(signal: AbortSignal): Promise<number> {
    const { api, path, query, read } = this.#options;
    this.#held.beginList();
    const answer = await readList(api, path, query, { timeoutMs: PAGE_MS, signal, read });
    // Another run may have begun in the meantime; its list is the one that counts.
    if (signal.aborted) return 0;
    if (answer.kind !== "ok") return this.#failed(...reasonOf(answer));
    this.#held.replace(answer.items, answer.resourceVersion);
    this.#synced = true;
    this.#fruitless = 0;
    // Only a watch that works ends a row of failures: a list alone may be all that works.
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
        if (lastedMs < SHORT_MS) return this.#failedWatch("the watch ended at once", null);
        this.#failures = 0;
        return 0;
      case "expired": {
        this.#held.forgetSeen();
        const pauseMs = this.#failed("the watch's version expired", null);
        // The first time is ordinary and waits only to spread; a row of them backs off.
        const spreadMs = EXPIRED_LEAST_MS + this.#options.random() * EXPIRED_SPREAD_MS;
        return this.#failures > 1 ? pauseMs : spreadMs;
      }
      case "refused": {
        // 429 and 5xx speak of the server's state, everything else of this very request.
        const isBusy = end.status === 429 || end.status >= 500;
        if (!isBusy) this.#held.forgetSeen();
        return this.#failedWatch(end.message, end.retryAfterMs);
      }
      case "lost":
        // The server may well be there: what it has to say is asked for.
        if (this.ageMs() < AGED_MS) return this.#failedWatch(end.message, null);
        this.#held.forgetSeen();
        return Math.min(this.#failedWatch(end.message, null), AGED_PAUSE_MS);
      default:
        return unreachable(end);
    }
  }

  #failedWatch(why: string, retryAfterMs: number | null): number {
    this.#fruitless += 1;
    if (this.#fruitless >= FRUITLESS_MAX) {
      this.#fruitless = 0;
      this.#held.forgetSeen();
    }
    return this.#failed(why, retryAfterMs);
  }

  /** Doubles from one second to eight, spread by half; the server's own request is the least. */
  #failed(why: string, retryAfterMs: number | null): number {
    const { log, path, random } = this.#options;
    this.#failures += 1;
    this.#problem = why;
    const isTold = this.#failures === TOLD_FAILURES && !isExplained(why);
    const about = { path, reason: why, times: this.#failures };
    log(isTold ? "warn" : "debug", "informer out of sync", about);
    const doubled = PAUSE_LEAST_MS * 2 ** Math.min(this.#failures - 1, 10);
    const pauseMs = Math.min(doubled, PAUSE_MOST_MS) * (0.75 + random() / 2);
    const desiredMs = Math.min(retryAfterMs ?? 0, RETRY_AFTER_MOST_MS);
    return Math.max(pauseMs, desiredMs * (1 + random() / 10));
  }

  #heard(): void {
    const { clock, log, path } = this.#options;
    if (this.#failures >= TOLD_FAILURES) {
      log("info", "informer resynchronized", { path });
    }
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

/** For the log, and how long the server wants us to wait. */
function reasonOf(answer: Exclude<ListAnswer<unknown>, { kind: "ok" }>): [string, number | null] {
  if (answer.kind === "lost") return [answer.message, null];
  const said = `${answer.status} ${answer.reason}: ${answer.message}`;
  if (answer.status !== 403) return [said, answer.retryAfterMs];
  return [explainForbidden(answer) ?? `${FORBIDDEN} (${said})`, answer.retryAfterMs];
}
