/**
 * What can be seen at this moment, gathered for `decide`, and whether it can be trusted (law 9,
 * safety.md §6): a process that was paused, a clock that jumped, or a fleet that fell silent all at
 * once means that the observer is the broken part.
 */
import type { NodeId } from "../schema/id.ts";
import type { Node } from "../schema/node.ts";
import type { Presence } from "./presence.ts";
import type { DrainSight, ProviderSight, Sight } from "./fleet.ts";
import type { Scheduler } from "./scheduler/scheduler.ts";

/** safety.md §6: this share of at least this many nodes silent at once is our own blindness. */
const SILENT_SHARE = 0.9;
const SILENT_NODES_MIN = 3;

/** `null`, or why the whole fleet's silence says more about us than about it. */
export function massSilence(nodes: Iterable<Node>): string | null {
  let heard = 0;
  let silent = 0;
  for (const node of nodes) {
    if (node.pool === null || node.agent === null) continue;
    if (node.phase.kind === "gone" || node.phase.kind === "terminating") continue;
    if (node.instance !== null && node.instance.state === "terminated") continue;
    if (node.health.silentSince === null) heard++;
    else silent++;
  }
  const all = heard + silent;
  if (all < SILENT_NODES_MIN || silent / all < SILENT_SHARE) return null;
  return `${silent} of ${all} nodes fell silent at once`;
}

export function openSight(from: {
  now: number;
  mono: number;
  nodes: ReadonlyMap<NodeId, Node>;
  presence: Presence;
  scheduler: Scheduler;
  providers: ReadonlyMap<string, ProviderSight>;
  sampleIntervalMs: number;
  frozen: string | null;
}): Sight {
  const { presence, scheduler, mono } = from;
  const blind: string[] = [];
  const doubt = presence.doubtful();
  if (doubt !== null) blind.push(doubt);
  const silence = massSilence(from.nodes.values());
  if (silence !== null) blind.push(silence);
  return {
    now: from.now,
    blind,
    attentiveMs: presence.attentiveMs(mono),
    drain: (node) =>
      scheduler.left(node) ?? leftBySample(presence, node, mono, from.sampleIntervalMs),
    utilization: (node) => presence.utilization(node),
    providers: from.providers,
    frozen: from.frozen,
  };
}

/**
 * What the agent's process list says. Three samples: one may be lost and one late before a list
 * stops being news. A report carries a sample that may be a whole interval old.
 */
function leftBySample(
  presence: Presence,
  node: NodeId,
  mono: number,
  sampleIntervalMs: number,
): DrainSight {
  const left = presence.left(node, mono, 3 * sampleIntervalMs);
  return left.kind === "empty" ? { ...left, seenAt: left.seenAt - sampleIntervalMs } : left;
}
