/**
 * Watches on the store: changes after a version in their order, an object that leaves the selector
 * as deleted, bookmarks, and the ways in which a watch ends.
 */
import type { WatchEnd, WatchEvent } from "../../reconciler/kubernetes/api.ts";
import type { KubeFault } from "./fault.ts";
import { LOST_CONNECTION } from "./fault.ts";
import { namespaceOf } from "./json.ts";
import type { KubeObject } from "./json.ts";
import { apiVersionOf } from "./resource.ts";
import type { Target } from "./resource.ts";
import { parseSelector } from "./selector.ts";
import type { Change } from "./store.ts";
import type { World } from "./world.ts";

/** Interval of bookmarks on a quiet watch (apiserver, `defaultBookmarkFrequency`). */
const BOOKMARK_MS = 60_000;
/** A watch that names no time gets at least half an hour (`--min-request-timeout`). */
const TIMEOUT_SECONDS = 1_800;
/** The last bookmark comes that long before the end (apiserver, cacher). */
const FAREWELL_MS = 2_000;

type Query = Readonly<Record<string, string>>;
type Take = (event: WatchEvent) => void;
type Options = { signal: AbortSignal; silenceMs: number };

export class Watches {
  readonly #world: World;
  readonly #fault: () => KubeFault;
  readonly #live = new Set<Watch>();

  constructor(world: World, fault: () => KubeFault) {
    this.#world = world;
    this.#fault = fault;
  }

  open(target: Target, query: Query, take: Take, options: Options): Promise<WatchEnd> {
    if (this.#fault().down) return Promise.resolve({ kind: "lost", message: LOST_CONNECTION });
    if (options.signal.aborted) return Promise.resolve({ kind: "ended" });
    const { resource, namespace } = target;
    const selector = parseSelector(resource, query);
    if (selector.kind === "bad") return refuse(400, selector.message);
    const from = query["resourceVersion"] ?? "";
    if (!/^\d*$/.test(from)) return refuse(500, `strconv.ParseUint: parsing "${from}"`);
    const isWanted = (object: KubeObject | null): boolean =>
      object !== null &&
      (namespace === "" || namespaceOf(object) === namespace) &&
      selector.matches(object);
    const eventOf = ({ plural, before, after, object }: Change): WatchEvent | null => {
      if (plural !== resource.plural) return null;
      const [was, is] = [isWanted(before), isWanted(after)];
      if (!was && !is) return null;
      return { type: was && is ? "MODIFIED" : is ? "ADDED" : "DELETED", object };
    };
    const { store } = this.#world;
    const isFresh = from === "" || from === "0";
    const past = isFresh ? [] : store.since(resource.plural, Number(from));
    if (past === null) return Promise.resolve({ kind: "expired" });
    const present = isFresh ? store.list(resource, "").filter(isWanted) : [];
    const first: WatchEvent[] = [
      ...present.map((object) => ({ type: "ADDED" as const, object })),
      ...past.flatMap((change) => eventOf(change) ?? []),
    ];
    const watch = new Watch(this.#world, this.#fault, take, options.silenceMs);
    this.#live.add(watch);
    watch.start(target, query, options.signal, first, eventOf);
    return watch.end.finally(() => this.#live.delete(watch));
  }

  /** Ends every open watch that way. */
  endAll(how: WatchEnd): void {
    for (const watch of this.#live) watch.finish(how);
  }

  /** Sends what was held back while watches were frozen. */
  thaw(): void {
    for (const watch of this.#live) queueMicrotask(() => watch.pump());
  }

  get count(): number {
    return this.#live.size;
  }
}

const refuse = (status: number, message: string): Promise<WatchEnd> =>
  Promise.resolve({ kind: "refused", status, message, retryAfterMs: null });

class Watch {
  readonly end: Promise<WatchEnd>;
  readonly #world: World;
  readonly #fault: () => KubeFault;
  readonly #take: Take;
  readonly #silenceMs: number;
  readonly #resolve: (end: WatchEnd) => void;
  readonly #queue: { event: WatchEvent; dueAtMs: number }[] = [];
  #undo: (() => void)[] = [];
  #stopSilence: () => void = () => {};
  #stopBookmark: () => void = () => {};
  #isOver = false;

  constructor(world: World, fault: () => KubeFault, take: Take, silenceMs: number) {
    const { promise, resolve } = Promise.withResolvers<WatchEnd>();
    this.end = promise;
    this.#resolve = resolve;
    this.#world = world;
    this.#fault = fault;
    this.#take = take;
    this.#silenceMs = silenceMs;
  }

  start(
    { resource }: Target,
    query: Query,
    signal: AbortSignal,
    first: readonly WatchEvent[],
    eventOf: (change: Change) => WatchEvent | null,
  ): void {
    const { clock, store } = this.#world;
    const abort = (): void => this.finish({ kind: "ended" });
    signal.addEventListener("abort", abort, { once: true });
    const lifeMs = Number(query["timeoutSeconds"] ?? TIMEOUT_SECONDS) * 1_000;
    const unlisten = store.listen((change) => {
      const event = eventOf(change);
      if (event !== null) this.#send(event);
    });
    this.#undo = [
      () => signal.removeEventListener("abort", abort),
      unlisten,
      clock.after(lifeMs, abort),
    ];
    if (query["allowWatchBookmarks"] === "true") {
      const bookmark = (): void => {
        const metadata = { resourceVersion: String(store.version) };
        const object = { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
        this.#send({ type: "BOOKMARK", object });
      };
      if (lifeMs > FAREWELL_MS) this.#undo.push(clock.after(lifeMs - FAREWELL_MS, bookmark));
      this.#tick(bookmark);
    }
    this.#hear();
    for (const event of first) this.#send(event);
  }

  finish(how: WatchEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const cancel of [...this.#undo, this.#stopSilence, this.#stopBookmark]) cancel();
    this.#resolve(how);
  }

  pump(): void {
    while (!this.#isOver && !this.#isFrozen()) {
      const [next] = this.#queue;
      if (next === undefined || next.dueAtMs > this.#world.clock.monoMs()) return;
      this.#queue.shift();
      this.#hear();
      this.#take(next.event);
    }
  }

  #isFrozen(): boolean {
    const { frozenWatch, hang } = this.#fault();
    return frozenWatch || hang;
  }

  #tick(bookmark: () => void): void {
    this.#stopBookmark = this.#world.clock.after(BOOKMARK_MS, () => {
      bookmark();
      this.#tick(bookmark);
    });
  }

  #hear(): void {
    this.#stopSilence();
    const message = `nothing came for ${this.#silenceMs} ms`;
    const { clock } = this.#world;
    this.#stopSilence = clock.after(this.#silenceMs, () => this.finish({ kind: "lost", message }));
  }

  #send(event: WatchEvent): void {
    const { clock } = this.#world;
    const { watchLagMs } = this.#fault();
    this.#queue.push({ event, dueAtMs: clock.monoMs() + watchLagMs });
    // Never within the call that changed something: a stream arrives by itself.
    if (watchLagMs > 0) clock.after(watchLagMs, () => this.pump());
    else queueMicrotask(() => this.pump());
  }
}
