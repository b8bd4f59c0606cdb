/**
 * Logs why a repair or a pool waits: a limit, a circuit breaker, a person. Plans repeat their waits
 * every second, so a line is written when the reason changes, and again after a while. Pure except
 * for its memory.
 */
import type { Node } from "../../schema/node.ts";
import type { Wait } from "../core/plan.ts";
import type { WaitReason } from "../../schema/plan.ts";
import type { Log } from "../core/clock.ts";
import type { Fleet } from "../core/fleet.ts";
import { sayWait } from "../core/say/wait.ts";

/** Reasons of a node under repair; all others are steps of the repair. */
const OF_NODE: ReadonlySet<WaitReason> = new Set([
  "blind",
  "budget",
  "breaker",
  "spend",
  "bootstrap",
  "bootstrap_guard",
  "second_witness",
  "human",
  "not_ours",
  "provider",
  "other_fleet",
]);
/** Reasons of a pool; its holds and freezes are events. */
const OF_POOL: ReadonlySet<WaitReason> = new Set([
  "spend",
  "bootstrap_guard",
  "provider",
  "other_fleet",
]);
/** Many waits end with the next listing or answer. */
const SETTLE_MS = 3_000;
/** A recurring reason is logged again after this time. */
const AGAIN_MS = 30 * 60_000;
/** More nodes that wait for the same reason share one line. */
const LINES_EACH_MAX = 10;

type Logged = {
  /** `isOver`: logged, or too soon after the last time. */
  now: { reason: WaitReason; since: number; isOver: boolean } | null;
  /** When each reason was logged last. */
  at: Map<WaitReason, number>;
};

export class WaitLog {
  private readonly log: Log;
  /** By node, or by pool. */
  private readonly logged = new Map<string, Logged>();

  constructor(log: Log) {
    this.log = log;
  }

  /** `now` is wall ms. */
  look(waits: readonly Wait[], fleet: Pick<Fleet, "nodes">, now: number): void {
    const groups = new Map<string, { wait: Wait; node: Node | null }[]>();
    const waiting = new Set<string>();
    for (const wait of waits) {
      const node = wait.node === null ? null : (fleet.nodes.get(wait.node) ?? null);
      if (!isRestraint(wait, node)) continue;
      const key = wait.node ?? `pool ${wait.pool}`;
      waiting.add(key);
      if (!this.isNews(key, wait.reason, now)) continue;
      const like = `${wait.reason} ${sayWait(wait.why)}`;
      const group = groups.get(like);
      if (group === undefined) groups.set(like, [{ wait, node }]);
      else group.push({ wait, node });
    }
    for (const [key, one] of this.logged) {
      if (waiting.has(key)) continue;
      one.now = null;
      if ([...one.at.values()].every((at) => now - at >= AGAIN_MS)) this.logged.delete(key);
    }
    for (const group of groups.values()) this.write(group);
  }

  private isNews(key: string, reason: WaitReason, now: number): boolean {
    const known: Logged = this.logged.get(key) ?? { now: null, at: new Map() };
    this.logged.set(key, known);
    if (known.now?.reason !== reason) known.now = { reason, since: now, isOver: false };
    if (known.now.isOver || Math.abs(now - known.now.since) < SETTLE_MS) return false;
    known.now.isOver = true;
    const at = known.at.get(reason);
    // A clock that was set back must not suppress the line.
    if (at !== undefined && Math.abs(now - at) < AGAIN_MS) return false;
    known.at.set(reason, now);
    return true;
  }

  private write(group: readonly { wait: Wait; node: Node | null }[]): void {
    for (const { wait, node } of group.slice(0, LINES_EACH_MAX)) {
      const { pool, reason, why, until } = wait;
      this.log("warn", wait.node === null ? "pool waits" : "repair waits", {
        wait: reason,
        ...(wait.node === null ? {} : { node: wait.node, kube_node: node?.kube?.name ?? null }),
        ...(pool === null ? {} : { pool }),
        ...(node?.session == null ? {} : { session: node.session.id }),
        reason: sayWait(why),
        ...(until === null ? {} : { earliest: new Date(until).toISOString() }),
      });
    }
    const [first] = group;
    const more = group.length - LINES_EACH_MAX;
    if (more <= 0 || first === undefined) return;
    const { reason: wait, why } = first.wait;
    this.log("warn", "more repairs wait for the same", { wait, nodes: more, reason: sayWait(why) });
  }
}

function isRestraint({ node: id, reason }: Wait, node: Node | null): boolean {
  if (id === null) return OF_POOL.has(reason);
  if (node === null || !OF_NODE.has(reason)) return false;
  return node.session !== null || node.phase.kind === "suspect";
}
