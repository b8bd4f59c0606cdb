/**
 * Folds another configuration into the durable fleet: states of new pools, permissions to remove
 * pools, and an event that names what is in force. Pure except for the unit of work.
 */
import { countOf } from "../../../schema/article.ts";
import type { Config, PoolConfig, ProviderConfig } from "../../../schema/config.ts";
import type { PoolName } from "../../../schema/id.ts";
import { factKey, factsOf } from "../../../schema/safety.ts";
import { poolEvent } from "../event-draft.ts";
import type { Fleet } from "../fleet.ts";
import {
  formatHolding,
  type Holding,
  isHeld,
  orphanedPools,
  providersFor,
  strandedProviders,
} from "../removal.ts";
import { movedSlot } from "../slurm/match.ts";
import { slotNames } from "../slurm/slot-name.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { newPoolState } from "./new-pool.ts";

export type NextConfig = {
  running: Config;
  next: Config;
  /** Digests of `next` and of its policy. */
  hash: string;
  policy: string;
  /** Whether the nodes of pools that `next` lacks may be ended. */
  removesPools: boolean;
  /** For a pool whose last configuration is not known. */
  defaultPool(name: PoolName): PoolConfig | null;
  by: string;
  now: number;
};

/** Why the configuration must not take effect, as sentences; empty = it may. */
export function refuseConfig(
  fleet: Fleet,
  { running, next, removesPools }: Pick<NextConfig, "running" | "next" | "removesPools">,
): string[] {
  const orphans = removalsIn(fleet, next);
  const known = new Set(running.pools.map(({ name }) => name));
  const lost = orphans.filter(({ pool }) => known.has(pool));
  const removed = removesPools ? [] : lost.map(sayRemoval);
  const leaving = new Set<string>(removesPools ? orphans.map(({ pool }) => pool) : []);
  for (const { pool } of factsOf(fleet.facts, "removed_pool")) leaving.add(pool);
  const stranded = strandedProviders(fleet, running, next, leaving);
  return [...removed, ...stranded, ...movedNames(fleet, next)];
}

/** Live nodes that another order of a pool's NodeNames would bind to other names. */
function movedNames({ nodes }: Fleet, { pools, slurm }: Config): string[] {
  if (!slurm.enabled) return [];
  const names = { aliases: slurm.nodeAliases, slots: slotNames(pools) };
  const live = [...nodes.values()].filter(({ phase }) => phase.kind !== "gone");
  const known = new Set(pools.map(({ name }) => name));
  const all = live
    .filter(({ pool }) => pool !== null && known.has(pool))
    .flatMap((node) => movedSlot(node, names) ?? []);
  const more = all.length - MOVED_SHOWN_MAX;
  return more > 0 ? [...all.slice(0, MOVED_SHOWN_MAX), `and ${countOf(more, "more node")}`] : all;
}

const MOVED_SHOWN_MAX = 5;

function sayRemoval(holding: Holding): string {
  const end = "they would be drained and terminated: allow it with --allow-pool-removal";
  return `${formatHolding(holding)}, is missing from the file; ${end}`;
}

/** Pools with nodes that `next` lacks, without those whose removal is permitted already. */
function removalsIn(fleet: Fleet, next: Config): Holding[] {
  return orphanedPools(fleet, next).filter(({ pool }) => !fleet.facts.has(removalKey(pool)));
}

/** Whether no node of the removed pool is left at a cloud. */
export function isEmptied({ nodes }: Pick<Fleet, "nodes">, fact: { pool: string }): boolean {
  return !nodes.values().some((node) => node.pool === fact.pool && isHeld(node));
}

function removalKey(pool: string): string {
  const about = { by: "", at: 0, config: null, providers: [] };
  return factKey({ kind: "removed_pool", pool, ...about });
}

export function foldConfig(fleet: Fleet, from: NextConfig, work: UnitOfWork): void {
  const { next, now, by, hash, policy } = from;
  for (const fact of factsOf(fleet.facts, "removed_pool")) {
    const isBack = next.pools.some(({ name }) => name === fact.pool);
    if (isBack || isEmptied(fleet, fact)) work.dropFact(factKey(fact));
  }
  for (const { name, scaling } of next.pools) {
    if (work.pool(name) === null) work.putPool(newPoolState(name, scaling.minNodes, now));
  }
  if (from.removesPools) {
    for (const holding of removalsIn(fleet, next)) removePool(fleet, holding, from, work);
  }
  const before = factsOf(fleet.facts, "config")[0] ?? null;
  const isSame = before?.hash === hash && before.policy === policy;
  if (!isSame) work.putFact({ kind: "config", hash, policy, at: now, by });
  if (before?.hash !== hash) {
    const was = before === null ? "" : `, was ${before.hash} since ${iso(before.at)}`;
    const message = `configuration ${hash} is in force, by ${by}${was}`;
    work.tell([poolEvent(null, now, "config.loaded", message)]);
  }
  if (before?.policy !== policy) {
    work.tell([poolEvent(null, now, "policy.loaded", `health policy ${policy} is in force`)]);
  }
}

function removePool(fleet: Fleet, holding: Holding, from: NextConfig, work: UnitOfWork): void {
  const { running, by, now } = from;
  const { pool } = holding;
  const config = running.pools.find(({ name }) => name === pool) ?? from.defaultPool(pool);
  const providers: ProviderConfig[] = providersFor(fleet, pool, running);
  work.putFact({ kind: "removed_pool", pool, by, at: now, config, providers });
  const state = work.pool(pool) ?? newPoolState(pool, 0, now);
  work.putPool({ ...state, desired: 0, desiredBy: "config", desiredAt: now });
  const message = `removed from the configuration by ${by}: its nodes are drained and terminated`;
  work.tell([poolEvent(pool, now, "pool.size", `${formatHolding(holding)}; ${message}`)]);
}

const iso = (at: number): string => new Date(at).toISOString();
