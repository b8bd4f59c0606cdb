/** NodeNames of pools by slot (`slurm.nodes`): slot i has the i-th name. Pure. */
import type { Config, PoolConfig } from "../../../schema/config.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { expandHostlist } from "./hostlist.ts";

type Named = Pick<PoolConfig, "slurm">;

const known = new WeakMap<Named, readonly string[]>();

/** Empty if the pool names none; the configuration refuses unsound hostlists. */
export function poolNames(pool: Named): readonly string[] {
  const before = known.get(pool);
  if (before !== undefined) return before;
  const { nodes } = pool.slurm;
  const list = expandHostlist(nodes ?? "", LIMIT.slurmNamesMax);
  const names = list.kind === "ok" ? list.names : [];
  known.set(pool, names);
  return names;
}

/** Of each pool that has names. */
export function slotNames(
  pools: readonly (Named & Pick<PoolConfig, "name">)[],
): Map<string, readonly string[]> {
  const named = pools.filter((pool) => poolNames(pool).length > 0);
  return new Map(named.map((pool) => [pool.name, poolNames(pool)]));
}

export type NamedSlot = { pool: PoolConfig; slot: number };

/** The first pool that names the node. */
export function slotOfName({ pools }: Config, name: string): NamedSlot | null {
  for (const pool of pools) {
    const slot = poolNames(pool).indexOf(name);
    if (slot >= 0) return { pool, slot };
  }
  return null;
}
