/**
 * Writes the newest status of each AgentPool: only if it changed, at most once a second for each
 * pool, and in turn, so that none starves. What fails is repeated with back-off until a newer one
 * or the end of the pool.
 */
import type { AgentPool, PoolStatus } from "../core/agentpool/model.ts";
import type { Clock, Log } from "../core/clock.ts";
import { backoffMs, spreadMs } from "../core/turn/backoff.ts";
import type { KubeAnswer, KubeApi } from "../kubernetes/api.ts";
import { InFlight } from "../kubernetes/in-flight.ts";
import { failureOf, isExplained, SPREAD } from "../kubernetes/node-call.ts";
import type { Fields } from "../kubernetes/read-field.ts";
import { callSoon, isNotFound } from "./pod-call.ts";
import { readPool } from "./read-pool.ts";
import type { HeldPool } from "./read-pool.ts";
import { statusBody, statusRequest } from "./status-body.ts";

export type StatusPorts = {
  api: KubeApi;
  clock: Clock;
  random: () => number;
  log: Log;
  /** As it is shown, of this UID; `undefined`: there is none. */
  held: (pool: AgentPool) => HeldPool | undefined;
  /** Takes the object that the server answered. */
  seen: (pool: HeldPool) => void;
};

const LEAST_MS = 1_000;
const RETRY_MS = 2_000;
const RETRY_MOST_MS = 60_000;
/** What something else wrote, such as a second control plane, is overwritten this often. */
const DRIFT_MS = 30_000;
const IN_FLIGHT = 4;

type Shown = {
  pool: AgentPool;
  status: PoolStatus;
  /** Of the last write that the server took, and what it then showed. */
  sent: string | null;
  answered: string | null;
  sentMono: number;
  failures: number;
  /** Nothing is sent before. */
  restUntil: number;
  cancel: (() => void) | null;
};

export class StatusWriter {
  readonly #ports: StatusPorts;
  readonly #queue = new InFlight(IN_FLIGHT);
  /** By UID. */
  readonly #shown = new Map<string, Shown>();
  #isClosed = false;

  constructor(ports: StatusPorts) {
    this.#ports = ports;
  }

  show(pool: AgentPool, status: PoolStatus): void {
    if (this.#isClosed) return;
    const known = this.#shown.get(pool.uid);
    const one: Shown = known ?? {
      ...{ pool, status, sent: null, answered: null, sentMono: Number.NEGATIVE_INFINITY },
      ...{ failures: 0, restUntil: Number.NEGATIVE_INFINITY, cancel: null },
    };
    one.pool = pool;
    one.status = status;
    this.#shown.set(pool.uid, one);
    this.#schedule(one);
  }

  /** Forgets pools that are gone. */
  keep(uids: ReadonlySet<string>): void {
    for (const [uid, one] of this.#shown) if (!uids.has(uid)) this.#drop(uid, one);
  }

  close(): void {
    this.#isClosed = true;
    this.#queue.clear();
    for (const [uid, one] of this.#shown) this.#drop(uid, one);
  }

  #drop(uid: string, one: Shown): void {
    one.cancel?.();
    one.cancel = null;
    this.#shown.delete(uid);
  }

  #schedule(one: Shown): void {
    const { clock } = this.#ports;
    if (this.#shown.get(one.pool.uid) !== one || one.cancel !== null) return;
    const now = clock.monoMs();
    const due = this.#dueMono(one);
    if (due === null) return;
    if (due <= now) return this.#queue.add(one.pool.uid, () => this.#write(one));
    one.cancel = clock.after(due - now, () => {
      one.cancel = null;
      this.#schedule(one);
    });
  }

  /** When it may be written; `null`: it is shown already. */
  #dueMono(one: Shown): number | null {
    const held = this.#ports.held(one.pool);
    if (held === undefined) return null;
    const isSent = one.sent === this.#textOf(one, held);
    // A first status that the last leader showed already needs no write.
    if (one.sent === null && canonical(held.status) === this.#textOf(one, held)) return null;
    const isDrifted = isSent && one.answered !== null && canonical(held.status) !== one.answered;
    if (isSent && !isDrifted) return null;
    return Math.max(one.restUntil, one.sentMono + (isDrifted ? DRIFT_MS : LEAST_MS));
  }

  #textOf({ pool, status }: Shown, held: HeldPool): string {
    return canonical(statusBody(pool, status, held.status, this.#ports.clock.wallMs()));
  }

  async #write(one: Shown): Promise<void> {
    const { clock, held } = this.#ports;
    const shown = held(one.pool);
    if (this.#isClosed || shown === undefined) return;
    const body = statusBody(one.pool, one.status, shown.status, clock.wallMs());
    one.sentMono = clock.monoMs();
    const { resourceVersion } = shown;
    const request = statusRequest({ ...one.pool, resourceVersion }, body);
    const answer = await callSoon(this.#ports, request);
    this.#judge(one, body, answer);
    // Queued work of one key is never added twice, so the next one is scheduled after this ends.
    one.cancel?.();
    one.cancel = clock.after(0, () => {
      one.cancel = null;
      this.#schedule(one);
    });
  }

  #judge(one: Shown, body: Fields, answer: KubeAnswer): void {
    const { clock, random, log, seen } = this.#ports;
    if (answer.kind === "ok") {
      one.failures = 0;
      one.sent = canonical(body);
      const pool = readPool(answer.body);
      one.answered = pool === null ? null : canonical(pool.status);
      if (pool !== null) seen(pool);
      return;
    }
    // Somebody else wrote the object: the watch tells its new version.
    if (answer.kind === "refused" && answer.status === 409) return;
    if (answer.kind === "refused" && isNotFound(answer)) {
      // The watch tells its end; until then nothing is repeated.
      one.restUntil = clock.monoMs() + RETRY_MOST_MS;
      return;
    }
    one.failures += 1;
    const waitMs = spreadMs(backoffMs(one.failures, RETRY_MS, RETRY_MOST_MS), SPREAD, random());
    const retryAfterMs = answer.kind === "refused" ? (answer.retryAfterMs ?? 0) : 0;
    one.restUntil = clock.monoMs() + Math.max(waitMs, Math.min(retryAfterMs, RETRY_MOST_MS));
    const failure = failureOf(answer);
    const level = one.failures === 1 && !isExplained(failure) ? "warn" : "debug";
    const about = { agentpool: one.pool.key, reason: failure.message };
    log(level, "status of an AgentPool not written", about);
  }
}

/** Equal for equal values; the time of a condition follows from its status. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, one: unknown) => {
    if (key === "lastTransitionTime") return undefined;
    if (typeof one !== "object" || one === null || Array.isArray(one)) return one;
    const entries = Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(entries);
  });
}
