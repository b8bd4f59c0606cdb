/**
 * Removes named nodes and lowers the pool's size by as many slots in one transaction. Pure. A named
 * node gets the cordon of a scale-down, which the plan takes first, and then leaves like any other.
 * All or none: if one node cannot be removed now, or another node would have to leave as well, the
 * request is refused. A node that is leaving already lowers the size only once.
 */
import type { Node } from "../../../schema/node.ts";
import type { Operation } from "../../../schema/operation.ts";
import { unreachable } from "../../../schema/unreachable.ts";
import { candidatesOf, fills, slotOf } from "./candidate.ts";
import { desiredOf, isUnbought, type Sight } from "../fleet.ts";
import {
  cancel,
  eventOf,
  isCancellable,
  refusal,
  refuseBounds,
  sized,
  type Asking,
  type Done,
  type Refused,
} from "./resize.ts";

type Removal = Asking & {
  sight: Sight;
  operation(id: NonNullable<Node["operation"]>): Operation | null;
};

type Answer =
  | { kind: "removed"; node: Node }
  /** It is leaving already, and the size no longer counts it. */
  | { kind: "already" }
  | Refused;

export type Removed = Refused | (Done & { removed: Node[]; already: Node[] });

/** `named` are nodes of any pool, each once. */
export function remove(asking: Removal, named: readonly Node[]): Removed {
  const { pool, state, nodes, sight } = asking;
  const desired = desiredOf(pool, state);
  const dearestFirst = pool.strategy === "cost";
  const wantedAt = state.desiredAt;
  const candidates = candidatesOf(nodes, desired, sight, { wantedAt, dearestFirst });
  const removed: Node[] = [];
  const already: Node[] = [];
  for (const node of named) {
    const answer = judge(node, asking, candidates.has(node.id));
    if (answer.kind === "refused") return answer;
    if (answer.kind === "already") already.push(node);
    else removed.push(answer.node);
  }
  if (removed.length === 0) {
    return { kind: "done", state, nodes: [], events: [], removed, already };
  }
  const size = desired - new Set(removed.map(slotOf)).size;
  const refused = refuseBounds(asking, size) ?? refuseOthers(asking, removed, candidates, size);
  if (refused !== null) return refused;
  const before = new Map(nodes.map((node) => [node.id, node]));
  const events = removed.flatMap((node) => {
    const was = before.get(node.id);
    const words = [`remove from pool ${pool.name}`, asking.reason].filter((one) => one !== "");
    const issued = eventOf(asking, "command.issued", node, words.join(": "));
    if (node.phase.kind === "gone") {
      return [issued, eventOf(asking, "node.terminated", node, "nothing was bought yet")];
    }
    const marked = was?.cordon.product === null && was.cordon.human === null;
    const why = node.cordon.product?.why ?? "";
    return marked && why !== "" ? [issued, eventOf(asking, "node.cordoned", node, why)] : [issued];
  });
  const names = removed.map((node) => node.id).join(", ");
  return {
    ...sized(asking, size, removed, `removed by name: ${names}`, events),
    removed,
    already,
  };
}

