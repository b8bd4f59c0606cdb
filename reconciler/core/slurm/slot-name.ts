/** NodeNames of pools by slot (`slurm.nodes`): slot i has the i-th name. Pure. */
import type { Config, PoolConfig } from "../../../schema/config.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { expandHostlist } from "./hostlist.ts";

const known = new WeakMap<PoolConfig, readonly string[]>();

/** Empty if the pool names none, or too many. */
export function poolNames(pool: PoolConfig): readonly string[] {
  const before = known.get(pool);
  if (before !== undefined) return before;
  const { nodes } = pool.slurm;
  const list = nodes === null ? null : expandHostlist(nodes, LIMIT.slurmNamesMax);
  const names = list?.kind === "ok" ? list.names : [];
  known.set(pool, names);
  return names;
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
