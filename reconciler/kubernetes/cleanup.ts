/**
 * Removes the pods and then the Node object of a machine that its cloud confirms gone, once its
 * kubelet is silent (docs/reference/kubernetes.md#node-removal). Deleting the Node of a running
 * machine would free the identity of StatefulSet pods that still run there, so a renewed lease
 * stops the removal and raises an alarm. Level-triggered: each call of `tend` passes the complete
 * list and is the retry. A deletion carries the UID, which spares a new machine of the same name.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Log } from "../core/clock.ts";
import { countPodsLeft, deleteNode, readLease } from "./cleanup-call.ts";
import { InFlight } from "./in-flight.ts";
import { failed, readLive, SPREAD } from "./node-call.ts";
import type { Failed, NodePorts } from "./node-call.ts";
import type { KubeNode } from "../core/kubernetes/object.ts";
import { backoffMs, spreadMs } from "../core/turn/backoff.ts";
import { changeTaints, OUT_OF_SERVICE_TAINT } from "./taint.ts";

export type EndedNode = { node: NodeId; name: string; uid: string; pool: string | null };

const IN_FLIGHT = 8;
/** Renewed each 10 s; after 40 s the node controller marks the node (Kubernetes, "Leases"). */
const LEASE_MS = 40_000;
/** Clocks may differ, so the lease must also stay unchanged for two renewals of our clock. */
const STILL_MS = 20_000;
/** Time for the pods to end after the out-of-service taint, before the Node is deleted. */
const PODS_MS = 120_000;
const POLL_MS = 5_000;
/** Slurm gives up a node's jobs after `SlurmdTimeout` (300 s); then its operator says so. */
const SLURM_MS = 600_000;
/**
 * Pause after a renewed lease, growing while renewals continue: the alarm was raised. The kubelet
 * must then be silent for 40 s.
 */
const DOUBT_MS = 10_000;
const DOUBT_MAX_MS = 30_000;
/** Pause for a Node that is gone and still passed: the cache lags, or its name is in use. */
const DONE_MS = 60_000;
const BACKOFF_MAX_MS = 300_000;
/** Named in a message; an object rarely has more than two. */
const FINALIZERS_MAX = 5;

type Case = {
  target: EndedNode;
  notBeforeMs: number;
  failures: number;
  /** The lease, and since when it is unchanged on our monotonic clock. */
  lease: { renewedAt: number | null; sinceMs: number } | null;
  taintedAtMs: number | null;
  /** Since when Slurm shows jobs on the machine that is gone. */
  slurmSinceMs: number | null;
  doubt: string | null;
  /** Consecutive looks with a renewed lease. */
  renewals: number;
  trouble: string | null;
  /** What it waits for in the ordinary course. */
  waits: string;
};

export class Cleanup {
  readonly #ports: NodePorts & { log: Log; slinky?: boolean };
  readonly #queue = new InFlight(IN_FLIGHT);
  readonly #cases = new Map<string, Case>();

  constructor(ports: NodePorts & { log: Log; slinky?: boolean }) {
    this.#ports = ports;
  }

