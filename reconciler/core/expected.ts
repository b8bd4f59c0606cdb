/**
 * How many GPUs a node must have, as far as the control plane knows: its pool's `gpus`, else what
 * its instance type is known to have. The agent is told, compares with what it sees, and names the
 * source in its check. Pure.
 */
import type { Config } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import type { Check, Expected, Report } from "../../schema/report.ts";
import { gpusOfType } from "./instance-type.ts";

/**
 * `null`: nothing is known, and nothing is expected. What was bought outranks what the agent says
 * of itself; an unmanaged node is judged by the pool that it names. A simulated node has
 * the GPUs that it was told to have, whatever its type is called.
 */
export function expectedOf(
  node: Node | null,
  { inventory, simulated }: Pick<Report, "inventory" | "simulated">,
  config: Pick<Config, "pools" | "providers">,
): Expected | null {
  const told = inventory ?? node?.agent?.inventory ?? null;
  const name = node?.pool ?? told?.pool;
  const pool = config.pools.find((one) => one.name === name);
  const own = pool?.gpus ?? null;
  // An operator's own number is the way out where the table below is wrong; 0 expects nothing.
  if (own !== null) return own === 0 ? null : { gpus: own, from: "pool" };
  if (simulated) return null;
  const bought = node?.instance ?? null;
  const provider = config.providers.find((one) => one.name === bought?.provider)?.type;
  const type = bought?.instanceType ?? told?.instance_type ?? "";
  const gpus = gpusOfType(type, bought === null ? (told?.provider ?? "") : (provider ?? ""));
  return gpus === null ? null : { gpus, from: "instance_type" };
}

/**
 * The check of a report, which proves nothing where an agent that has not been told the number yet
 * sees fewer GPUs: the first check of a boot must not verify a node that is short of one. The next
 * check, which the reply asks for, says what is missing.
 */
export function provenCheck(
  node: Node | null,
  report: Report,
  config: Pick<Config, "pools" | "providers">,
): Check | null {
  const { check } = report;
  if (!check || node?.agent?.bootId === report.boot_id) return check ?? null;
  const expected = expectedOf(node, report, config);
  const isShort = expected !== null && check.present_gpus < expected.gpus;
  const isTold = expected !== null && (check.expected_gpus ?? 0) >= expected.gpus;
  return isShort && !isTold ? { ...check, conclusive: false } : check;
}
