/** NodeNames of pools by slot (`slurm.nodes`): slot i has the i-th name. Pure. */
import type { Config, PoolConfig } from "../../../schema/config.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { expandHostlist } from "./hostlist.ts";

type Named = Pick<PoolConfig, "slurm">;

type Names = { names: readonly string[]; slots: ReadonlyMap<string, number> };

const known = new WeakMap<Named, Names>();

/** Empty if the pool names none; the configuration refuses unsound hostlists. */
export const poolNames = (pool: Named): readonly string[] => namesOf(pool).names;

function namesOf(pool: Named): Names {
  const before = known.get(pool);
  if (before !== undefined) return before;
  const { nodes } = pool.slurm;
  const list = expandHostlist(nodes ?? "", LIMIT.slurmNamesMax);
  const names = list.kind === "ok" ? list.names : [];
  // Of a name that stands twice, the first.
  const slots = new Map(names.map((name, slot) => [name, slot] as const).toReversed());
  const made = { names, slots };
  known.set(pool, made);
  return made;
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
    const slot = namesOf(pool).slots.get(name);
    if (slot !== undefined) return { pool, slot };
  }
  return null;
}
