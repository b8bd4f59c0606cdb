/**
 * Carries out requests to set, grow or lower a pool's size; `removal.ts` removes nodes by name.
 * Pure: a request becomes everything that one transaction writes, or a refusal that changes
 * nothing.
 */
import type { ErrorCode } from "../../../schema/api.ts";
import type { PoolConfig } from "../../../schema/config.ts";
import type { EventDraft, EventKind } from "../../../schema/event.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import { fills, slotOf } from "./candidate.ts";
import { desiredOf } from "../fleet.ts";

export type Asking = {
  pool: PoolConfig;
  state: PoolState;
  /** Every node of the pool. */
  nodes: readonly Node[];
  /** Name of the caller. */
  by: string;
  /** May be empty. */
  reason: string;
  /** Wall milliseconds. */
  now: number;
};

export type Done = { kind: "done"; state: PoolState; nodes: Node[]; events: EventDraft[] };
export type Refused = {
  kind: "refused";
  code: ErrorCode;
  message: string;
  details: Record<string, unknown>;
};
export type Resized = Done | Refused;

export function refusal(
  code: ErrorCode,
  message: string,
  details: Record<string, unknown> = {},
): Refused {
  return { kind: "refused", code, message, details };
}

/** The refusal of a size outside the pool's bounds, or `null`. */
export function refuseBounds({ pool }: Asking, nodes: number): Refused | null {
  const { minNodes: min, maxNodes: max } = pool.scaling;
  if (nodes >= min && nodes <= max) return null;
  const message = `${nodes} is outside ${min}…${max} of pool ${pool.name}`;
  return refusal("out_of_bounds", message, { min_nodes: min, max_nodes: max });
}

/** Sets the size, or grows by `by`; with `clamp` a size outside the bounds becomes the nearest. */
export function resize(
  asking: Asking,
  to: { nodes: number } | { by: number },
  clamp: boolean,
): Resized {
  const { minNodes, maxNodes } = asking.pool.scaling;
  const nodes = "nodes" in to ? to.nodes : desiredOf(asking.pool, asking.state) + to.by;
  const refused = clamp ? null : refuseBounds(asking, nodes);
  if (refused !== null) return refused;
  return sized(asking, Math.min(Math.max(nodes, minNodes), maxNodes), [], "");
}

/** The pool with its new size and the event; `how` is empty for an ordinary change. */
export function sized(
  asking: Asking,
  desired: number,
  nodes: Node[],
  how: string,
  events: EventDraft[] = [],
): Done {
  const { state, by, now, reason } = asking;
  const words = [`wanted size ${state.desired} → ${desired}`, how, reason].filter((w) => w !== "");
  const changed = eventOf(asking, "pool.size", null, words.join(": "));
  const size = { desired, desiredBy: `human:${by}`, desiredAt: now };
  return { kind: "done", state: { ...state, ...size }, nodes, events: [changed, ...events] };
}

export function eventOf(
  { pool, by, now }: Asking,
  kind: EventKind,
  node: Node | null,
  message: string,
): EventDraft {
  return {
    at: now,
    kind,
    node: node?.id ?? null,
    pool: pool.name,
    session: node?.session?.id ?? null,
    actor: `human:${by}`,
    message,
  };
}

/**
 * Lowers the wanted size to `to` by cancelling nodes that were never requested from a cloud. If
 * that is not enough, the request is refused: this removes no node that exists or may exist.
 */
export function lower(asking: Asking, to: number): Resized {
  const { pool, state, nodes } = asking;
  const desired = desiredOf(pool, state);
  if (to > desired) {
    const message = `pool ${pool.name} wants ${desired} nodes: ${to} is not lower`;
    return refusal("conflict", message, { desired });
  }
  const refused = refuseBounds(asking, to);
  if (refused !== null) return refused;
  const there = new Set<number | string>();
  for (const node of nodes) if (isThere(node)) there.add(slotOf(node));
  if (to < there.size) {
    const message =
      `pool ${pool.name} has ${there.size} nodes, or has asked for them: its target cannot be ` +
      `lowered to ${to} without giving up nodes; remove them by name`;
    return refusal("conflict", message, { desired, existing: there.size });
  }
  const open = nodes.filter((node) => isCancellable(node) && !there.has(slotOf(node)));
  const slots = new Set(open.map(slotOf));
  const excess = Math.max(0, there.size + slots.size - to);
  // The newest first: the oldest request is the nearest to be fulfilled.
  const newest = [...slots].sort((a, b) => newestIn(open, b) - newestIn(open, a));
  const given = new Set(newest.slice(0, excess));
  const cancelled = open.filter((node) => given.has(slotOf(node)));
  const why = `the target of pool ${pool.name} was lowered before anything was bought`;
  return sized(
    asking,
    to,
    cancelled.map((node) => cancel(node, asking.now)),
    "only what is not there yet",
    cancelled.map((node) => eventOf(asking, "node.terminated", node, why)),
  );
}

/** Ends a node that was wanted and never requested from a cloud. */
export function cancel(node: Node, now: number): Node {
  return { ...node, phase: { kind: "gone", since: now, purpose: "scale_down" } };
}

/** No cloud was asked for it, or each one refused. */
export function isCancellable({ phase, operation, instance }: Node): boolean {
  return phase.kind === "requested" && operation === null && instance === null;
}

/** Whether the node exists and counts for the pool's size, also while it is being replaced. */
function isThere(node: Node): boolean {
  return fills(node) && !isCancellable(node);
}

function newestIn(nodes: readonly Node[], slot: number | string): number {
  return Math.max(...nodes.filter((node) => slotOf(node) === slot).map((node) => node.gen));
}
