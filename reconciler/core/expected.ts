/**
 * The number of GPUs that a node must have: its pool's `gpus`, else that of a known instance type.
 * The agent receives it, compares it with what it sees, and names the source in its check. Pure.
 */
import type { Config } from "../../schema/config.ts";
import type { Node } from "../../schema/node.ts";
import type { Check, Expected, Report } from "../../schema/report.ts";
import { gpusOfType } from "./instance-type.ts";

/**
 * `null` = nothing is expected. A purchase outranks the agent's inventory; an unmanaged node is
 * judged by the pool that it names. A simulated node ignores its instance type.
 */
export function expectedOf(
  node: Node | null,
  { inventory, simulated }: Pick<Report, "inventory" | "simulated">,
  config: Pick<Config, "pools" | "providers">,
): Expected | null {
  const reported = inventory ?? node?.agent?.inventory ?? null;
  const name = node?.pool ?? reported?.pool;
  const pool = config.pools.find((one) => one.name === name);
  const own = pool?.gpus ?? null;
  // The operator's number overrides the table; 0 explains a node without GPUs.
  if (own !== null) return { gpus: own, from: "pool" };
  if (simulated) return null;
  const bought = node?.instance ?? null;
  const provider = config.providers.find((one) => one.name === bought?.provider)?.type;
  const type = bought?.instanceType ?? reported?.instance_type ?? "";
  const gpus = gpusOfType(type, bought === null ? (reported?.provider ?? "") : (provider ?? ""));
  return gpus === null ? null : { gpus, from: "instance_type" };
}

/**
 * The report's check. It is inconclusive if the agent does not know the expected number yet and
 * sees fewer GPUs: the first check of a boot must not verify such a node. The next check reports
 * the missing GPUs.
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
  const isSent = expected !== null && (check.expected_gpus ?? 0) >= expected.gpus;
  return isShort && !isSent ? { ...check, conclusive: false } : check;
}
