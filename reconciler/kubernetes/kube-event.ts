/**
 * Writes Events on Nodes and pods. Best effort: nothing waits for them, and refused ones are
 * dropped and counted. Repetitions within ten minutes update one Event object: its count, and its
 * text. `events.k8s.io/v1` allows only `series` to change (`note` is immutable), so a new text is
 * written to `message` of the same object in `v1`, as client-go's recorder does (kubernetes 1.37
 * `pkg/apis/core/validation/events.go`, `ValidateEventUpdate`); if that is refused, a new Event is
 * created. `regarding` carries the current UID, by which `kubectl describe` selects events.
 */
import type { Log } from "../core/clock.ts";
import { backoffMs } from "../core/turn/backoff.ts";
import { PATCH } from "./api.ts";
import type { KubeAnswer } from "./api.ts";
import { InFlight } from "./in-flight.ts";
import {
  aboutOf,
  camel,
  createRequest,
  eventPath,
  micro,
  namespaceOf,
  noteOf,
} from "./event-request.ts";
import type { KubeEvent } from "./event-request.ts";
import { CALL_MS, failureOf, isExplained } from "./node-call.ts";
import type { NodePorts } from "./node-call.ts";
import { explainForbidden } from "./permission.ts";

const WINDOW_MS = 600_000;
/** A grown count is sent at most this often. */
const SERIES_MS = 60_000;
/** A new text is sent after this, doubling up to `SERIES_MS`. */
const TEXT_MS = 2_000;
/** Longest timer while an update is due. */
const PULSE_MS = 1_000;
/** A timer this late means that the process was suspended, and that another may lead. */
const LATE_MS = 3_000;
const WORD_CHARS_MAX = 128;
const NAME_CHARS_MAX = 253;
const IN_FLIGHT = 4;
/** Events of ten minutes that are kept; more are dropped and counted. */
const KEPT_MAX = 5_000;
/** Subjects (pods, budgets) of one object and reason; further ones share one event. */
const SUBJECTS_MAX = 20;
/** Back-off of a namespace after a refusal, doubling: its events are dropped meanwhile. */
const PAUSE_LEAST_MS = 2_000;
const PAUSE_MS = 60_000;
const PAUSED_MAX = 1_000;
/** From the sixth on a pause lasts a minute. */
const PAUSES_MOST = 6;

type Kept = {
  /** Unique in the queue: the previous window may still be being written. */
  id: string;
  /** The newest one reported. */
  event: KubeEvent;
  /** Name of the Event object; `null` before its creation was requested. */
  object: string | null;
  group: string;
  beganAtMs: number;
  count: number;
  countSent: number;
  noteSent: string;
  seenAtWallMs: number;
  sentAtMs: number;
  /** Delay of the next new text. */
  textMs: number;
};

export class KubeEvents {
  readonly #ports: NodePorts & { log: Log };
  readonly #instance: string;
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #kept = new Map<string, Kept>();
  /** Count of `#kept` by object and reason. */
  readonly #groups = new Map<string, number>();
  /** By namespace. */
  readonly #paused = new Map<string, { untilMs: number; times: number }>();
  /** Texts cannot be patched until then: the ClusterRole of an older install lacks the verb. */
  #fixedUntilMs = Number.NEGATIVE_INFINITY;
  #dropped = 0;
  /** Distinguishes names of one millisecond; random digits distinguish processes. */
  #serial = 0;
  #timer: { atMs: number; cancel: () => void } | null = null;
  #isClosed = false;

  /** `instance`: the reporter, such as the pod's name. */
  constructor(ports: NodePorts & { log: Log }, instance: string) {
    this.#ports = ports;
    this.#instance = instance.slice(0, WORD_CHARS_MAX) || "navarch";
  }

