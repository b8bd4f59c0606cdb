/** Problems between the parts of an inventory of a Slurm cluster, which slurmctld would die of. */
import type { SlurmInventory } from "../deploy/slurm/inventory.ts";
import { hasEqualGpus, type SlurmLayout } from "../deploy/slurm/render.ts";
import { quoteShort } from "../reconciler/config/problem.ts";
import type { Section } from "../reconciler/config/section.ts";
import type { NamedPool } from "./slurm-inventory-pool.ts";

/** slurmctld's own bound is 65,536 (`MAX_SLURM_NODES`). */
export const NODES_MAX = 65_000;
/** Each slurmd of a single host has a port of its own. */
const ONE_HOST_MAX = 10_000;

export function checkPools(
  root: Section,
  inventory: SlurmInventory,
  pools: readonly NamedPool[],
  layout: SlurmLayout,
): void {
  refuseRepeats(pools);
  const nodes = new Map<string, string>();
  for (const { pool, section, places } of pools) {
    for (const [name, { at, path }] of places) {
      const other = nodes.get(name);
      nodes.set(name, other ?? pool.name);
      if (other === undefined || other === pool.name) continue;
      const message = `node ${quoteShort(name)} is in the pool ${other} already`;
      section.problems.error(at, path, "repeat", message);
    }
    if (pool.state === "cloud" && inventory.programs === null) {
      const message = "cloud needs `programs`, the folder with slurm-resume and slurm-suspend";
      section.fail("state", "required", message);
    }
  }
  const isEqual = hasEqualGpus(pools.map(({ pool }) => pool));
  for (const { pool, section } of pools) {
    if (pool.gpus !== null && pool.nodes.length === 0 && !isEqual) {
      const hint = "give all pools the same `gpus`, or list its nodes";
      const message = "gres.conf names nodes, and machines that join this pool are not in it";
      section.warn("gpus", "gpus", message, hint);
    }
    // Slurm keeps node sets, which pools are there, and nodes in one space of names.
    if (nodes.has(pool.name)) section.fail("name", "repeat", `a node is called ${pool.name} too`);
  }
  const max = layout === "single-host" ? ONE_HOST_MAX : NODES_MAX;
  if (nodes.size > max) root.fail("pools", "limit", `have ${nodes.size} nodes, ${max} at most`);
}

function refuseRepeats(pools: readonly NamedPool[]): void {
  const names = new Set<string>();
  for (const { pool, section } of pools) {
    if (pool.name !== "" && names.has(pool.name)) {
      section.fail("name", "repeat", `the pool ${quoteShort(pool.name)} is listed twice`);
    }
    names.add(pool.name);
  }
}
