/**
 * Folds the passing of time into a node: silence, and evaluations of evidence that is still held.
 * Pure. Silence is a finding and never a verdict (law 9): it makes a node suspect, and only a
 * second witness makes it lost. The clock is the reconciler's own and stands still over its own
 * pauses, which is why the caller passes how long it has *attentively* heard nothing.
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Timing } from "../fleet.ts";
import { countUnhealthy } from "./inbox-entry.ts";
import { nodeEvent } from "../told-event.ts";

/** When each live node's agent was last heard, as this process knows. */
export type Presences = ReadonlyMap<NodeId, PresenceSight>;
export type PresenceSight = {
  /** Attentive milliseconds of silence; `null` while it is too early to say. */
  silentMs: number | null;
  /** A report of the node came in this process's life. */
  heard: boolean;
};

const UNKNOWN: PresenceSight = { silentMs: null, heard: false };

export function presenceOf(presences: Presences, node: NodeId): PresenceSight {
  return presences.get(node) ?? UNKNOWN;
}

/**
 * `silentMs` `null` = neither heard in this process's life nor waited for long enough to say so;
 * `heard` = a report came in this life; `now` is wall time.
 */
export function foldPresence(
  node: Node,
  silentMs: number | null,
  heard: boolean,
  now: number,
  timing: Timing,
): { node: Node; events: EventDraft[] } | null {
  if (node.agent === null) return null;
  switch (node.phase.kind) {
    case "requested":
    case "booting":
    case "bootstrapping":
    case "terminating":
    case "gone":
      return null;
    case "verifying":
    case "serving":
    case "suspect":
    case "draining":
    case "repairing":
    case "replacing":
    case "held":
      break;
  }
  const event = (kind: "node.silent" | "node.heard", message: string): EventDraft =>
    nodeEvent(node, now, kind, message);
  const { health } = node;
  const silent = silentMs !== null && silentMs > timing.heartbeatTimeoutMs;
  if (silent && health.silentSince === null) {
    const since = Math.round(now - silentMs);
    const message = `no heartbeat for ${Math.round(silentMs / 1000)} s`;
    return {
      node: { ...node, health: { ...health, silentSince: since } },
      events: [event("node.silent", message)],
    };
  }
  if (!silent && heard && health.silentSince !== null) {
    const next = { ...node, health: { ...health, silentSince: null } };
    return { node: next, events: [event("node.heard", "heartbeats are back")] };
  }
  // A dead agent sends no further checks, so evidence that cannot pass is evaluated by our own
  // clock too.
  const holdsProof = health.held.some(
    (h) => h.judgement.definitive && h.judgement.result === "unhealthy",
  );
  if (
    health.verdict === "unhealthy" &&
    holdsProof &&
    now - health.lastCountedAt >= timing.checkIntervalMs
  ) {
    return { node: { ...node, health: countUnhealthy(health, now) }, events: [] };
  }
  return null;
}
