/**
 * Folds elapsed time into a node: silence, and evaluations of held evidence. Pure. Silence is a
 * finding and never a verdict (law 9): it makes a node suspect, and only a second witness makes it
 * lost. Pauses of this process do not count as silence, so the caller passes *attentive* time.
 */
import type { EventDraft } from "../../../schema/event.ts";
import type { NodeId } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import type { Timing } from "../fleet.ts";
import { isDefinitive } from "../safety/evident.ts";
import { countUnhealthy } from "./inbox-entry.ts";
import { nodeEvent } from "../event-draft.ts";

/** The presence of each live node, as this process knows it. */
export type Presences = ReadonlyMap<NodeId, PresenceSight>;
export type PresenceSight = {
  /** Attentive milliseconds since the last report; `null` = too early to know. */
  silentMs: number | null;
  /** A report came since this process started. */
  heard: boolean;
};

const UNKNOWN: PresenceSight = { silentMs: null, heard: false };

export function presenceOf(presences: Presences, node: NodeId): PresenceSight {
  return presences.get(node) ?? UNKNOWN;
}

/** `null` if nothing changes. `silentMs` and `heard` as in `PresenceSight`; `now` is wall time. */
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
  // A dead agent sends no checks, so definitive evidence is also evaluated by elapsed time.
  const isDue = now - health.lastCountedAt >= timing.checkIntervalMs;
  if (health.verdict === "unhealthy" && isDue && isDefinitive(node)) {
    return { node: { ...node, health: countUnhealthy(health, now) }, events: [] };
  }
  return null;
}