function judge(node: Node, asking: Removal, isCandidate: boolean): Answer {
  const { pool, now } = asking;
  const { phase } = node;
  const conflict = (why: string): Refused => {
    return refusal("conflict", `node ${node.id} ${why}`, { node_id: node.id });
  };
  if (node.pool !== pool.name) {
    return conflict(node.pool === null ? "is of no pool" : `is of pool ${node.pool}`);
  }
  if (isUnbought(node)) return conflict("was not bought by this fleet: drain it, or forget it");
  if (node.slot === null) return conflict("has no place in the pool");
  const operation = node.operation === null ? null : asking.operation(node.operation);
  const purpose = "scale_down" as const;
  const marking = operation?.payload.kind === "cordon" || operation?.payload.kind === "uncordon";
  switch (phase.kind) {
    case "gone":
      if (phase.purpose === "scale_down") return { kind: "already" };
      return refusal("gone", `node ${node.id} is gone, and its place was filled again`, {
        node_id: node.id,
      });
    case "draining":
    case "terminating":
      if (!fills(node)) return { kind: "already" };
      if (occupiedByOther(node, asking.nodes)) return conflict("leaves, and another has its place");
      return {
        kind: "removed",
        node: overtake({ ...node, phase: { ...phase, purpose } }, operation),
      };
    case "repairing":
      return conflict(`is ${phase.kind}: it cannot be given up before that ends`);
    case "held": {
      if (node.cordon.product === null && node.cordon.human === null) return conflict("is held");
      const deadlineAt = pool.drain.timeoutMs === 0 ? 0 : now + pool.drain.timeoutMs;
      const begun = { kind: "draining", since: now, deadlineAt, drainedAt: null } as const;
      const leaving = { ...begun, sawWork: false, purpose };
      return { kind: "removed", node: overtake({ ...node, phase: leaving }, operation) };
    }
    case "requested":
    case "booting":
    case "bootstrapping":
    case "verifying":
    case "serving":
    case "suspect":
    case "replacing":
      if (isCandidate && isLeavingPool(node)) return { kind: "already" };
      if (isCancellable(node)) return { kind: "removed", node: cancel(node, now) };
      if (marking && !isMirror(operation))
        return conflict("is being cordoned: try again in a moment");
      return { kind: "removed", node: overtake(mark(node, asking), operation) };
    default:
      return unreachable(phase);
  }
}

function isLeavingPool({ cordon }: Node): boolean {
  const cause = cordon.product?.cause;
  return cause === "scale_down" || cause === "removed";
}

/** The plan takes nodes with the scale-down cordon first. */
function mark(node: Node, { by, reason, now }: Asking): Node {
  const why = `scale down: removed by name by ${by}${reason === "" ? "" : `: ${reason}`}`;
  const product = { by: "navarch", why, at: now, cause: "removed" } as const;
  return { ...node, cordon: { ...node.cordon, product } };
}

/** Overtakes earlier orders; the fence makes the late answer of an open drain or reboot stale. */
function overtake(node: Node, operation: Operation | null): Node {
  const kind = operation?.payload.kind;
  const stale = kind === "drain" || kind === "reboot" || kind === "end_jobs";
  return { ...node, order: null, fence: node.fence + (stale ? 1 : 0) };
}

/** A mirrored cordon only updates the scheduler and leaves the node's own cordon as it is. */
function isMirror(operation: Operation | null): boolean {
  const payload = operation?.payload;
  return payload !== undefined && "mirror" in payload && payload.mirror === true;
}

/** Whether the node's replacement exists already: removing the slot would concern that node. */
function occupiedByOther(node: Node, nodes: readonly Node[]): boolean {
  return nodes.some(
    ({ id, slot, phase }) => id !== node.id && slot === node.slot && phase.kind !== "gone",
  );
}

/**
 * Checks the promise with the rule of the plan itself: at the new size exactly the named nodes
 * leave, besides those that would have left anyway.
 */
function refuseOthers(
  asking: Removal,
  removed: readonly Node[],
  before: ReadonlySet<Node["id"]>,
  size: number,
): Refused | null {
  const changed = new Map(removed.map((node) => [node.id, node]));
  const nodes = asking.nodes.map((node) => changed.get(node.id) ?? node);
  // A new size overrides what a person spared before.
  const dearestFirst = asking.pool.strategy === "cost";
  const after = candidatesOf(nodes, size, asking.sight, { wantedAt: asking.now, dearestFirst });
  const slots = new Set(removed.map(slotOf));
  for (const node of nodes) {
    const leaves = ["gone", "draining", "terminating"].includes(node.phase.kind);
    if (changed.has(node.id) && !leaves && !after.has(node.id)) {
      const why = `pool ${asking.pool.name} does not have its ${size + slots.size} nodes yet`;
      const message = `${node.id} cannot be removed: ${why}; try again when its slots are filled`;
      return refusal("conflict", message, { node_id: node.id });
    }
    if (!after.has(node.id) || before.has(node.id) || slots.has(slotOf(node))) continue;
    const message = `node ${node.id} would have to leave too: try again when the pool is settled`;
    return refusal("conflict", message, { node_id: node.id });
  }
  return null;
}
