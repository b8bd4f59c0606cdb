/**
 * Finds conditions that a node's checks list but the control plane does not hold, and asks the
 * agent to report them again. Agents report a condition once, so a lost one (restored backup,
 * forged end) would stay lost, and a dead GPU would read as healthy. Pure except for its memory.
 */
import { namesOf } from "../../health/policy/hold.ts";
import type { NodeId } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import type { Check } from "../../schema/report.ts";

/** A check may arrive before its finding, which is still in the agent's spool. */
const WAIT_MS = 90_000;
/** Two, as one reply may be lost; not more, as a finding judged healthy is never held. */
const ASKS = 2;
const AGAIN_MS = 600_000;
/** Least time between two requests, for a fleet that reconnects to an empty store. */
const PACE_MS = 40;

type Listed = { dueMono: number; left: number };

export class Unheard {
  private readonly listed = new Map<NodeId, Map<string, Listed>>();
  private askedMono = -Infinity;

  /** Whether the reply to this check asks again; `node` is the record before the report. */
  asks(id: NodeId, node: Node | null, check: Check | null | undefined, mono: number): boolean {
    if (node === null || check?.conclusive !== true) return false;
    const known = check.active.length === 0 ? new Set<string>() : knownOf(node);
    const unknown = check.active.filter((key) => !known.has(key));
    const before = this.listed.get(id);
    if (unknown.length === 0) {
      this.listed.delete(id);
      return false;
    }
    const fresh = { dueMono: mono + WAIT_MS, left: ASKS };
    const now = new Map(unknown.map((key) => [key, before?.get(key) ?? { ...fresh }]));
    this.listed.set(id, now);
    const due = [...now.values()].filter(({ dueMono, left }) => left > 0 && dueMono <= mono);
    if (due.length === 0 || mono - this.askedMono < PACE_MS) return false;
    for (const one of due) {
      one.left--;
      one.dueMono = mono + AGAIN_MS;
    }
    this.askedMono = mono;
    return true;
  }
}

function knownOf({ health }: Node): Set<string> {
  const all = [...health.held, ...(health.aside ?? [])];
  return new Set([...all.flatMap(({ finding }) => namesOf(finding)), ...(health.dropped ?? [])]);
}
