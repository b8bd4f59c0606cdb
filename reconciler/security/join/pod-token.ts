/**
 * Reviews the service-account tokens that agents in pods send when they register. The result
 * becomes part of the agent's origin; a registration never waits for it, so a later report stores
 * it. Reviews are paced: ten thousand agents that register at once cause a few requests a second to
 * the API server. An agent without a result is asked to register again. Tokens are in memory until
 * reviewed, and their digests for a minute after.
 */
import { createHash } from "node:crypto";
import type { NodeId } from "../../../schema/id.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { type AgentFact, type Origin, TOKEN_UNCHECKED } from "../../../schema/node.ts";
import { POD_TOKEN_CAPABILITY } from "../../../schema/report.ts";
import type { Clock, Log } from "../../core/clock.ts";
import type { PodReview } from "../../core/kubernetes/scheduler.ts";

export type PodTokenPorts = {
  review(token: string): Promise<PodReview>;
  agent(node: NodeId): AgentFact | null;
  clock: Pick<Clock, "monoMs" | "after">;
  log: Log;
};

/** Concurrent reviews, and the least interval between two. */
const AT_ONCE = 4;
const PACE_MS = 40;
/** Waiting tokens, 8 KiB each at most. */
const WAITING_MAX = 1_024;
/** An agent that restarts repeatedly sends the same token. */
const CACHE_MS = 60_000;
const CACHE_MAX = 4_096;
/** Retry interval of one agent while the API server is unreachable, and of a rejected token. */
const DOWN_MS = 30_000;
const AGAIN_MS = 600_000;
/** Least interval of log lines about refused tokens. */
const LOG_MS = 1_000;

/** `name` is the one under which the agent reports. */
type Waiting = { kind: "waiting"; name: string; token: string; sinceMono: number };
type Settled = {
  kind: "proven" | "refused" | "unknown";
  pod: Origin["pod"];
  problem: string | null;
  sinceMono: number;
};

export class PodTokens {
  private readonly ports: PodTokenPorts;
  private readonly states = new Map<NodeId, Waiting | Settled>();
  /** In order of arrival; a newer token of the same node keeps the place. */
  private readonly queue = new Set<NodeId>();
  private readonly cache = new Map<string, { review: PodReview; untilMono: number }>();
  private open = 0;
  private nextMono = 0;
  private armed = false;
  private askMono = 0;
  /** Why the server gave no result when last asked; `null` = it answers. */
  private down: string | null = null;
  private loggedMono = -Infinity;

  constructor(ports: PodTokenPorts) {
    this.ports = ports;
  }

  /** An agent has registered under `name`, with the `token` that it sent. */
  registered(node: NodeId, name: string, token: string | null): void {
    const sinceMono = this.ports.clock.monoMs();
    if (token === null) {
      this.queue.delete(node);
      this.put(node, { kind: "refused", pod: null, problem: null, sinceMono });
      return;
    }
    const known = this.cached(token);
    if (known !== null) return this.settle(node, name, known);
    if (!this.queue.has(node) && this.queue.size >= WAITING_MAX) {
      return this.settle(node, name, { kind: "unknown", problem: TOKEN_UNCHECKED });
    }
    this.put(node, { kind: "waiting", name, token, sinceMono });
    this.queue.add(node);
    this.pump();
  }

  /** The token's part of a node's origin. */
  of(node: NodeId): Pick<Origin, "pod" | "tokenProblem"> {
    const known = this.ports.agent(node)?.origin;
    const kept = { pod: known?.pod ?? null, tokenProblem: known?.tokenProblem ?? null };
    const state = this.states.get(node);
    if (state === undefined) return kept;
    if (state.kind === "waiting") {
      return known === undefined ? { pod: null, tokenProblem: TOKEN_UNCHECKED } : kept;
    }
    const { kind, pod, problem: tokenProblem } = state;
    // An earlier proof stays valid while the server is unavailable.
    if (kind === "unknown") return { pod: kept.pod, tokenProblem };
    const isKept = kept.pod?.node === pod?.node && kept.pod?.uid === pod?.uid;
    if (kind === "proven" && isKept && kept.tokenProblem === null) this.states.delete(node);
    return { pod, tokenProblem };
  }

