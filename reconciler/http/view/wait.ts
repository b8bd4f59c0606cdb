/** Groups equal waits of the plan: one full budget delays hundreds of nodes. Pure. */
import type { WaitView } from "../../../schema/api.ts";
import type { WaitReason } from "../../../schema/plan.ts";

export type WaitGroup = {
  pool: string | null;
  reason: string;
  message: string;
  /** Empty: the whole pool waits. */
  nodes: string[];
  /** The first decision of any of them. */
  until: string | null;
};

/** What the waits of a group share. */
export function waitKeyOf(wait: Pick<WaitGroup, "pool" | "reason" | "message" | "nodes">): string {
  const { pool, reason, message, nodes } = wait;
  return JSON.stringify([pool, reason, message, nodes.length === 0]);
}

/** Waits that a person can end come first. */
const FIRST: readonly WaitReason[] = [
  "human",
  "blind",
  "breaker",
  "budget",
  "spend",
  "bootstrap_guard",
  "other_fleet",
];

export function groupWaits(waits: readonly WaitView[]): WaitGroup[] {
  const groups = Map.groupBy(waits, ({ node_id: node, ...wait }) =>
    waitKeyOf({ ...wait, nodes: node === null ? [] : [node] }),
  );
  return sortWaits(
    [...groups.values()].flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const { pool, reason, message } = first;
      const until = group.flatMap((wait) => wait.until ?? []).sort()[0] ?? null;
      return [{ pool, reason, message, nodes: group.flatMap((one) => one.node_id ?? []), until }];
    }),
  );
}

export function sortWaits<T extends { reason: string }>(groups: readonly T[]): T[] {
  const rank = ({ reason }: T): number => {
    const at = FIRST.findIndex((one) => one === reason);
    return at === -1 ? FIRST.length : at;
  };
  return [...groups].sort((a, b) => rank(a) - rank(b));
}
