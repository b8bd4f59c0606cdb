/**
 * Records of evictions, one per pod UID, so that no UID is evicted twice and only one pod of a
 * StatefulSet leaves at a time, over all nodes. Memory only: after a restart a fresh list shows
 * what is being deleted; an eviction then in flight may be repeated on a pod that is already
 * leaving, which the server accepts.
 */
import type { NodeId } from "../../schema/id.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Cut } from "./drain-end.ts";
import { BUDGET_RETRY_MAX_MS } from "./eviction.ts";
import type { EvictionVerdict } from "./eviction.ts";
import type { KubePod } from "../core/kubernetes/object.ts";

export type How = "evict" | "delete";

export type Ask = {
  readonly uid: string;
  readonly namespace: string;
  readonly node: NodeId;
  /** UID of the StatefulSet that controls it. */
  readonly set: string | null;
  state:
    /** Not sent, or refused: may be sent from `retryMono` on. */
    | "idle"
    | "asking"
    /** The answer was lost at `lostMono`: a later list must settle it first. */
    | "checking"
    /** Its deletion has begun, by any client. */
    | "begun";
  how: How | null;
  /** Consecutive attempts of the same kind with the same kind of answer. */
  tries: number;
  /** Time of the last answer; the request may have been queued for long. */
  answeredMono: number;
  lostMono: number;
  retryMono: number;
  /** The last answer; kept during the next attempt. */
  verdict: EvictionVerdict | null;
  /** Why the pod is deleted instead of evicted. */
  cut: Cut | null;
  /** Since when its node no longer drains. */
  leftMono: number | null;
};

/**
 * After a lost answer the server may still begin the eviction: it retries a conflict 20 times, 500
 * ms apart (kubernetes/kubernetes eviction.go, `EvictionsRetry`). Counted from the loss, because
 * the request may have been queued before.
 */
const LATE_MS = 11_000;
const GROWTH = 1.5;
/**
 * A server that has just started refuses everything for a second or two, until it has read the
 * roles. If a permission is really missing, the pauses grow.
 */
const FORBIDDEN_RETRY_MS = 3_000;
/** A pod keeps its set's turn for this long after its node stopped draining. */
const LEFT_MS = 600_000;

export class Asks {
  private readonly byUid = new Map<string, Ask>();
  private readonly byNode = new Map<NodeId, Set<Ask>>();
  /** UIDs of the pods that are leaving, by StatefulSet. */
  private readonly turns = new Map<string, Set<string>>();
  /** Asks that a budget refused, by its `namespace/name`, oldest refusal first. */
  private readonly refused = new Map<string, Set<Ask>>();

  of(pod: KubePod, node: NodeId): Ask {
    const known = this.byUid.get(pod.uid);
    if (known !== undefined) {
      known.leftMono = null;
      return known;
    }
    const ask: Ask = {
      uid: pod.uid,
      namespace: pod.namespace,
      node,
      set: setOf(pod),
      state: "idle",
      how: null,
      tries: 0,
      answeredMono: 0,
      lostMono: 0,
      retryMono: Number.NEGATIVE_INFINITY,
      verdict: null,
      cut: null,
      leftMono: null,
    };
    this.byUid.set(pod.uid, ask);
    const those = this.byNode.get(node) ?? new Set();
    this.byNode.set(node, those.add(ask));
    return ask;
  }

  get(uid: string): Ask | null {
    return this.byUid.get(uid) ?? null;
  }

  /** Another pod of its StatefulSet is leaving. */
  isTaken(ask: Ask): boolean {
    if (ask.set === null) return false;
    const turn = this.turns.get(ask.set);
    return turn !== undefined && turn.size > (turn.has(ask.uid) ? 1 : 0);
  }

  /** How many of these are in flight or unsettled. */
  inFlight(uids: Iterable<string>): number {
    let count = 0;
    for (const uid of uids) {
      const state = this.byUid.get(uid)?.state;
      if (state === "asking" || state === "checking") count++;
    }
    return count;
  }

  /** A pod waits for a budget. */
  get waitsForBudget(): boolean {
    return this.refused.size > 0;
  }

  /** The budget allows `allowed` evictions: the longest waiting pods retry. False if none waits. */
  open(namespace: string, budget: string, allowed: number, mono: number): boolean {
    let left = allowed;
    for (const ask of this.refused.get(`${namespace}/${budget}`) ?? []) {
      if (left === 0) break;
      if (ask.state !== "idle") continue;
      ask.retryMono = Math.min(ask.retryMono, mono);
      left--;
    }
    return left < allowed;
  }

  private noteRefusal(ask: Ask, verdict: EvictionVerdict | null): void {
    const before = keyOfRefusal(ask, ask.verdict);
    const those = before === null ? undefined : this.refused.get(before);
    those?.delete(ask);
    if (before !== null && those?.size === 0) this.refused.delete(before);
    const key = keyOfRefusal(ask, verdict);
    if (key !== null) this.refused.set(key, (this.refused.get(key) ?? new Set()).add(ask));
  }

