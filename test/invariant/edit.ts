/**
 * I15: a machine whose agent reports it healthy is ended only by a smaller size of its own pool, a
 * person's order, its cloud, evidence, a removed pool, or as the second machine of a slot, one more
 * than its pool wants, or quarantined hardware; never by any other edit of the configuration or a
 * restart.
 */
import { isLeaving, type Node } from "../../schema/node.ts";
import { type Checker, type Commit, type Observation, slotOf } from "../world/observation.ts";

type Config = Observation["config"];

export function endedForAReason(): Checker {
  return {
    id: "I15",
    atCommit: true,
    look(seen) {
      return seen.commits.flatMap((commit) =>
        commit.change.operations.flatMap(({ payload, state, node: id }) => {
          const node = commit.nodes.get(id);
          if (payload.kind !== "terminate" || state !== "asked" || node === undefined) return [];
          const why = whyNot(node, commit, seen.config);
          const message = `the end of ${id} is ordered: ${why}`;
          return why === null ? [] : [{ id: "I15", message }];
        }),
      );
    },
  };
}

/** Why nothing permits the end of the node; `null` if something does. */
function whyNot(node: Node, commit: Commit, config: Config): string | null {
  const { nodes } = commit;
  const holder = nodes
    .values()
    .find((other) => other !== node && isSame(node, other) && !isLeaving(other.phase));
  if (holder !== undefined) return `its instance is ${holder.id}'s`;
  if (node.order !== null || !isHealthy(node) || node.phase.kind !== "terminating") return null;
  const { purpose } = node.phase;
  if (purpose === "surplus") {
    const slot = slotOf(node);
    const isSecond = nodes.values().some((one) => one.id !== node.id && slotOf(one) === slot);
    if (isSecond || isFull(node, commit, config)) return null;
    return `as surplus, and no other machine is in slot ${slot}`;
  }
  if (purpose !== "lost" && purpose !== "replace") return null;
  const isGone = ["terminated", "stopped", "terminating"].includes(node.instance?.state ?? "");
  // A session keeps the evidence for which the repair began.
  if (isGone || node.session !== null) return null;
  return `${purpose}, without evidence`;
}

/** Its pool has every machine that it wants without this one; one that is sick gets its repair. */
function isFull(node: Node, { nodes, change, poolsBefore }: Commit, config: Config): boolean {
  const { pool } = node;
  if (pool === null) return false;
  const least = config.pools.find(({ name }) => name === pool)?.scaling.minNodes;
  const state = change.pools.find(({ name }) => name === pool) ?? poolsBefore.get(pool);
  const others = nodes.values().filter((one) => one !== node && one.pool === pool);
  const held = new Set(others.filter((one) => !isLeaving(one.phase)).map(slotOf));
  const wanted = state?.desired ?? least;
  return wanted !== undefined && held.size >= wanted;
}

function isSame({ instance }: Node, other: Node): boolean {
  return instance !== null && other.phase.kind !== "gone" && other.instance?.id === instance.id;
}

function isHealthy({ agent, health }: Node): boolean {
  return agent !== null && health.silentSince === null && health.verdict === "healthy";
}
