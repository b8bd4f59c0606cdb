/**
 * How many GPUs a node must have, as far as the control plane knows: its pool's `gpus`, else what
 * its instance type is known to have. The agent is told, compares with what it sees, and names the
 * source in its check. Pure.
 */
import type { Config } from "../schema/config.ts";
import type { Node } from "../schema/node.ts";
import type { Expected, Inventory } from "../schema/report.ts";
import { gpusOfType } from "./config/instance-type.ts";

/**
 * `null`: nothing is known, and nothing is expected. What was bought outranks what the agent says
 * of itself; a node that nobody bought is judged by the pool that it names.
 */
export function expectedOf(
  node: Node | null,
  inventory: Inventory | null,
  config: Pick<Config, "pools" | "providers">,
): Expected | null {
  const told = inventory ?? node?.agent?.inventory ?? null;
  const name = node?.pool ?? told?.pool;
  const pool = config.pools.find((one) => one.name === name);
  const own = pool?.gpus ?? null;
  // An operator's own number is the way out where the table below is wrong; 0 expects nothing.
  if (own !== null) return own === 0 ? null : { gpus: own, from: "pool" };
  const bought = node?.instance ?? null;
  const provider = config.providers.find((one) => one.name === bought?.provider)?.type;
  const type = bought?.instanceType ?? told?.instance_type ?? "";
  const gpus = gpusOfType(type, bought === null ? (told?.provider ?? "") : (provider ?? ""));
  return gpus === null ? null : { gpus, from: "instance_type" };
}
