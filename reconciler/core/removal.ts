/**
 * Pools and providers that a configuration lacks while they still have nodes. A removed pool stays
 * in the active configuration with a maximum of 0 until its last bought node is gone, so that its
 * own drain settings apply. Pure.
 */
import * as v from "valibot";
import { type Config, PoolConfig, ProviderConfig } from "../../schema/config.ts";
import type { PoolName } from "../../schema/id.ts";
import type { Node } from "../../schema/node.ts";
import { type Fact, type FactOf, factsOf } from "../../schema/safety.ts";
import type { Fleet } from "./fleet.ts";
import type { Reach } from "./provider.ts";
import { strandedIn } from "./reach.ts";
import { sayUnreached } from "./say/loss.ts";

/** What a pool still has at a cloud. */
export type Holding = {
  pool: PoolName;
  nodes: number;
  /** US dollars an hour of the nodes with a known price, and how many have none. */
  perHour: number;
  unpriced: number;
};

/** Whether the node has an instance, or a call for one may have been sent. */
export function isHeld({ phase, instance, operation }: Node): boolean {
  return phase.kind !== "gone" && (instance !== null || operation !== null);
}

/** Pools with such nodes that the configuration lacks, by name. */
export function orphanedPools({ nodes }: Pick<Fleet, "nodes">, config: Config): Holding[] {
  const known = new Set<string>(config.pools.map(({ name }) => name));
  const found = new Map<PoolName, Holding>();
  for (const node of nodes.values()) {
    const { pool, instance } = node;
    if (pool === null || known.has(pool) || !isHeld(node)) continue;
    const one = found.get(pool) ?? { pool, nodes: 0, perHour: 0, unpriced: 0 };
    one.nodes += 1;
    one.perHour += instance?.pricePerHour ?? 0;
    if ((instance?.pricePerHour ?? null) === null) one.unpriced += 1;
    found.set(pool, one);
  }
  return [...found.values()].sort((a, b) => (a.pool < b.pool ? -1 : 1));
}

/** `pool train: 3 nodes, $89.70 an hour`. */
export function formatHolding({ pool, nodes, perHour, unpriced }: Holding): string {
  const count = nodes === 1 ? "1 node" : `${nodes} nodes`;
  const cost = unpriced === nodes ? "price unknown" : `$${perHour.toFixed(2)} an hour`;
  const more = unpriced > 0 && unpriced < nodes ? `, ${unpriced} without a known price` : "";
  return `pool ${pool}: ${count}, ${cost}${more}`;
}

/**
 * Providers of live nodes that the next configuration lacks or gives another type. The providers of
 * `leaving` pools are kept with those pools, so that only their type counts.
 */
export function strandedProviders(
  fleet: Fleet,
  running: Config,
  next: Config,
  leaving: ReadonlySet<string>,
): string[] {
  const typeOf = ({ providers }: Config, name: string) =>
    providers.find((one) => one.name === name)?.type ?? null;
  const counts = new Map<string, number>();
  for (const node of fleet.nodes.values()) {
    for (const name of providersOf(node, fleet)) {
      if (leaving.has(node.pool ?? "") && typeOf(next, name) === null) continue;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return [...counts].flatMap(([name, count]) => {
    const [before, after] = [typeOf(running, name), typeOf(next, name)];
    if (before === null || before === after) return [];
    const what = after === null ? "is missing" : `changes its type from ${before} to ${after}`;
    return [`provider ${name} ${what}, and ${sayStill(count)}`];
  });
}

function providersOf(node: Node, { operations }: Fleet): Set<string> {
  const names = new Set<string>();
  if (!isHeld(node)) return names;
  if (node.instance !== null) names.add(node.instance.provider);
  const open = node.operation === null ? undefined : operations.get(node.operation);
  if (open !== undefined && "provider" in open.payload) names.add(open.payload.provider);
  return names;
}

/** Nodes whose provider would no longer reach their machines, and that the running one reaches. */
export function losesReach(
  fleet: Fleet,
  running: ReadonlyMap<string, { reach: Reach }>,
  next: ReadonlyMap<string, { reach: Reach }>,
): string[] {
  const before = new Set(strandedIn(fleet, running).map(({ why }) => sayUnreached(why)));
  return strandedIn(fleet, next)
    .map(({ why, nodes }) => ({ why: sayUnreached(why), nodes }))
    .filter(({ why }) => !before.has(why))
    .map(({ why, nodes }) => `${why}, and ${sayStill(nodes.length)}`);
}

function sayStill(count: number): string {
  const nodes = count === 1 ? "1 node is" : `${count} nodes are`;
  return `${nodes} still there: keep it until they are gone`;
}

/** The providers that the pool's nodes need until they are gone. */
export function providersFor(fleet: Fleet, pool: PoolName, configs: Config): ProviderConfig[] {
  const names = new Set<string>();
  for (const node of fleet.nodes.values()) {
    if (node.pool !== pool) continue;
    for (const name of providersOf(node, fleet)) names.add(name);
  }
  return configs.providers.filter(({ name }) => names.has(name));
}

/** The configuration with the pools that are being removed, and the providers of their nodes. */
export function withRemoved(config: Config, facts: ReadonlyMap<string, Fact>): Config {
  const pools = [...config.pools];
  const providers = [...config.providers];
  for (const fact of factsOf(facts, "removed_pool")) {
    if (config.pools.some(({ name }) => name === fact.pool)) continue;
    const pool = removedPool(fact);
    if (pool !== null) pools.push(pool);
    for (const given of fact.providers) {
      const read = v.safeParse(ProviderConfig, given);
      if (!read.success || providers.some(({ name }) => name === read.output.name)) continue;
      providers.push(read.output);
    }
  }
  return pools.length === config.pools.length ? config : { ...config, pools, providers };
}

/** `null` if another version wrote it: then its nodes stay as they are. */
function removedPool({ config }: FactOf<"removed_pool">): PoolConfig | null {
  const read = v.safeParse(PoolConfig, config);
  if (!read.success) return null;
  const scaling = { ...read.output.scaling, minNodes: 0, maxNodes: 0, autoscaler: null };
  return { ...read.output, providers: [], scaling };
}
