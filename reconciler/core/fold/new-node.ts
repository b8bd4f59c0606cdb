/** New nodes: planned, adopted from a cloud, or reported by an unmanaged agent. */
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Health, Node } from "../../../schema/node.ts";

export function newHealth(): Health {
  return {
    verdict: "unknown",
    lastReport: "unknown",
    held: [],
    history: [],
    unhealthyRun: 0,
    lastCountedAt: 0,
    lastCheckAt: null,
    lastCheckClean: false,
    silentSince: null,
  };
}

/** A node before its purchase. `at` is wall milliseconds. */
export function newNode(from: {
  id: NodeId;
  pool: PoolName | null;
  slot: number | null;
  gen: number;
  at: number;
  replaces: NodeId | null;
}): Node {
  return {
    id: from.id,
    pool: from.pool,
    slot: from.slot,
    gen: from.gen,
    createdAt: from.at,
    phase: { kind: "requested", since: from.at, attempt: 1, notBefore: 0, refusal: null },
    cordon: { product: null, human: null },
    instance: null,
    agent: null,
    health: newHealth(),
    session: null,
    sessions: 0,
    fence: 0,
    restUntil: 0,
    operation: null,
    order: null,
    replaces: from.replaces,
    isolatedAt: null,
    lastSession: null,
    offer: null,
    rebootedAt: null,
    kube: null,
    slurm: null,
    sparedAt: null,
    waiver: null,
    bootstrap: null,
    worker: null,
  };
}

/** A node for an agent that matches no instance: observed and judged, in no pool. */
export function unmanagedNode(id: NodeId, at: number): Node {
  const node = newNode({ id, pool: null, slot: null, gen: 0, at, replaces: null });
  return { ...node, phase: { kind: "verifying", since: at } };
}
