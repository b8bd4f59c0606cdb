/**
 * The port to durable state: everything that the reconciler needs after a crash. A change is one
 * transaction, so that an outcome and its node are never apart (law 4). The adapter is `libsql.ts`.
 */
import type { MarkDraft } from "../../schema/audit.ts";
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
import type { AgentNotice, Check, CommandResult, Inventory } from "../../schema/report.ts";
import type { AuditTable, ClaimTable, JoinTable, LeaseTable } from "./store-table.ts";
import type { PipelineTable, TaskTable, WorkerTable } from "./store-table.ts";
import type { QuarantineSource } from "../../schema/quarantine.ts";

/** The durable part of a report: what changed, without samples. */
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
  /** Absent in entries of older versions. */
  origin?: Origin;
  notice?: AgentNotice | undefined;
};

/** An inbox entry; `id` orders them. */
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

/** What one transaction writes; order inside an array does not matter. */
export type Change = {
  nodes: Node[];
  /** Purged after their retention. */
  removedNodes: NodeId[];
  pools: PoolState[];
  operations: Operation[];
  events: EventDraft[];
  commands: Command[];
  /** Ids of processed inbox rows. */
  foldedEntries: number[];
  /** Findings for history. */
  findings: { node: NodeId; stream: StreamId; seq: number; receivedAt: number; finding: Finding }[];
  /** Rows of the audit: what was done in the schedulers, in the transaction that closes it. */
  marks: MarkDraft[];
  deliveries: { kind: string; node: string; body: string; notBefore: number }[];
  /** Each replaces the fact of the same key. */
  facts: Fact[];
  removedFacts: string[];
  /** Unreadable rows, to be quarantined. */
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
    marks: [],
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
  /** Rows that cannot be read (`fold/unreadable.ts`). */
  unreadable: UnreadableRow[];
};

export type EventQuery = {
  node: string | null;
  pool: string | null;
  since: number | null;
  /** Forward from this id; `null` = the newest. */
  after: number | null;
  /** Only ids below it. */
  before?: number | null;
  kind?: string | null;
  /** In the message, whatever the case. */
  text?: string | null;
  limit: number;
};

/** What a trim deletes beyond what is too many. Instants are wall milliseconds. */
export type TrimBounds = {
  /** Rows of the audit whose last call is older. */
  auditBefore: number;
};

/** A write without the lead: nothing was written. Read the store before another write. */
export class StaleEpoch extends Error {}

/** The database does not take writes, as on a full disk; the message says what to do about it. */
export class StoreFailed extends Error {}

/** Called once a change is durable. A hook must not throw. */
export type StoreHooks = {
  /** Unreadable rows that the leader quarantined; readers leave them out. */
  quarantined(rows: readonly UnreadableRow[]): void;
  committed(change: Change): void;
};

/** Of the writer in the last minute: its busy share, and how long a write waits on average. */
export type WriterLoad = { busyPercent: number; waitSeconds: number };

export type Store = {
  /** Part of every write; `null` = a standby's view, which refuses to write. */
  readonly epoch: number | null;
  /**
   * The same database for the leader of this epoch. Once a newer epoch exists, each write is
   * refused with `StaleEpoch`, and `stale` is called each time.
   */
  led(epoch: number, stale: () => void): Store;
  load(): Promise<Snapshot>;
  credentials(): Promise<Credential[]>;
  /** Stores the first value of a key, and resolves with the stored one. */
  first(key: string, value: string): Promise<string>;
  /** The stored fact of that key; `null` = there is none that can be read. */
  fact(key: string): Promise<Fact | null>;
  /** Uses a connection that no write of this process delays. */
  leaseTable(): LeaseTable;
  joinTable(): JoinTable;
  auditTable(): AuditTable;
  claimTable(): ClaimTable;
  workerTable(): WorkerTable;
  taskTable(): TaskTable;
  writerLoad(): WriterLoad;
  pipelineTable(): PipelineTable;
  /** Durable when it resolves. Returns the inbox ids, in the order given. */
  appendEntries(
    entries: { entry: InboxEntry; receivedAt: number }[],
    cursors: Cursor[],
  ): Promise<number[]>;
  commit(change: Change): Promise<void>;
  events(query: EventQuery): Promise<Event[]>;
  findings(node: NodeId, limit: number): Promise<{ receivedAt: number; finding: Finding }[]>;
  /** Findings of all nodes in order of arrival, by page. */
  pastFindings(query: PastQuery): Promise<PastRow[]>;
  operations(node: NodeId, limit: number): Promise<Operation[]>;
  command(id: string): Promise<Command | null>;
  commands(query: { node: string | null; limit: number }): Promise<Command[]>;
  saveCredential(credential: Credential): Promise<void>;
  /** Replaces the same attempt of the node; the last fifty are kept. */
  saveBootstrap(attempt: BootstrapAttempt): Promise<void>;
  /** Newest first. */
  bootstraps(node: NodeId, limit: number): Promise<BootstrapAttempt[]>;
  /** Due deliveries, oldest first. */
  deliveries(now: number, limit: number): Promise<Delivery[]>;
  settleDelivery(id: number, outcome: DeliveryOutcome): Promise<void>;
  /** Deletes history beyond its bounds, a batch at a time. */
  trim(bounds: TrimBounds): Promise<void>;
  /** Replaces one hook; by default they do nothing. */
  on<K extends keyof StoreHooks>(kind: K, hook: StoreHooks[K]): void;
  /** Quarantined rows, newest first. */
  quarantine(limit: number): Promise<QuarantinedRow[]>;
  /** Whether a write works now, for readiness. */
  probe(): Promise<{ ok: true } | { ok: false; message: string }>;
  close(): Promise<void>;
};

export type PastQuery = {
  /** Wall milliseconds of the first receipt. */
  since: number;
  /** Id of the last row seen; `null` begins at `since`. */
  after: number | null;
  limit: number;
};

export type PastRow = { id: number; node: NodeId; receivedAt: number; finding: Finding };

export type DeliveryOutcome =
  | { kind: "delivered" }
  | { kind: "retry"; notBefore: number }
  | { kind: "dropped" };

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
