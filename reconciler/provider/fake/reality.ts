/**
 * What really exists, from the cloud's journal alone. Tests judge the product by it, never by the
 * product's own state.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type { Instance } from "../../core/provider.ts";
import type { Entry } from "./entry.ts";
import { apply, emptyWorld, isLive } from "./world.ts";

export type Reality = {
  /** Billed now: provisioning, running, stopped or terminating. */
  live: Instance[];
  /** Every terminated instance, also those no longer listed. */
  terminated: Instance[];
  /** Creates that reached the cloud, with any outcome. */
  asks: number;
  /** Accepted, without effect yet. */
  pending: number;
  /** Tokens that made more than one instance, ever. */
  doubles: { token: string; ids: InstanceId[] }[];
  /** Nodes for which two instances were alive at one time. */
  overlaps: { nodeId: string; ids: InstanceId[]; atMs: number }[];
};

/** Folds a journal. */
export function realityOf(entries: Iterable<Entry>): Reality {
  const world = emptyWorld();
  const ended = new Map<InstanceId, Instance>();
  const made = new Map<string, InstanceId[]>();
  const liveOf = new Map<string, Set<InstanceId>>();
  const overlaps: Reality["overlaps"] = [];
  for (const entry of entries) {
    apply(world, entry);
    if (entry.kind === "landed") {
      const { id } = entry.instance;
      const held = world.instances.get(id);
      if (held === undefined) continue;
      made.set(held.token, [...(made.get(held.token) ?? []), id]);
      const live = liveOf.get(held.nodeId) ?? new Set();
      live.add(id);
      liveOf.set(held.nodeId, live);
      if (live.size > 1) overlaps.push({ nodeId: held.nodeId, ids: [...live], atMs: entry.atMs });
    }
    if (entry.kind === "terminated") {
      const held = world.instances.get(entry.id);
      if (held === undefined) continue;
      ended.set(entry.id, held.instance);
      liveOf.get(held.nodeId)?.delete(entry.id);
    }
  }
  const live = [...world.instances.values()].map((held) => held.instance).filter(isLive);
  const doubles = [...made]
    .filter(([, ids]) => ids.length > 1)
    .map(([token, ids]) => ({ token, ids }));
  return {
    live,
    terminated: [...ended.values()],
    asks: world.asks,
    pending: world.pending.size,
    doubles,
    overlaps,
  };
}
