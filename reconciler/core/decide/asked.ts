/**
 * Lists what the next plan may read of the world, so that the runtime observes nothing else: ten
 * thousand serving nodes in pools of the right size need no look at their work. Pure. It may list
 * more than the plan reads, never less (`asked.test.ts`).
 */
import type { Config } from "../../../schema/config.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import { desiredOf, type Fleet, type Sight } from "../fleet.ts";
import { keyPathOf } from "./bootstrap.ts";

export type Asked = {
  /** Nodes whose work counts. */
  work: NodeId[];
  /** Nodes of pools that may shrink: the least loaded leave first. */
  load: NodeId[];
  /** Pools whose queue counts. */
  queues: PoolName[];
  /** Private keys that set-ups log in with. */
  keys: Set<string>;
};

/** `isSizing`: autoscalers are evaluated before the plan is made, and may make pools smaller. */
export function askedOf(
  fleet: Fleet,
  config: Config,
  providers: Sight["providers"],
  isSizing: boolean,
): Asked {
  const asked: Asked = { work: [], load: [], queues: [], keys: new Set() };
  const live = new Map<string | null, number>();
  for (const { pool, phase } of fleet.nodes.values()) {
    if (phase.kind !== "gone") live.set(pool, (live.get(pool) ?? 0) + 1);
  }
  const shrinking = new Set<string | null>();
  for (const pool of config.pools) {
    const path = keyPathOf(pool, { providers });
    if (path !== null) asked.keys.add(path);
    const isSized = isSizing && pool.scaling.autoscaler !== null;
    if (isSized) asked.queues.push(pool.name);
    // An upper bound of what may leave: everything that is not gone counts.
    const isOver = (live.get(pool.name) ?? 0) > desiredOf(pool, fleet.pools.get(pool.name));
    if (isSized || isOver) shrinking.add(pool.name);
  }
  for (const { id, pool, phase, slurm } of fleet.nodes.values()) {
    const isEnding = phase.kind === "terminating" && slurm !== null;
    const isShrinking = shrinking.has(pool) && phase.kind !== "gone";
    if (isShrinking) asked.load.push(id);
    if (isShrinking || isEnding || ASKED.has(phase.kind)) asked.work.push(id);
  }
  return asked;
}

/** Phases in which a node may end or fail as soon as nothing runs on it. */
const ASKED = new Set<string>(["requested", "booting", "bootstrapping", "verifying", "draining"]);
