/**
 * Drops findings of an agent version that was linked to a burst, once another version reports for
 * the node (docs/reference/safety.md#common-cause, act on the cause, not on the nodes). Pure.
 * Findings that are evident by themselves stay; the next check repeats a condition that is true.
 */
import { isEvidentFinding } from "../../../health/policy/evident.ts";
import { verdictOf } from "../../../health/policy/hold.ts";
import type { EventDraft } from "../../../schema/event.ts";
import type { Node } from "../../../schema/node.ts";
import { verdictEvents } from "./rejudge.ts";

/** `null` if nothing changes. `agents` are discredited versions. */
export function discredit(
  node: Node,
  agents: ReadonlySet<string>,
  now: number,
): { node: Node; events: EventDraft[] } | null {
  const { health, agent } = node;
  if (agent === null) return null;
  const held = health.held.filter((entry) => {
    const by = entry.agent ?? null;
    if (by === null || by === agent.version || !agents.has(by)) return true;
    return isEvidentFinding(entry.finding);
  });
  if (held.length === health.held.length) return null;
  const known = held.length > 0 || health.lastCheckAt !== null;
  const verdict = known ? verdictOf(held) : "unknown";
  const keeps = verdict === "unhealthy" || health.silentSince !== null;
  const after = { ...health, held, verdict, unhealthyRun: keeps ? health.unhealthyRun : 0 };
  const why = "from an agent version linked to a burst: ";
  return { node: { ...node, health: after }, events: verdictEvents(node, after, now, why) };
}
