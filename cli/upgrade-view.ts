/**
 * Formats an upgrade of agents: a summary line and one row for each node. Pure.
 */
import type { UpgradeNodeView, UpgradeView } from "../schema/upgrade.ts";
import { formatAge } from "./age.ts";
import { plain, formatTable, type Style } from "./table.ts";

/** True if the upgrade will not proceed by itself. */
export function isUpgradeOver({ upgrade }: UpgradeView): boolean {
  if (upgrade === null) return true;
  if (upgrade.state === "running") return false;
  // Stopped without rollback: no node changes any more.
  if (upgrade.state !== "stopped" || !upgrade.rollback) return true;
  const isAny = (...states: string[]) => upgrade.nodes.some(({ state }) => states.includes(state));
  // A rollback with stranded nodes does not continue by itself.
  if (isAny("stranded") && !isAny("told", "checking", "returning")) return true;
  return !isAny("told", "checking", "upgraded", "failed", "returning");
}

/** True if only cordoned, draining or repairing nodes are left. */
export function isOnlyWaiting({ upgrade }: UpgradeView): boolean {
  const busy = ["told", "checking", "next"];
  return upgrade !== null && !upgrade.nodes.some(({ state }) => busy.includes(state));
}

/** `v1.1.0: running, 3 of 10 nodes have it`. */
export function formatUpgradeLine({ upgrade }: UpgradeView): string {
  if (upgrade === null) return "No upgrade of agents was ordered yet";
  const { have, paused, state, to, total, why } = upgrade;
  const said = why ?? (paused === null ? null : `no agent is upgraded now: ${paused}`);
  const more = said === null ? "" : `: ${plain(said)}`;
  const nodes = total === 1 ? "node has" : "nodes have";
  return `Agents to ${plain(to)}: ${state}, ${have} of ${total} ${nodes} it${more}`;
}

export function formatUpgrade(view: UpgradeView, nowMs: number, style: Style): string {
  const line = `${formatUpgradeLine(view)}\n`;
  if (view.upgrade === null || view.upgrade.nodes.length === 0) return line;
  const { by, max_unavailable: share, nodes } = view.upgrade;
  const head = `Ordered by ${plain(by)}, at most ${share} at once\n\n`;
  const rows = nodes.map((node) => rowOf(node, nowMs));
  return `${line}${head}${formatTable(["NODE", "VERSION", "STATE", "SINCE", "WHY"], rows, style)}`;
}

function rowOf({ node_id, version, state, since, why }: UpgradeNodeView, nowMs: number): string[] {
  const age = since === null ? "" : formatAge(since, nowMs);
  return [node_id, version, state, age, why ?? ""];
}
