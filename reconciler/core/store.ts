/**
 * The port to durable state. Everything the reconciler may need after a crash goes through here,
 * and a change is one transaction: an outcome and the node it made true are never apart (law 4).
 * The only adapter that production uses is `libsql.ts`; `memory.ts` is the fake beside it, for
 * simulation.
 */
import type { BootstrapAttempt } from "../../schema/bootstrap.ts";
import type { Command } from "../../schema/command.ts";
import type { Credential } from "../../schema/credential.ts";
import type { Event, EventDraft } from "../../schema/event.ts";
import type { Finding } from "../../schema/finding.ts";
import type { NodeId, StreamId } from "../../schema/id.ts";
import type { Node, Origin, PoolState } from "../../schema/node.ts";
import type { Operation } from "../../schema/operation.ts";
import type { UnreadableRow } from "../../schema/quarantine.ts";
import type { Fact } from "../../schema/safety.ts";
import type { Check, CommandResult, Inventory } from "../../schema/report.ts";
import type { AuditTable, LeaseTable } from "./store-table.ts";
import type { JoinTable } from "./store-table.ts";
import type { QuarantineSource } from "../../schema/quarantine.ts";

/** The part of a report that must survive: what changed, without samples. */
export type InboxEntry = {
  node: NodeId;
  bootId: string;
  stream: StreamId;
  agentVersion: string;
  simulated: boolean;
  inventory: Inventory | null;
  check: Check | null;
  findings: { seq: number; finding: Finding }[];
  gaps: { seq: number; reason: string; count: number; at: string }[];
  results: CommandResult[];
  /** Where it came from; absent in letters of a version that did not look. */
  origin?: Origin;
};

/** A letter in the inbox; `id` orders them. */
export type StoredEntry = { id: number; receivedAt: number; entry: InboxEntry };

export type Cursor = { node: NodeId; stream: StreamId; seq: number };

/** One webhook delivery. */
export type Delivery = {
  id: number;
  kind: string;
  node: string;
  body: string;
  attempts: number;
  notBefore: number;
};

/** What one transaction writes. Arrays may be empty; order inside one array does not matter. */
export type Change = {
  nodes: Node[];
  /** Purged after their retention. */
  removedNodes: NodeId[];
  pools: PoolState[];
  operations: Operation[];
  events: EventDraft[];
  commands: Command[];
  /** Inbox rows that the fold has taken in. */
  foldedEntries: number[];
  /** Findings for history: written by the fold together with the node they changed. */
  findings: { node: NodeId; stream: StreamId; seq: number; receivedAt: number; finding: Finding }[];
  deliveries: { kind: string; node: string; body: string; notBefore: number }[];
  /** Written over the fact of the same key, and keys to forget. */
  facts: Fact[];
  removedFacts: string[];
  /** Rows that could not be read, to be set aside. */
  quarantined: UnreadableRow[];
};

export function emptyChange(): Change {
  return {
    nodes: [],
    removedNodes: [],
    pools: [],
    operations: [],
    events: [],
    commands: [],
    foldedEntries: [],
    findings: [],
    deliveries: [],
    facts: [],
    removedFacts: [],
    quarantined: [],
  };
}

export function isEmptyChange(change: Change): boolean {
  return Object.values(change).every((part) => part.length === 0);
}

/** Everything a starting process needs. */
export type Snapshot = {
  nodes: Node[];
  pools: PoolState[];
  openOperations: Operation[];
  openCommands: Command[];
  entries: StoredEntry[];
  cursors: Cursor[];
  credentials: Credential[];
  facts: Fact[];
  /** Rows that cannot be read: `../fold/unreadable.ts` says what that means. */
  unreadable: UnreadableRow[];
};

export type EventQuery = {
  node: string | null;
  pool: string | null;
  since: number | null;
  after: number | null;
  limit: number;
};

/**
 * A write of a process that does not lead, or no longer does: none of it was written, and none of
 * it may be tried again by this process without reading the store again.
 */
export class StaleEpoch extends Error {}

/** Called once something is durable. A hook must not throw: what it is told of is written. */
export type StoreHooks = {
  /**
   * Each batch of rows that was set aside. A reader that meets an unreadable row leaves it out; the
   * leader then sets it aside.
   */
  quarantined(rows: readonly UnreadableRow[]): void;
  committed(change: Change): void;
};

export type Store = {
  /** What every write carries; `null` = this is a standby's view, which refuses to write. */
  readonly epoch: number | null;
  /**
   * The same database as seen by a process that leads with this epoch: each write is refused as a
   * whole with `StaleEpoch` once another has been given out. `stale` is then called, each time.
   */
  led(epoch: number, stale: () => void): Store;
  load(): Promise<Snapshot>;
  credentials(): Promise<Credential[]>;
  /** Keeps the first value that anyone ever gives for the key, and resolves with it. */
  first(key: string, value: string): Promise<string>;
  /** The lease's row, by a connection that no write of this process holds up. */
  leaseTable(): LeaseTable;
  /** Join tokens, and the audit: their writes are under the fence like all others. */
  joinTable(): JoinTable;
  auditTable(): AuditTable;
  /** Durable when it resolves. Returns the inbox ids, in the order given. */
  appendEntries(
    entries: { entry: InboxEntry; receivedAt: number }[],
    cursors: Cursor[],
  ): Promise<number[]>;
  commit(change: Change): Promise<void>;
  events(query: EventQuery): Promise<Event[]>;
  findings(node: NodeId, limit: number): Promise<{ receivedAt: number; finding: Finding }[]>;
  /** Findings of all nodes in the order of their arrival, a page at a time. */
  pastFindings(query: PastQuery): Promise<PastRow[]>;
  operations(node: NodeId, limit: number): Promise<Operation[]>;
  command(id: string): Promise<Command | null>;
  commands(query: { node: string | null; limit: number }): Promise<Command[]>;
  saveCredential(credential: Credential): Promise<void>;
  /** Written over the same attempt of the same node; what is more than fifty back goes. */
  saveBootstrap(attempt: BootstrapAttempt): Promise<void>;
  /** Newest first. */
  bootstraps(node: NodeId, limit: number): Promise<BootstrapAttempt[]>;
  /** Due deliveries, oldest first; and what became of one. */
  deliveries(now: number, limit: number): Promise<Delivery[]>;
  settleDelivery(id: number, outcome: DeliveryOutcome): Promise<void>;
  /** Deletes history beyond its bounds, a batch at a time. */
  trim(now: number): Promise<void>;
  on(hooks: Partial<StoreHooks>): void;
  /** What was set aside, newest first. */
  quarantine(limit: number): Promise<QuarantinedRow[]>;
  /** Whether a write works now: for readiness. */
  probe(): Promise<{ ok: true } | { ok: false; message: string }>;
  close(): Promise<void>;
};

export type PastQuery = {
  /** Wall milliseconds: what was received before is left out. */
  since: number;
  /** Number of the last row seen; `null` begins at `since`. */
  after: number | null;
  limit: number;
};

export type PastRow = { id: number; node: NodeId; receivedAt: number; finding: Finding };

export type DeliveryOutcome =
  { kind: "delivered" } | { kind: "retry"; notBefore: number } | { kind: "dropped" };

/** A row of the quarantine with its original text. */
export type QuarantinedRow = {
  id: number;
  source: QuarantineSource;
  key: string;
  node: string | null;
  pool: string | null;
  at: number;
  reason: string;
  doc: string;
};
