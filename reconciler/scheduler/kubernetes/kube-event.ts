/**
 * Events on the Node object, for people who look there first. Best effort: nothing waits for one,
 * and what the server refuses is dropped and counted. At most one Event object a node, reason and
 * ten minutes; what repeats in that time becomes a count in its series, told at most once a minute
 * (`remediation/kubernetes.md` §5). `regarding` carries the UID that the caller reads from the
 * object now: an event that names an earlier object is seen by nobody.
 */
import type { Log } from "../../clock.ts";
import { PATCH } from "./api.ts";
import type { KubeAnswer, KubeRequest } from "./api.ts";
import { InFlight } from "./in-flight.ts";
import { bounded, CALL_MS, failureOf } from "./node-call.ts";
import type { NodePorts } from "./node-call.ts";
import { DOMAIN } from "./object.ts";

export type KubeEvent = {
  name: string;
  /** Of the object as it is now. */
  uid: string;
  pool: string | null;
  type: "Normal" | "Warning";
  /** Why it happened; made CamelCase. */
  reason: string;
  /** What was done about it; made CamelCase. */
  action: string;
  /** For a person; cut at 1 KiB. */
  note: string;
};

/** Events of objects that lie in no namespace are kept here (client-go, `events`). */
const PATH = "/apis/events.k8s.io/v1/namespaces/default/events";
const WINDOW_MS = 600_000;
const SERIES_MS = 60_000;
/** `note` is 1 KiB at most, `reason` and `action` 128 characters (events.k8s.io/v1). */
const NOTE_BYTES_MAX = 1_024;
const WORD_CHARS_MAX = 128;
const NAME_CHARS_MAX = 253;
const IN_FLIGHT = 4;
/** Events of ten minutes that are kept in mind; a storm's rest is dropped and counted. */
const KEPT_MAX = 5_000;
/** After a refusal nothing is tried for so long. */
const PAUSE_MS = 60_000;

type Kept = {
  event: KubeEvent;
  /** Of the Event object; `null` until the server has taken it. */
  object: string | null;
  beganAtMs: number;
  count: number;
  countSent: number;
  seenAtWallMs: number;
  sentAtMs: number;
};

export class KubeEvents {
  readonly #ports: NodePorts & { log: Log };
  readonly #instance: string;
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #kept = new Map<string, Kept>();
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #dropped = 0;
  /** Two of one millisecond differ by it, two processes by their draws. */
  #serial = 0;
  #timer: (() => void) | null = null;
  #isClosed = false;

  /** `instance`: who reports, such as the pod's name. */
  constructor(ports: NodePorts & { log: Log }, instance: string) {
    this.#ports = ports;
    this.#instance = instance.slice(0, WORD_CHARS_MAX) || "navarch";
  }

  /** Events that nobody will see. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Tells it, or counts it. Returns at once. */
  tell(event: KubeEvent): void {
    if (this.#isClosed) return;
    const { clock } = this.#ports;
    const now = clock.monoMs();
    this.#forget(now);
    const key = `${event.uid} ${camel(event.reason)}`;
    const known = this.#kept.get(key);
    if (known !== undefined) {
      known.count += 1;
      known.seenAtWallMs = clock.wallMs();
      this.#schedule(key, known, now);
      return;
    }
    if (this.#kept.size >= KEPT_MAX || now < this.#pausedUntilMs) {
      this.#dropped += 1;
      return;
    }
    const kept: Kept = {
      event,
      object: null,
      beganAtMs: now,
      count: 1,
      countSent: 1,
      seenAtWallMs: clock.wallMs(),
      sentAtMs: now,
    };
    this.#kept.set(key, kept);
    this.#queue.add(key, () => this.#create(key, kept));
  }

  /** Resolves once nothing waits or runs; counts that wait for their minute are not waited for. */
  rest(): Promise<void> {
    return this.#queue.rest();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.();
    this.#queue.clear();
    this.#kept.clear();
  }

  /** Windows begin in order, so the oldest lie in front. */
  #forget(now: number): void {
    for (const [key, kept] of this.#kept) {
      if (now - kept.beganAtMs < WINDOW_MS) break;
      this.#kept.delete(key);
    }
  }