  put(ask: Ask, state: Ask["state"]): void {
    ask.state = state;
    if (ask.set === null || !this.byUid.has(ask.uid)) return;
    const turn = this.turns.get(ask.set) ?? new Set();
    if (state === "idle") turn.delete(ask.uid);
    else turn.add(ask.uid);
    if (turn.size === 0) this.turns.delete(ask.set);
    else this.turns.set(ask.set, turn);
  }

  /** The pod is gone. */
  forget(uid: string): void {
    const ask = this.byUid.get(uid);
    if (ask === undefined) return;
    this.put(ask, "idle");
    this.noteRefusal(ask, null);
    this.byUid.delete(uid);
    const those = this.byNode.get(ask.node);
    those?.delete(ask);
    if (those?.size === 0) this.byNode.delete(ask.node);
  }

  /**
   * Takes a complete list of a node's pods, requested at `sentMono`: pods that are not in it are
   * gone, and answers lost before it are settled.
   */
  takeList(node: NodeId, pods: ReadonlyMap<string, KubePod>, sentMono: number): void {
    for (const pod of pods.values()) this.of(pod, node);
    for (const ask of this.byNode.get(node) ?? []) {
      if (ask.state === "asking") continue;
      if (ask.state === "checking" && ask.lostMono >= sentMono) continue;
      const pod = pods.get(ask.uid);
      if (pod === undefined) this.forget(ask.uid);
      else if (pod.deletionAt !== null) this.put(ask, "begun");
      else if (ask.state === "checking") {
        // Not evicted yet, but the server may still begin it.
        ask.retryMono = ask.lostMono + LATE_MS;
        this.put(ask, "idle");
      }
    }
  }

  /** Time of the last lost answer that is not settled; `null`: none. */
  lostMono(uids: Iterable<string>): number | null {
    let last: number | null = null;
    for (const uid of uids) {
      const ask = this.byUid.get(uid);
      if (ask?.state === "checking") last = Math.max(last ?? 0, ask.lostMono);
    }
    return last;
  }

  /** The node no longer drains. */
  leave(node: NodeId, mono: number): void {
    for (const ask of this.byNode.get(node) ?? []) ask.leftMono = mono;
  }

  sweep(mono: number): void {
    for (const ask of this.byUid.values()) {
      if (ask.leftMono === null) continue;
      if (ask.state === "idle" || mono - ask.leftMono > LEFT_MS) this.forget(ask.uid);
    }
  }

  ask(ask: Ask, how: How): void {
    ask.tries = ask.how === how ? ask.tries + 1 : 1;
    ask.how = how;
    this.put(ask, "asking");
  }

  settle(ask: Ask, verdict: EvictionVerdict, mono: number, random: () => number): void {
    // Another kind of answer starts its own back-off.
    if (ask.verdict !== null && ask.verdict.kind !== verdict.kind) ask.tries = 1;
    // It may have been forgotten while the request was in flight.
    if (this.byUid.get(ask.uid) === ask) this.noteRefusal(ask, verdict);
    ask.verdict = verdict;
    ask.answeredMono = mono;
    switch (verdict.kind) {
      case "begun":
        return this.put(ask, "begun");
      case "gone":
      case "otherPod":
        return this.forget(ask.uid);
      case "unknown":
        ask.lostMono = mono;
        return this.put(ask, "checking");
      case "admission":
      case "budget": {
        const waitMs = verdict.retryMs * GROWTH ** (ask.tries - 1) * (0.8 + 0.4 * random());
        ask.retryMono = mono + Math.min(BUDGET_RETRY_MAX_MS, waitMs);
        return this.put(ask, "idle");
      }
      case "forbidden": {
        const waitMs = FORBIDDEN_RETRY_MS * GROWTH ** (ask.tries - 1) * (1 + 0.2 * random());
        ask.retryMono = mono + Math.min(verdict.retryMs, waitMs);
        return this.put(ask, "idle");
      }
      case "throttled":
      case "severalBudgets":
      case "namespaceTerminating":
      case "controllerBehind":
        ask.retryMono = mono + verdict.retryMs * (1 + 0.2 * random());
        return this.put(ask, "idle");
      default:
        return unreachable(verdict);
    }
  }
}

/** A refusal by several budgets names none, so only its back-off counts. */
function keyOfRefusal({ namespace }: Ask, verdict: EvictionVerdict | null): string | null {
  const isNamed = verdict?.kind === "budget" && verdict.budget !== null;
  return isNamed ? `${namespace}/${verdict.budget}` : null;
}

function setOf({ controller }: KubePod): string | null {
  const isSet = controller?.kind === "StatefulSet" && controller.apiVersion.startsWith("apps/");
  return isSet ? controller.uid : null;
}
