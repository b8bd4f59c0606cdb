/**
 * Releases our share of the cordon on Node objects that no longer belong to a node; the status
 * mirror removes taints, conditions and labels. Level-triggered: each activation passes the objects
 * to `tend` until none shows our mark. Each write carries the UID and version that it was decided
 * from, so the server refuses a stale one. A person's cordon stays, and so does ours while
 * `navarch.dev/hold` is set.
 */
import type { Log } from "../core/clock.ts";
import type { DesiredState } from "../core/kubernetes/desired-state.ts";
import { releaseCordon } from "./cordon.ts";
import { InFlight } from "./in-flight.ts";
import { briefly, type NodePorts, SPREAD } from "./node-call.ts";
import { ANNOTATION, type KubeNode } from "../core/kubernetes/object.ts";
import { backoffMs, spreadMs } from "../core/turn/backoff.ts";

const IN_FLIGHT = 8;
const BACKOFF_MS = 5_000;
const BACKOFF_MAX_MS = 300_000;

export type LeavingNode = { object: KubeNode; pool: string | null };

/** Leaving Node objects of the desired state that still exist and belong to no current node. */
export function leavingOf(
  { leaving, shown }: DesiredState,
  get: (name: string) => KubeNode | undefined,
): LeavingNode[] {
  if (leaving.length === 0) return [];
  const living = new Set(shown.map(({ uid }) => uid));
  return leaving.flatMap(({ name, uid, pool }) => {
    const object = get(name);
    return object?.uid === uid && !living.has(uid) ? [{ object, pool }] : [];
  });
}

type Case = { notBeforeMs: number; failures: number; trouble: string | null };

export class Leaving {
  readonly #ports: NodePorts & { log: Log };
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #cases = new Map<string, Case>();

  constructor(ports: NodePorts & { log: Log }) {
    this.#ports = ports;
  }

  /** Starts what is due and returns. `leaving`: all of them, from the cache. */
  tend(leaving: readonly LeavingNode[]): void {
    const now = this.#ports.clock.monoMs();
    const named = new Set(leaving.map(({ object }) => object.uid));
    for (const uid of this.#cases.keys()) if (!named.has(uid)) this.#cases.delete(uid);
    for (const one of leaving) {
      const { uid } = one.object;
      if (!isMarked(one.object)) continue;
      const known = this.#cases.get(uid) ?? { notBeforeMs: now, failures: 0, trouble: null };
      this.#cases.set(uid, known);
      if (now >= known.notBeforeMs) this.#queue.add(uid, () => this.#work(one, known));
    }
  }

  /** Why objects still have our mark, a line each. */
  troubles(): string[] {
    return [...this.#cases.values()].flatMap(({ trouble }) => (trouble === null ? [] : [trouble]));
  }

  /** Resolves once nothing waits or runs. */
  rest(): Promise<void> {
    return this.#queue.rest();
  }

  close(): void {
    this.#cases.clear();
    this.#queue.clear();
  }

  async #work({ object, pool }: LeavingNode, one: Case): Promise<void> {
    const { name, uid } = object;
    // The object may have been matched again while this waited.
    if (this.#cases.get(uid) !== one) return;
    const { clock, random, log } = this.#ports;
    const ports = briefly(this.#ports, () => this.#cases.get(uid) === one);
    const answer = await releaseCordon(ports, name, uid, { pool, cached: object });
    if (answer.kind === "released" || answer.kind === "other_object") {
      one.failures = 0;
      one.trouble = null;
      one.notBeforeMs = clock.monoMs() + BACKOFF_MS;
      return;
    }
    one.failures += 1;
    const waitMs = spreadMs(backoffMs(one.failures, BACKOFF_MS, BACKOFF_MAX_MS), SPREAD, random());
    one.notBeforeMs = clock.monoMs() + waitMs;
    const why = "message" in answer ? answer.message : answer.kind;
    const trouble = `Node ${name} is no longer matched and keeps our cordon: ${why}`;
    if (one.trouble !== trouble) {
      log("warn", "cordon not released", { kube_node: name, reason: trouble });
    }
    one.trouble = trouble;
  }
}

const isMarked = ({ own, annotations }: KubeNode): boolean =>
  own || annotations[ANNOTATION.session] !== undefined;
