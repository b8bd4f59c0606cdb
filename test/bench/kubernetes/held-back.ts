/** What the plan says about those that nothing was done to, as people read it. Pure. */
import type { PlanView } from "../../../schema/api.ts";

export type HeldBack = {
  /** Nodes by reason, with one message of each. */
  waiting: Record<string, { nodes: number; message: string }>;
  /** Of the given nodes, those of which the plan says nothing. */
  silent: string[];
};

export function heldBackOf(plan: PlanView, nodes: ReadonlySet<string>): HeldBack {
  const waiting: HeldBack["waiting"] = {};
  const told = new Set<string>();
  for (const { node_id: id, reason, message } of plan.waits) {
    if (id === null || !nodes.has(id)) continue;
    told.add(id);
    const one = (waiting[reason] ??= { nodes: 0, message });
    one.nodes++;
  }
  for (const { node_id: id } of plan.actions) told.add(id);
  return { waiting, silent: [...nodes].filter((id) => !told.has(id)) };
}

export function formatHeldBack({ waiting }: HeldBack): string {
  const parts = Object.entries(waiting).map(
    ([reason, { nodes, message }]) => `${nodes} for ${reason} ("${message}")`,
  );
  return parts.length === 0 ? "nobody waits" : parts.join("; ");
}