  /** Whether the agent should register again, with a fresh token. */
  wants(node: NodeId): boolean {
    const agent = this.ports.agent(node);
    if (agent?.inventory.capabilities?.includes(POD_TOKEN_CAPABILITY) !== true) return false;
    const now = this.ports.clock.monoMs();
    const state = this.states.get(node);
    const isOld = state !== undefined && now - state.sinceMono >= AGAIN_MS;
    // An earlier process may have ended before the result came.
    const isOpen = state === undefined && agent.origin?.pod == null;
    if (!isOpen && state?.kind !== "unknown" && !(state?.kind === "refused" && isOld)) return false;
    if (now < this.askMono || this.queue.size > 0) return false;
    this.askMono = now + (this.down === null ? PACE_MS : DOWN_MS);
    return true;
  }

  private put(node: NodeId, state: Waiting | Settled): void {
    this.states.delete(node);
    this.states.set(node, state);
    const [oldest] = this.states.keys();
    if (this.states.size > LIMIT.nodesMax && oldest !== undefined) this.states.delete(oldest);
  }

  private pump(): void {
    const { clock } = this.ports;
    while (!this.armed && this.open < AT_ONCE && this.queue.size > 0) {
      const waitMs = this.nextMono - clock.monoMs();
      if (waitMs > 0) {
        this.armed = true;
        clock.after(waitMs, () => {
          this.armed = false;
          this.pump();
        });
        return;
      }
      this.nextMono = clock.monoMs() + PACE_MS;
      const [node] = this.queue;
      if (node !== undefined) void this.ask(node);
    }
  }

  private async ask(node: NodeId): Promise<void> {
    this.queue.delete(node);
    const state = this.states.get(node);
    if (state?.kind !== "waiting") return;
    this.open++;
    const { name, token } = state;
    const review = await this.ports.review(token);
    this.open--;
    this.note(review);
    if (review.kind !== "unknown") this.remember(token, review);
    // The agent may have registered again meanwhile.
    if (this.states.get(node) === state) this.settle(node, name, review);
    this.pump();
  }

  /** While the server is unavailable, one agent at a time is asked for a token to probe it. */
  private note(review: PodReview): void {
    const down = review.kind === "unknown" ? review.problem : null;
    if (down !== null && down !== this.down) {
      this.ports.log("warn", "cannot check service-account tokens of agents", { why: down });
    }
    this.down = down;
    if (down === null) return;
    this.askMono = this.ports.clock.monoMs() + DOWN_MS;
    for (const node of this.queue) this.settle(node, "", { kind: "unknown", problem: down });
    this.queue.clear();
  }

  /**
   * A token proves the Node of its own pod and nothing else: the token of another node's pod is
   * refused, and changes nothing for that other node.
   */
  private settle(node: NodeId, name: string, review: PodReview): void {
    const sinceMono = this.ports.clock.monoMs();
    if (review.kind === "proven" && review.pod.node === name) {
      return this.put(node, { kind: "proven", pod: review.pod, problem: null, sinceMono });
    }
    const { kind, problem } =
      review.kind === "proven"
        ? { kind: "refused" as const, problem: `its pod token is of Node ${review.pod.node}` }
        : review;
    this.put(node, { kind, pod: null, problem, sinceMono });
    if (kind === "unknown" || sinceMono - this.loggedMono < LOG_MS) return;
    this.loggedMono = sinceMono;
    this.ports.log("warn", "an agent's service-account token is not accepted", {
      node,
      why: problem,
    });
  }

  private cached(token: string): PodReview | null {
    const found = this.cache.get(digest(token));
    return found !== undefined && found.untilMono > this.ports.clock.monoMs() ? found.review : null;
  }

  private remember(token: string, review: PodReview): void {
    const key = digest(token);
    this.cache.delete(key);
    this.cache.set(key, { review, untilMono: this.ports.clock.monoMs() + CACHE_MS });
    const [oldest] = this.cache.keys();
    if (this.cache.size > CACHE_MAX && oldest !== undefined) this.cache.delete(oldest);
  }
}

const digest = (token: string): string => createHash("sha256").update(token).digest("base64url");
