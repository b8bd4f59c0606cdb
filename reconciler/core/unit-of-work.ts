/**
 * A unit of work: the changes of folds and plan on top of the committed fleet, for one transaction.
 * Only the activation that made it sees it before it is stored.
 */
import type { MarkDraft } from "../../schema/audit.ts";
import type { Command } from "../../schema/command.ts";
import type { EventDraft } from "../../schema/event.ts";
import type { NodeId, OperationId, PoolName } from "../../schema/id.ts";
import type { Node, PoolState } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import { type Fact, factKey, FactMap } from "../../schema/safety.ts";
import { type Change, emptyChange, isEmptyChange } from "./store.ts";

/** The process's copy of the durable fleet; only `mirrorChange` writes it. */
export type Mirror = {
  nodes: Map<NodeId, Node>;
  pools: Map<PoolName, PoolState>;
  operations: Map<OperationId, Operation>;
  /** Nodes by `<provider>/<instance id>`. */
  byInstance: Map<string, NodeId>;
  /** Nodes by their id in lower case, because Kubernetes and DNS ignore case. */
  byLowerCase: Map<string, NodeId>;
  /** Live nodes by the name of their Kubernetes object. */
  byObject: Map<string, NodeId>;
  facts: FactMap;
};

export function newMirror(): Mirror {
  return {
    nodes: new Map(),
    pools: new Map(),
    operations: new Map(),
    byInstance: new Map(),
    byLowerCase: new Map(),
    byObject: new Map(),
    facts: new FactMap(),
  };
}

export class UnitOfWork {
  private readonly mirror: Mirror;
  private readonly nodes = new Map<NodeId, Node>();
  private readonly pools = new Map<PoolName, PoolState>();
  private readonly operations = new Map<OperationId, Operation>();
  /** `null` = to be forgotten. */
  private readonly facts = new Map<string, Fact | null>();
  readonly change: Change = emptyChange();

  constructor(mirror: Mirror) {
    this.mirror = mirror;
  }

  node(id: NodeId): Node | null {
    return this.nodes.get(id) ?? this.mirror.nodes.get(id) ?? null;
  }

  pool(name: PoolName | null): PoolState | null {
    if (name === null) return null;
    return this.pools.get(name) ?? this.mirror.pools.get(name) ?? null;
  }

  operation(id: OperationId): Operation | null {
    return this.operations.get(id) ?? this.mirror.operations.get(id) ?? null;
  }

  /** Ids of every node, new ones included. */
  nodeIds(): Iterable<NodeId> {
    return new Set([...this.mirror.nodes.keys(), ...this.nodes.keys()]);
  }

  putNode(node: Node): void {
    this.nodes.set(node.id, node);
  }

  putPool(pool: PoolState): void {
    this.pools.set(pool.name, pool);
  }

  putOperation(operation: Operation): void {
    this.operations.set(operation.id, operation);
  }

  fact(key: string): Fact | null {
    return this.facts.has(key)
      ? (this.facts.get(key) ?? null)
      : (this.mirror.facts.get(key) ?? null);
  }

  /** All facts as they will be. */
  allFacts(): ReadonlyMap<string, Fact> {
    if (this.facts.size === 0) return this.mirror.facts;
    const all = new FactMap(this.mirror.facts);
    for (const [key, fact] of this.facts) {
      if (fact === null) all.delete(key);
      else all.set(key, fact);
    }
    return all;
  }

  putFact(fact: Fact): void {
    this.facts.set(factKey(fact), fact);
  }

  dropFact(key: string): void {
    this.facts.set(key, null);
  }

  /** Adds a result of the safety machinery. */
  take(step: { put: Fact[]; drop: string[]; pools: PoolState[]; events: EventDraft[] }): void {
    for (const fact of step.put) this.putFact(fact);
    for (const key of step.drop) this.dropFact(key);
    for (const pool of step.pools) this.putPool(pool);
    this.tell(step.events);
  }

  putCommand(command: Command): void {
    this.change.commands.push(command);
  }

  tell(events: EventDraft[]): void {
    this.change.events.push(...events);
  }

  /** Rows of the audit. */
  record(marks: readonly MarkDraft[]): void {
    this.change.marks.push(...marks);
  }