  /**
   * Starts what is due and returns. `ended`: every Node whose instance is confirmed gone and whose
   * object exists; others are forgotten.
   */
  tend(ended: readonly EndedNode[]): void {
    const now = this.#ports.clock.monoMs();
    const named = new Set(ended.map(({ uid }) => uid));
    for (const uid of this.#cases.keys()) if (!named.has(uid)) this.#cases.delete(uid);
    for (const target of ended) {
      const one = this.#cases.get(target.uid) ?? openCase(target, now);
      this.#cases.set(target.uid, one);
      one.target = target;
      if (now >= one.notBeforeMs) this.#queue.add(target.uid, () => this.#work(one));
    }
  }

  /** Nodes whose kubelet is alive although the cloud reports the machine gone, a line each. */
  doubts(): string[] {
    return [...this.#cases.values()].flatMap(({ doubt }) => (doubt === null ? [] : [doubt]));
  }

  /** Other reasons why Nodes remain, a line each. */
  troubles(): string[] {
    return [...this.#cases.values()].flatMap(({ target, trouble }) =>
      trouble === null ? [] : [`${target.name}: ${trouble}`],
    );
  }

  /** Why the object with this UID still exists; `null`: it is not to be removed. */
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
    const left = await countPodsLeft(this.#ports.api, name, pool, this.#ports.slinky);
    if (left.kind === "failed") return this.#fail(one, left);
    if (left.slurm > 0 && this.#waitsForSlurm(one)) {
      return this.#again(one, POLL_MS, `Slurm still shows jobs there, in pods: ${left.slurm}`);
    }
    if (left.pods > 0 && !this.#hasWaited(one)) {
      const at = { name, uid, pool, cached: live.node, lane: "evict" as const };
      const put = await changeTaints(this.#ports, at, { want: [OUT_OF_SERVICE_TAINT], drop: [] });
      if (put.kind === "other_object") return this.#done(one);
      if (put.kind !== "done") return this.#fail(one, failed(put));
      one.taintedAtMs ??= this.#ports.clock.monoMs();
      return this.#again(one, POLL_MS, `pods that are bound to it have not ended: ${left.pods}`);
    }
    // The machine, or its record, may have come back meanwhile.
    if (this.#cases.get(uid) !== one) return;
    const gone = await deleteNode(this.#ports.api, name, uid, pool);
    if (gone.kind === "failed") return this.#fail(one, gone);
    // A finalizer may keep it; the next look finds out.
    this.#again(one, POLL_MS, "its deletion was asked for");
  }

  /** The machine is alive: our taint would keep work off it and end what starts there. */
  async #takeBack(one: Case, live: KubeNode): Promise<void> {
    const { name, uid, pool } = one.target;
    const at = { name, uid, pool, cached: live, lane: "evict" as const };
    const put = await changeTaints(this.#ports, at, { want: [], drop: [OUT_OF_SERVICE_TAINT] });
    if (put.kind === "other_object") return this.#done(one);
    if (put.kind !== "done") return this.#fail(one, failed(put));
    one.taintedAtMs = null;
    this.#again(one, DOUBT_MS);
  }

  /** `true`, milliseconds until the next look, or why the lease cannot be read. */
  async #isSilent(one: Case): Promise<true | number | Failed> {
    const { clock, log } = this.#ports;
    const { name, pool, node } = one.target;
    const lease = await readLease(this.#ports.api, name, pool);
    if (lease.kind === "none") return this.#believe(one);
    if (lease.kind === "failed") return lease;
    const now = clock.monoMs();
    const before = one.lease;
    const isRenewed = before?.renewedAt !== lease.renewedAt;
    if (isRenewed) one.lease = { renewedAt: lease.renewedAt, sinceMs: now };
    if (before !== null && isRenewed) {
      const speaks = `the kubelet of ${name} renews its lease`;
      const doubt = `the cloud says that ${node} is gone, and ${speaks}`;
      if (one.doubt === null) {
        const about = { node, kube_node: name, reason: doubt };
        log("error", "kubelet of a terminated machine is alive", about);
      }
      one.doubt = doubt;
      one.renewals += 1;
      return backoffMs(one.renewals, DOUBT_MS, DOUBT_MAX_MS);
    }
    const stillMs = now - (one.lease?.sinceMs ?? now);
    if (one.doubt !== null && stillMs < LEASE_MS) return DOUBT_MS;
    const agedMs = lease.renewedAt === null ? LEASE_MS : clock.wallMs() - lease.renewedAt;
    // A renewal in our future only shows that the clocks differ.
    const isFresh = agedMs < LEASE_MS && agedMs > -LEASE_MS;
    if (isFresh && stillMs < LEASE_MS)
      return Math.min(DOUBT_MS, Math.max(1_000, LEASE_MS - agedMs));
    return stillMs < STILL_MS ? STILL_MS - stillMs : this.#believe(one);
  }

  #believe(one: Case): true {
    one.doubt = null;
    one.renewals = 0;
    return true;
  }

  /** A state that stays wrong, as without its operator, must not keep the Node for ever. */
  #waitsForSlurm(one: Case): boolean {
    const now = this.#ports.clock.monoMs();
    one.slurmSinceMs ??= now;
    return now - one.slurmSinceMs < SLURM_MS;
  }

  #hasWaited({ taintedAtMs }: Case): boolean {
    return taintedAtMs !== null && this.#ports.clock.monoMs() - taintedAtMs >= PODS_MS;
  }

  /** Its deletion has begun and waits for other clients. */
  #held(one: Case, finalizers: readonly string[]): void {
    const named = finalizers.slice(0, FINALIZERS_MAX).join(", ");
    const by = named === "" ? "the API server" : `the finalizer ${named}`;
    const message = `its deletion has begun and waits for ${by}`;
    this.#warn(one, message);
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
    one.failures += 1;
    const waitMs = spreadMs(backoffMs(one.failures, POLL_MS, BACKOFF_MAX_MS), SPREAD, random());
    one.notBeforeMs = clock.monoMs() + Math.max(retryAfterMs ?? 0, waitMs);
    this.#warn(one, message);
    one.trouble = message;
  }

  #warn({ target, trouble }: Case, reason: string): void {
    if (trouble === reason) return;
    const about = { node: target.node, kube_node: target.name, reason };
    this.#ports.log("warn", "Node object of a terminated machine remains", about);
  }
}

const openCase = (target: EndedNode, notBeforeMs: number): Case => ({
  ...{ target, notBeforeMs, failures: 0, renewals: 0, waits: "its removal begins" },
  ...{ lease: null, taintedAtMs: null, slurmSinceMs: null, doubt: null, trouble: null },
});
