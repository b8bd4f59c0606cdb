/**
 * Racks for machines that have none: eight consecutive ones of one provider and zone, which is what
 * one rack of eight-GPU machines holds at most.
 */
import type { SimNode } from "./scenario.ts";

/** Machines in one rack: eight at about ten kilowatts each is what a row's busbar feeds. */
export const RACK_NODES = 8;

/** Fills `rack` where it is empty, counting in the order given. */
export function rackNodes(nodes: readonly SimNode[]): void {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    if (node.rack !== "") continue;
    const row = `${node.provider}/${node.zone}`;
    const count = counts.get(row) ?? 0;
    counts.set(row, count + 1);
    node.rack = `${row}/r${Math.floor(count / RACK_NODES)}`;
  }
}