  /** Count of events that were not written. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Sends the event or counts it with an earlier one. Returns at once. */
  tell(event: KubeEvent): void {
    if (this.#isClosed) return;
    const { clock } = this.#ports;
    const now = clock.monoMs();
    this.#dropStale(now);
    this.#forget(now);
    const group = `${event.uid} ${event.type} ${camel(event.reason)}`;
    const key = this.#keyOf(group, event);
    const known = this.#kept.get(key);
    if (known !== undefined) {
      known.event = event;
      known.count += 1;
      known.seenAtWallMs = clock.wallMs();
      this.#schedule(key, known, now);
      return;
    }
    if (this.#kept.size >= KEPT_MAX || this.#isPaused(event, now)) {
      this.#dropped += 1;
      return;
    }
    this.#serial += 1;
    const kept: Kept = {
      id: this.#serial.toString(16),
      event,
      object: null,
      group,
      beganAtMs: now,
      count: 1,
      countSent: 1,
      noteSent: noteOf(event.note),
      seenAtWallMs: clock.wallMs(),
      sentAtMs: now,
      textMs: TEXT_MS,
    };
    this.#kept.set(key, kept);
    this.#groups.set(group, (this.#groups.get(group) ?? 0) + 1);
    this.#queue.add(kept.id, () => this.#create(key, kept));
  }

  /** Resolves once nothing waits or runs; does not wait for delayed updates. */
  rest(): Promise<void> {
    return this.#queue.rest();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = null;
    this.#queue.clear();
    this.#kept.clear();
    this.#groups.clear();
  }

  #keyOf(group: string, event: KubeEvent): string {
    const about = aboutOf(event);
    const key = about === "" ? group : `${group} ${about}`;
    const isFull = (this.#groups.get(group) ?? 0) >= SUBJECTS_MAX;
    return isFull && !this.#kept.has(key) ? `${group} …` : key;
  }

  #isPaused(event: KubeEvent, now: number): boolean {
    return now < (this.#paused.get(namespaceOf(event))?.untilMs ?? Number.NEGATIVE_INFINITY);
  }

  /** Drops windows that are over, oldest first, after sending their pending counts. */
  #forget(now: number): void {
    for (const [key, kept] of this.#kept) {
      if (now - kept.beganAtMs < WINDOW_MS) break;
      if (kept.object !== null && kept.count !== kept.countSent) {
        this.#queue.add(kept.id, () => this.#update(key, kept));
      }
      this.#drop(key, kept);
    }
  }

  #drop(key: string, kept: Kept): void {
    if (this.#kept.get(key) !== kept) return;
    this.#kept.delete(key);
    const left = (this.#groups.get(kept.group) ?? 1) - 1;
    if (left > 0) this.#groups.set(kept.group, left);
    else this.#groups.delete(kept.group);
  }

  #schedule(key: string, kept: Kept, now: number): void {
    if (kept.count === kept.countSent || kept.object === null) return;
    const isNewText = noteOf(kept.event.note) !== kept.noteSent;
    const waitMs = isNewText && now >= this.#fixedUntilMs ? kept.textMs : SERIES_MS;
    const dueMs = kept.sentAtMs + waitMs;
    if (now >= dueMs) this.#queue.add(kept.id, () => this.#update(key, kept));
    else this.#wake(dueMs, now);
  }

  /**
   * Drops updates that waited while the process was suspended: another leader may have written
   * newer texts meanwhile.
   */
  #dropStale(now: number): void {
    if (this.#timer === null || now - this.#timer.atMs < LATE_MS) return;
    for (const kept of this.#kept.values()) {
      kept.countSent = kept.count;
      kept.noteSent = noteOf(kept.event.note);
    }
  }

  #wake(dueMs: number, now: number): void {
    const atMs = Math.min(dueMs, now + PULSE_MS);
    if (this.#isClosed || (this.#timer !== null && this.#timer.atMs <= atMs)) return;
    this.#timer?.cancel();
    this.#timer = { atMs, cancel: this.#ports.clock.after(atMs - now, () => this.#flush()) };
  }

  #flush(): void {
    const now = this.#ports.clock.monoMs();
    this.#dropStale(now);
    this.#timer = null;
    for (const [key, kept] of this.#kept) this.#schedule(key, kept, now);
  }

