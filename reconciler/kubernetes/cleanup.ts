/**
 * Removes what Kubernetes still knows of a machine that its cloud has confirmed gone: first its
 * kubelet must have fallen silent, then its pods are removed, then the Node object
 * (docs/reference/kubernetes.md#node-removal). Deleting the Node of a running machine would free
 * the identity of StatefulSet pods that still run there, so a lease that is renewed stops the
 * removal and raises an alarm.
 *
 * Level-triggered and idempotent: each call of `tend` passes the complete list, and the next call
 * is the retry. A deletion carries the UID, so a machine that returned under the old name is not
 * affected.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Log } from "../core/clock.ts";
import { countPodsLeft, deleteNode, readLease } from "./cleanup-call.ts";
import { InFlight } from "./in-flight.ts";
import { backoffMs, failed, readLive } from "./node-call.ts";
import type { Failed, NodePorts } from "./node-call.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { changeTaints, OUT_OF_SERVICE_TAINT } from "./taint.ts";

export type EndedNode = { node: NodeId; name: string; uid: string; pool: string | null };

const IN_FLIGHT = 8;
/** Renewed each 10 s; after 40 s the node controller gives the node up (Kubernetes, "Leases"). */
const LEASE_MS = 40_000;
/**
 * Our clock and the kubelet's may differ, so the lease must also stand still while we look: two
 * renewals long.
 */
const STILL_MS = 20_000;
/** How long the pods get after the out-of-service taint, before the garbage collector has them. */
const PODS_MS = 120_000;
const POLL_MS = 5_000;
/**
 * A kubelet that spoke is asked about again after so long, ever more rarely while it goes on: a
 * person has been told. It must then be silent for 40 s.
 */
const DOUBT_MS = 10_000;
const DOUBT_MAX_MS = 30_000;
/** A Node that is gone and still told: the cache lags, or another one of its name is there. */
const DONE_MS = 60_000;
const BACKOFF_MAX_MS = 300_000;
/** For people; an object rarely has more than two. */
const FINALIZERS_MAX = 5;

type Case = {
  target: EndedNode;
  notBeforeMs: number;
  failures: number;
  /** The lease as it was first seen, and since when it has not changed, on our own clock. */
  lease: { renewedAt: number | null; sinceMs: number } | null;
  taintedAtMs: number | null;
  doubt: string | null;
  /** How often in a row its kubelet spoke. */
  spoke: number;
  trouble: string | null;
  /** For what it waits in the ordinary course. */
  waits: string;
};

export class Cleanup {
  readonly #ports: NodePorts & { log: Log };
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #cases = new Map<string, Case>();

  constructor(ports: NodePorts & { log: Log }) {
    this.#ports = ports;
  }

