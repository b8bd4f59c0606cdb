/**
 * Shows on the Node object what we know about the node: conditions, labels of its pool, taints.
 * Level-triggered: each call of `tend` compares what is wished with the object as it is, and writes
 * what differs, once an hour everything; what nobody wishes any more is taken away, because a stale
 * condition is worse than none (`remediation/kubernetes.md` §5). Staleness is bounded so: every
 * write carries the UID, conditions and labels are keyed entries of ours alone, taints are fenced
 * by the version. Nothing here is needed for safety, so it goes last in every queue.
 */
import type { Log } from "../../clock.ts";
import { InFlight } from "./in-flight.ts";
import type { NodePorts } from "./node-call.ts";
import type { KubeNode } from "./object.ts";
import { isNewer } from "./object.ts";
import { clearRequests, judgeStatus } from "./status-diff.ts";
import type { StatusMemory, StatusWish } from "./status-diff.ts";
import { writeStatus } from "./status-write.ts";

/** Writes at once: with the server's limiter, far below what a cordon could be held up by. */
const IN_FLIGHT = 8;
/** Everything is sent again: drift that no watch showed lasts no longer. */
const RESYNC_MS = 3_600_000;
/** After a refusal: twice as long each time, up to ten minutes. */
const BACKOFF_MS = 5_000;
const BACKOFF_MAX_MS = 600_000;
/** How long nobody must have wished anything before our marks go: a re-match takes seconds. */
const UNWISHED_MS = 60_000;
/** Lines for a person; one says as much as a thousand of its kind. */
const TROUBLES_MAX = 100;

export type { StatusWish } from "./status-diff.ts";

export type MirrorPorts = NodePorts & { log: Log };

type Entry = StatusMemory & {
  name: string;
  uid: string;
  pool: string | null;
  wish: StatusWish | null;
  /** The newest picture: the cache's, or the server's answer to our last write. */
  object: KubeNode;
  /** The pair that was last found to need nothing: thousands are told each second. */
  clean: { wish: StatusWish; object: KubeNode } | null;
  unwishedAtMs: number | null;
  resyncAtMs: number;
  notBeforeMs: number;
  failures: number;
  trouble: string | null;
};

export class StatusMirror {
  readonly #ports: MirrorPorts;
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #entries = new Map<string, Entry>();

  constructor(ports: MirrorPorts) {
    this.#ports = ports;
  }

  /**
   * Starts what is needed and returns. `wishes` is all of them: a Node that was wished before and
   * is not now loses our marks after a minute. `former` are Nodes known to have been ours before
   * this process began. Do not call it while blind: absence of a wish is a wish.
   */
  tend(wishes: readonly StatusWish[], former: readonly KubeNode[] = []): void {
    const now = this.#ports.clock.monoMs();
    const wished = new Set<string>();
    for (const wish of wishes) {
      wished.add(wish.uid);
      this.#see(wish, now);
    }
    for (const object of former) {
      const known = this.#entries.get(object.uid);
      if (known !== undefined) known.object = newer(known.object, object);
      else this.#entries.set(object.uid, this.#entry(object, null, now));
    }
    for (const [uid, entry] of this.#entries) {
      if (!wished.has(uid)) {
        entry.wish = null;
        entry.unwishedAtMs ??= now;
      }
      if (this.#isDue(entry, now)) this.#queue.add(uid, () => this.#work(entry));
    }
  }

  /** Why the mirror lags, one line a Node, for `doctor` and a pool's condition. Bounded. */
  troubles(): string[] {
    const lines: string[] = [];
    for (const { name, trouble } of this.#entries.values()) {
      if (trouble !== null && lines.length < TROUBLES_MAX) lines.push(`${name}: ${trouble}`);
    }
    return lines;
  }

  /** Resolves once nothing waits or runs. */
  rest(): Promise<void> {
    return this.#queue.rest();
  }

  /** Starts nothing more. */
  close(): void {
    this.#entries.clear();
    this.#queue.clear();
  }

  #see(wish: StatusWish, now: number): void {
    const known = this.#entries.get(wish.uid);
    const entry = known ?? this.#entry(wish.object, wish, now);
    entry.wish = wish;
    entry.pool = wish.pool;
    entry.unwishedAtMs = null;
    entry.object = newer(entry.object, wish.object);
    if (known === undefined) this.#entries.set(wish.uid, entry);
  }

  #entry(object: KubeNode, wish: StatusWish | null, now: number): Entry {
    return {
      name: object.name,
      uid: object.uid,
      pool: wish?.pool ?? null,
      wish,
      object,
      clean: null,
      unwishedAtMs: null,
      // Right after a start only what differs is sent; the rest comes spread over the hour.
      resyncAtMs: now + RESYNC_MS * this.#ports.random(),
      notBeforeMs: now,
      failures: 0,
      trouble: null,
      labelsSent: null,
      foreign: new Map(),
    };
  }

  #isDue(entry: Entry, now: number): boolean {
    if (now < entry.notBeforeMs || entry.wish?.later === true) return false;
    if (entry.wish === null) return now - (entry.unwishedAtMs ?? now) >= UNWISHED_MS;
    if (now >= entry.resyncAtMs) return true;
    const { wish, object, clean } = entry;
    // Neither is ever changed in place, so what was found in order still is.
    if (clean?.wish === wish && clean.object === object) return false;
    const isDue = judgeStatus(wish, object, entry, false).length > 0;
    entry.clean = isDue ? null : { wish, object };
    return isDue;
  }

  async #work(entry: Entry): Promise<void> {
    const { clock, log } = this.#ports;
    const isResync = clock.monoMs() >= entry.resyncAtMs;
    if (isResync) entry.foreign.clear();
    const { wish } = entry;
    const steps =
      wish === null
        ? clearRequests(entry.object, entry)
        : judgeStatus(wish, entry.object, entry, isResync);
    for (const step of steps) {
      const written = await writeStatus(this.#ports, entry, step);
      for (const line of written.told) log("warn", line, { node: entry.name });
      if (written.object !== null) entry.object = newer(entry.object, written.object);
      if (written.kind === "gone") {
        // The object is another one: its successor comes with a wish of its own.
        this.#entries.delete(entry.uid);
        return;
      }
      if (written.kind === "failed") {
        this.#fail(entry, written.message, written.retryAfterMs);
        return;
      }
    }
    entry.failures = 0;
    entry.trouble = null;
    if (isResync) {
      const jitter = 0.75 + this.#ports.random() / 2;
      entry.resyncAtMs = clock.monoMs() + RESYNC_MS * jitter;
    }
    if (wish === null && entry.wish === null) this.#entries.delete(entry.uid);
  }

  #fail(entry: Entry, message: string, retryAfterMs: number | null): void {
    const { clock, random, log } = this.#ports;
    const ms = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.min(entry.failures, 10));
    entry.failures += 1;
    entry.notBeforeMs = clock.monoMs() + Math.max(retryAfterMs ?? 0, ms * (0.5 + random()));
    if (entry.trouble !== message)
      log("warn", "mirror on the Node failed", { node: entry.name, message });
    entry.trouble = message;
  }
}

/** Of two pictures of one object; of the same age, the second. */
function newer(known: KubeNode, seen: KubeNode): KubeNode {
  return isNewer(known.resourceVersion, seen.resourceVersion) ? known : seen;
}
