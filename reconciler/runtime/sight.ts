/**
 * What can be seen at this moment, gathered for `decide` (law 9). Whether it can be trusted is
 * judged in `safety/blind.ts`.
 */
import type { NodeId } from "../../schema/id.ts";
import type { Presence } from "./presence.ts";
import type { DrainSight, ProviderSight, Sight } from "../core/fleet.ts";
import type { Targets } from "./act/execute.ts";

export function openSight(from: {
  now: number;
  mono: number;
  presence: Presence;
  targets: Pick<Targets, "scheduler" | "keyProblem">;
  providers: ReadonlyMap<string, ProviderSight>;
  sampleIntervalMs: number;
  frozen: string | null;
  /** Why nothing that is seen can be trusted now (`safety/blind.ts`). */
  blind: string[];
  ambiguous: ReadonlyMap<NodeId, string>;
  /** Whether the record ties the node to an object of its scheduler. */
  isMatched(node: NodeId): boolean;
}): Sight {
  const { presence, mono, blind } = from;
  const { scheduler, keyProblem } = from.targets;
  return {
    now: from.now,
    blind,
    attentiveMs: presence.attentiveMs(mono),
    drain: (node) => {
      const { cluster } = scheduler;
      if (cluster !== null && from.isMatched(node) && !cluster.knows(node)) {
        return { kind: "dark", message: "its Node was only just matched" };
      }
      return scheduler.left(node) ?? leftBySample(presence, node, mono, from.sampleIntervalMs);
    },
    utilization: (node) => presence.utilization(node),
    providers: from.providers,
    frozen: from.frozen,
    kube: scheduler.cluster?.sight(from.ambiguous) ?? null,
    ...(keyProblem === null ? {} : { keyProblem }),
    queue: (pool) => scheduler.cluster?.queue(pool) ?? null,
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