  /**
   * Starts what is due and returns. `ended` is every Node whose instance is confirmed gone and
   * whose object is still there; what is not told any more is forgotten.
   */
  tend(ended: readonly EndedNode[]): void {
    const now = this.#ports.clock.monoMs();
    const told = new Set(ended.map(({ uid }) => uid));
    for (const uid of this.#cases.keys()) if (!told.has(uid)) this.#cases.delete(uid);
    for (const target of ended) {
      let one = this.#cases.get(target.uid);
      if (one === undefined) {
        one = {
          target,
          notBeforeMs: now,
          failures: 0,
          lease: null,
          taintedAtMs: null,
          doubt: null,
          spoke: 0,
          trouble: null,
          waits: "its removal begins",
        };
        this.#cases.set(target.uid, one);
      }
      const due = one;
      due.target = target;
      if (now >= due.notBeforeMs) this.#queue.add(target.uid, () => this.#work(due));
    }
  }

  /** The cloud says that it is gone, and its kubelet speaks. One line a Node. */
  doubts(): string[] {
    return [...this.#cases.values()].flatMap(({ doubt }) => (doubt === null ? [] : [doubt]));
  }

  /** Why a Node is still there for another reason. One line a Node. */
  troubles(): string[] {
    return [...this.#cases.values()].flatMap(({ target, trouble }) =>
      trouble === null ? [] : [`${target.name}: ${trouble}`],
    );
  }

  /** Why the object with this UID is still there; `null` = it is not to be removed. */
  reason(uid: string): string | null {
    const one = this.#cases.get(uid);
    if (one === undefined) return null;
    return one.doubt ?? one.trouble ?? one.waits;
  }

  /** Resolves once nothing waits or runs. */
  rest(): Promise<void> {
    return this.#queue.rest();
  }

  close(): void {
    this.#cases.clear();
    this.#queue.clear();
  }

  async #work(one: Case): Promise<void> {
    const { name, uid, pool } = one.target;
    // It may have been taken back while it waited.
    if (this.#cases.get(uid) !== one) return;
    const live = await readLive(this.#ports.api, name, uid, pool);
    if (live.kind === "other_object") return this.#done(one);
    if (live.kind === "refused") return this.#fail(one, live);
    const { deletion } = live.node;
    if (deletion !== undefined) return this.#held(one, deletion.finalizers);
    const silent = await this.#isSilent(one);
    // Without the second witness nothing is deleted.
    if (typeof silent === "object") return this.#fail(one, silent);
    if (silent !== true) {
      if (one.doubt !== null && one.taintedAtMs !== null) return this.#takeBack(one, live.node);
      return this.#again(one, silent, "its kubelet's lease has not been still for long enough");
    }
    const left = await countPodsLeft(this.#ports.api, name, pool);
    if (left.kind === "failed") return this.#fail(one, left);
    if (left.pods > 0 && !this.#hasWaited(one)) {
      const at = { name, uid, pool, cached: live.node, lane: "evict" as const };
      const put = await changeTaints(this.#ports, at, { want: [OUT_OF_SERVICE_TAINT], drop: [] });
      if (put.kind === "other_object") return this.#done(one);
      if (put.kind !== "done") return this.#fail(one, failed(put));
      one.taintedAtMs ??= this.#ports.clock.monoMs();
      return this.#again(one, POLL_MS, `pods that are bound to it have not ended: ${left.pods}`);
    }
    // Between the answers the request may have gone: the machine, or its record, came back.
    if (this.#cases.get(uid) !== one) return;
    const gone = await deleteNode(this.#ports.api, name, uid, pool);
    if (gone.kind === "failed") return this.#fail(one, gone);
    // A finalizer may hold it there: the next look tells.
    this.#again(one, POLL_MS, "its deletion was asked for");
  }

  /** It lives after all: what we wrote would keep everything off it, and end what starts there. */
  async #takeBack(one: Case, live: KubeNode): Promise<void> {
    const { name, uid, pool } = one.target;
    const at = { name, uid, pool, cached: live, lane: "evict" as const };
    const put = await changeTaints(this.#ports, at, { want: [], drop: [OUT_OF_SERVICE_TAINT] });
    if (put.kind === "other_object") return this.#done(one);
    if (put.kind !== "done") return this.#fail(one, failed(put));
    one.taintedAtMs = null;
    this.#again(one, DOUBT_MS);
  }

  /** `true`, or after how many milliseconds to look again, or why nobody can tell. */
  async #isSilent(one: Case): Promise<true | number | Failed> {
    const { clock, log } = this.#ports;
    const { name, pool, node } = one.target;
    const lease = await readLease(this.#ports.api, name, pool);
    if (lease.kind === "none") return this.#believe(one);
    if (lease.kind === "failed") return lease;
    const now = clock.monoMs();
    const before = one.lease;
    if (before === null || before.renewedAt !== lease.renewedAt)
      one.lease = { renewedAt: lease.renewedAt, sinceMs: now };
    if (before !== null && before.renewedAt !== lease.renewedAt) {
      const speaks = `the kubelet of ${name} renews its lease`;
      const doubt = `the cloud says that ${node} is gone, and ${speaks}`;
      if (one.doubt === null) {
        const told = { node, kube_node: name, reason: doubt };
        log("error", "kubelet of a terminated machine is alive", told);
      }
      one.doubt = doubt;
      one.spoke += 1;
      return Math.min(DOUBT_MAX_MS, DOUBT_MS * 2 ** Math.min(one.spoke - 1, 8));
    }
    const stillMs = now - (one.lease?.sinceMs ?? now);
    if (one.doubt !== null && stillMs < LEASE_MS) return DOUBT_MS;
    const agedMs = lease.renewedAt === null ? LEASE_MS : clock.wallMs() - lease.renewedAt;
    // A lease from our future says only that the clocks differ.
    const isFresh = agedMs < LEASE_MS && agedMs > -LEASE_MS;
    if (isFresh && stillMs < LEASE_MS)
      return Math.min(DOUBT_MS, Math.max(1_000, LEASE_MS - agedMs));
    return stillMs < STILL_MS ? STILL_MS - stillMs : this.#believe(one);
  }

  #believe(one: Case): true {
    one.doubt = null;
    one.spoke = 0;
    return true;
  }

  #hasWaited({ taintedAtMs }: Case): boolean {
    return taintedAtMs !== null && this.#ports.clock.monoMs() - taintedAtMs >= PODS_MS;
  }

  /** Its deletion has begun, and only others can end it. */
  #held(one: Case, finalizers: readonly string[]): void {
    const named = finalizers.slice(0, FINALIZERS_MAX).join(", ");
    const by = named === "" ? "the API server" : `the finalizer ${named}`;
    const message = `its deletion has begun and waits for ${by}`;
    this.#tell(one, message);
    one.doubt = null;
    one.trouble = message;
    one.notBeforeMs = this.#ports.clock.monoMs() + DOUBT_MAX_MS;
  }

  #again(one: Case, ms: number, waits = one.waits): void {
    one.failures = 0;
    one.trouble = null;
    one.waits = waits;
    one.notBeforeMs = this.#ports.clock.monoMs() + ms;
  }

  #done(one: Case): void {
    one.doubt = null;
    this.#again(one, DONE_MS);
  }

  #fail(one: Case, { message, retryAfterMs }: Omit<Failed, "kind">): void {
    const { clock, random } = this.#ports;
    const waitMs = backoffMs(one.failures, POLL_MS, BACKOFF_MAX_MS, random);
    one.failures += 1;
    one.notBeforeMs = clock.monoMs() + Math.max(retryAfterMs ?? 0, waitMs);
    this.#tell(one, message);
    one.trouble = message;
  }

  #tell({ target, trouble }: Case, reason: string): void {
    if (trouble === reason) return;
    const about = { node: target.node, kube_node: target.name, reason };
    this.#ports.log("warn", "Node object of a terminated machine remains", about);
  }
}