  async #create(key: string, kept: Kept): Promise<void> {
    const { clock, random } = this.#ports;
    this.#serial += 1;
    const suffix = `.${clock.wallMs().toString(16)}${hex(random())}.${this.#serial.toString(16)}`;
    const object = `${kept.event.name.slice(0, NAME_CHARS_MAX - suffix.length)}${suffix}`;
    kept.noteSent = noteOf(kept.event.note);
    const answer = await this.#ports.api.call(
      createRequest(kept.event, object, this.#instance, kept.seenAtWallMs),
    );
    // After a lost answer it may exist: the next update finds out and creates it if not.
    if (answer.kind !== "refused") kept.object = object;
    else this.#drop(key, kept);
    if (answer.kind === "ok") this.#paused.delete(namespaceOf(kept.event));
    else this.#fail(kept.event, answer);
    this.#schedule(key, kept, clock.monoMs());
  }

  async #update(key: string, kept: Kept): Promise<void> {
    const { count, object, event } = kept;
    if (object === null) return;
    const now = this.#ports.clock.monoMs();
    const note = noteOf(event.note);
    const isNewText = note !== kept.noteSent;
    if (isNewText && now < this.#fixedUntilMs) return this.#again(key, kept);
    kept.sentAtMs = now;
    kept.countSent = count;
    kept.noteSent = note;
    if (isNewText) kept.textMs = Math.min(SERIES_MS, kept.textMs * 2);
    const series = { count: Math.max(2, count), lastObservedTime: micro(kept.seenAtWallMs) };
    const answer = await this.#ports.api.call({
      verb: "patch",
      path: `${eventPath(namespaceOf(event), isNewText ? "message" : "series")}/${object}`,
      contentType: PATCH.merge,
      body: isNewText ? { message: note, series } : { series },
      timeoutMs: CALL_MS,
      lane: "status",
      pool: event.pool,
    });
    if (answer.kind === "ok") return this.#schedule(key, kept, this.#ports.clock.monoMs());
    if (answer.kind === "refused" && isNewText && answer.status !== 404 && !isBusy(answer)) {
      this.#fixedUntilMs = now + WINDOW_MS;
      return this.#again(key, kept);
    }
    // The server deletes events after an hour; clients may do so earlier.
    if (answer.kind === "refused" && answer.status === 404) return this.#again(key, kept);
    this.#fail(event, answer);
  }

  /** Creates a new Event object, for one that is gone or whose text is fixed. */
  #again(key: string, kept: Kept): Promise<void> {
    kept.object = null;
    kept.count = 1;
    kept.countSent = 1;
    kept.sentAtMs = this.#ports.clock.monoMs();
    return this.#create(key, kept);
  }

  #fail(event: KubeEvent, answer: Exclude<KubeAnswer, { kind: "ok" }>): void {
    const { clock, log } = this.#ports;
    this.#dropped += 1;
    const failure = failureOf(answer);
    const now = clock.monoMs();
    const namespace = namespaceOf(event);
    if (!this.#isPaused(event, now)) {
      const about = { namespace, about: event.name, reason: failure.message };
      log(isExplained(failure) ? "debug" : "warn", "Event not written", about);
    }
    const retryAfterMs = answer.kind === "refused" ? (answer.retryAfterMs ?? 0) : 0;
    // An event refused for its own content must not silence the others.
    const isItself =
      answer.kind === "refused" &&
      ([404, 409, 422].includes(answer.status) ||
        (answer.status === 403 && explainForbidden(answer) === null));
    if (isItself) return;
    for (const [one, { untilMs }] of this.#paused) {
      const isOld = untilMs + PAUSE_MS <= now;
      if (isOld || this.#paused.size > PAUSED_MAX) this.#paused.delete(one);
    }
    // Refusals of concurrent events count once.
    if (this.#isPaused(event, now)) return;
    const before = this.#paused.get(namespace)?.times ?? 0;
    // What an admin has to put right first does not begin with short pauses.
    const times = isExplained(failure) ? PAUSES_MOST : before + 1;
    const waitMs = backoffMs(times, PAUSE_LEAST_MS, PAUSE_MS);
    this.#paused.set(namespace, { times, untilMs: now + Math.max(waitMs, retryAfterMs) });
  }
}

/** The server, or our own write limit, is overloaded: unrelated to this event. */
const isBusy = ({ status }: Extract<KubeAnswer, { kind: "refused" }>): boolean =>
  status === 412 || status === 429 || status === 401 || status >= 500;

const hex = (random: number): string =>
  Math.floor(random * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0");