  #schedule(key: string, kept: Kept, now: number): void {
    if (kept.count === kept.countSent || kept.object === null) return;
    if (now - kept.sentAtMs >= SERIES_MS) this.#queue.add(key, () => this.#count(kept));
    else this.#timer ??= this.#ports.clock.after(SERIES_MS, () => this.#flush());
  }

  #flush(): void {
    this.#timer = null;
    const now = this.#ports.clock.monoMs();
    for (const [key, kept] of this.#kept) this.#schedule(key, kept, now);
  }

  async #create(key: string, kept: Kept): Promise<void> {
    const { clock, random } = this.#ports;
    this.#serial += 1;
    const suffix = `.${clock.wallMs().toString(16)}${hex(random())}.${this.#serial.toString(16)}`;
    const object = `${kept.event.name.slice(0, NAME_CHARS_MAX - suffix.length)}${suffix}`;
    const answer = await this.#ports.api.call(
      createRequest(kept.event, object, this.#instance, kept.seenAtWallMs),
    );
    // After a lost answer it may be there; a second one would be one too many.
    if (answer.kind === "ok") kept.object = object;
    else this.#fail(key, answer);
    this.#schedule(key, kept, clock.monoMs());
  }

  async #count(kept: Kept): Promise<void> {
    const { count, object } = kept;
    if (object === null) return;
    kept.sentAtMs = this.#ports.clock.monoMs();
    kept.countSent = count;
    const answer = await this.#ports.api.call({
      verb: "patch",
      path: `${PATH}/${object}`,
      contentType: PATCH.merge,
      body: { series: { count, lastObservedTime: micro(kept.seenAtWallMs) } },
      timeoutMs: CALL_MS,
      lane: "status",
      pool: kept.event.pool,
    });
    // The server lets events go after an hour, or when somebody deletes them.
    if (answer.kind !== "ok") this.#fail(object, answer);
  }

  #fail(what: string, answer: Exclude<KubeAnswer, { kind: "ok" }>): void {
    const { clock, log } = this.#ports;
    this.#dropped += 1;
    const { message } = failureOf(answer);
    const now = clock.monoMs();
    if (now >= this.#pausedUntilMs)
      log("warn", "an event on a Node was not taken", { what, message });
    const retryAfterMs = answer.kind === "refused" ? (answer.retryAfterMs ?? 0) : 0;
    // One event that is refused for itself must not silence the others.
    const isItself = answer.kind === "refused" && [404, 409, 422].includes(answer.status);
    if (!isItself) this.#pausedUntilMs = now + Math.max(PAUSE_MS, retryAfterMs);
  }
}

export function createRequest(
  { name, uid, pool, type, reason, action, note }: KubeEvent,
  object: string,
  reportingInstance: string,
  nowMs: number,
): KubeRequest {
  return {
    verb: "create",
    path: PATH,
    body: {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: object, namespace: "default" },
      eventTime: micro(nowMs),
      reportingController: `${DOMAIN}/reconciler`,
      reportingInstance,
      type,
      reason: camel(reason),
      action: camel(action),
      regarding: { apiVersion: "v1", kind: "Node", name, uid },
      note: bounded(note, NOTE_BYTES_MAX),
    },
    timeoutMs: CALL_MS,
    lane: "status",
    pool,
  };
}

/** `MicroTime` is parsed with exactly six digits. */
const micro = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, "000Z");

const hex = (random: number): string =>
  Math.floor(random * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0");

/** `gpu-reset`, `gpu reset` and `GpuReset` are one word. */
function camel(text: string): string {
  const words = text.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return joined.slice(0, WORD_CHARS_MAX) || "Unknown";
}