  /** The change to write; `null` if it is empty. */
  finish(): Change | null {
    this.change.nodes = [...this.nodes.values()];
    this.change.pools = [...this.pools.values()];
    this.change.operations = [...this.operations.values()];
    for (const [key, fact] of this.facts) {
      if (fact !== null) this.change.facts.push(fact);
      else if (this.mirror.facts.has(key)) this.change.removedFacts.push(key);
    }
    return isEmptyChange(this.change) ? null : this.change;
  }
}

/** Two successive changes as one; the last write of a key counts. */
export function mergeChanges(first: Change, then: Change): Change {
  const nodes = lastOf([...first.nodes, ...then.nodes], (node) => node.id);
  const revived = new Set(then.nodes.map((node) => node.id));
  const dropped = new Set(then.removedFacts);
  const put = new Set(then.facts.map(factKey));
  return {
    nodes,
    removedNodes: [...first.removedNodes.filter((id) => !revived.has(id)), ...then.removedNodes],
    pools: lastOf([...first.pools, ...then.pools], (pool) => pool.name),
    operations: lastOf([...first.operations, ...then.operations], (operation) => operation.id),
    events: [...first.events, ...then.events],
    commands: lastOf([...first.commands, ...then.commands], (command) => command.id),
    foldedEntries: [...first.foldedEntries, ...then.foldedEntries],
    findings: [...first.findings, ...then.findings],
    marks: [...first.marks, ...then.marks],
    deliveries: [...first.deliveries, ...then.deliveries],
    facts: lastOf(
      [...first.facts.filter((fact) => !dropped.has(factKey(fact))), ...then.facts],
      factKey,
    ),
    removedFacts: [...first.removedFacts.filter((key) => !put.has(key)), ...then.removedFacts],
    quarantined: [...first.quarantined, ...then.quarantined],
  };
}

/** The last item of each key, at the place of its first: a claim ends before another begins. */
function lastOf<T, K>(items: readonly T[], keyOf: (item: T) => K): T[] {
  const found = new Map<K, T>();
  for (const item of items) found.set(keyOf(item), item);
  return [...found.values()];
}

/** Of two ids that differ in case the first one counts, until it is gone. */
function noteCase(mirror: Mirror, { id, phase }: Node): void {
  const lower = id.toLowerCase();
  const first = mirror.byLowerCase.get(lower);
  if (phase.kind !== "gone") mirror.byLowerCase.set(lower, first ?? id);
  else if (first === id) mirror.byLowerCase.delete(lower);
}

/** Applies a change to the process's copy. */
export function mirrorChange(mirror: Mirror, change: Change): void {
  for (const node of change.nodes) {
    const before = mirror.nodes.get(node.id)?.kube ?? null;
    if (before !== null && mirror.byObject.get(before.name) === node.id) {
      mirror.byObject.delete(before.name);
    }
    const bears = node.kube !== null && node.kube.absentSince === null;
    if (node.kube !== null && bears && node.phase.kind !== "gone") {
      mirror.byObject.set(node.kube.name, node.id);
    }
    mirror.nodes.set(node.id, node);
    noteCase(mirror, node);
    if (node.instance !== null) {
      const key = `${node.instance.provider}/${node.instance.id}`;
      if (node.phase.kind === "gone") mirror.byInstance.delete(key);
      else mirror.byInstance.set(key, node.id);
    }
  }
  for (const id of change.removedNodes) {
    const node = mirror.nodes.get(id);
    mirror.nodes.delete(id);
    const lower = id.toLowerCase();
    if (mirror.byLowerCase.get(lower) === id) mirror.byLowerCase.delete(lower);
    const name = node?.kube?.name;
    if (name !== undefined && mirror.byObject.get(name) === id) mirror.byObject.delete(name);
    if (node === undefined || node.instance === null) continue;
    const key = `${node.instance.provider}/${node.instance.id}`;
    if (mirror.byInstance.get(key) === id) mirror.byInstance.delete(key);
  }
  for (const pool of change.pools) mirror.pools.set(pool.name, pool);
  if (change.facts.length > 0 || change.removedFacts.length > 0) {
    // Replaced and never edited, as documents are: who keeps the map keeps that moment.
    const facts = new FactMap(mirror.facts);
    for (const key of change.removedFacts) facts.delete(key);
    for (const fact of change.facts) facts.set(factKey(fact), fact);
    mirror.facts = facts;
  }
  for (const operation of change.operations) {
    if (operation.state === "asked") mirror.operations.set(operation.id, operation);
    else mirror.operations.delete(operation.id);
  }
}
