/**
 * The store on libSQL through drizzle: an embedded file by default, a server by URL. One writer
 * behind a queue, because a second write transaction in the process would block the event loop
 * (docs/reference/runtime.md#transactions). Each transaction first writes the leader's epoch, and
 * the database refuses all of it once a newer one exists.
 * Adapter: database.
 */
import { createClient, type Client } from "@libsql/client";
import { desc, eq, type SQL, sql } from "drizzle-orm";
import type { BatchItem } from "drizzle-orm/batch";
import { drizzle, type LibSQLDatabase } from "drizzle-orm/libsql";
import type * as v from "valibot";
import { BootstrapAttempt } from "../../schema/bootstrap.ts";
import { Command } from "../../schema/command.ts";
import type { Credential } from "../../schema/credential.ts";
import { Event } from "../../schema/event.ts";
import { Finding } from "../../schema/finding.ts";
import type { NodeId } from "../../schema/id.ts";
import { Operation } from "../../schema/operation.ts";
import type { UnreadableRow } from "../../schema/quarantine.ts";
import type { Fact } from "../../schema/safety.ts";
import * as table from "../../schema/table.ts";
import { MarkTrim, openAuditTable } from "./audit-table.ts";
import { openJoinTable } from "./join-table.ts";
import { openClaimTable } from "./claim-table.ts";
import { openTaskTable } from "./task-table.ts";
import { openPipelineTable } from "./pipeline-table.ts";
import { openWorkerTable } from "./worker-table.ts";
import { timedSerial } from "./writer-load.ts";
import type * as tables from "../core/store-table.ts";
import { attemptItems, readAttempts } from "./bootstrap.ts";
import { readEventRows } from "./event-row.ts";
import { checkDocuments, changeStatements } from "./change.ts";
import { readDoc } from "./document.ts";
import { failureOf } from "./failure.ts";
import { isStale, nextEpoch, openLeaseTable } from "./lease.ts";
import { loadFact, loadSnapshot, type RawRow, readCredentials, unreadable } from "./load.ts";
import { migrate } from "./migrate.ts";
import { quarantineStatements, readQuarantine } from "./quarantine.ts";
import { fetchInTime, isServer } from "./server.ts";
import { readDeliveries, settleItem } from "./outbox.ts";
import { readPast } from "./past.ts";
import { History, type HistoryDb, type HistoryLimits } from "./history.ts";
import { trimStatements } from "./trim.ts";
import { StaleEpoch } from "../core/store.ts";
import type { Change, Cursor, Delivery, DeliveryOutcome, EventQuery } from "../core/store.ts";
import type { InboxEntry, PastQuery, PastRow, QuarantinedRow } from "../core/store.ts";
import type { Snapshot, Store, StoreHooks, TrimBounds } from "../core/store.ts";

/** Milliseconds that SQLite waits for another process; the wait blocks the event loop. */
const BUSY_MS = 5_000;

/**
 * Opens the database and migrates its schema. `url` is `file:…` or a libSQL server's URL; `now` is
 * wall milliseconds. Throws if it cannot be opened or is not durable enough.
 */
export async function openLibsqlStore(options: {
  url: string;
  authToken?: string;
  now: number;
  /** Crash tests inject failures here, below everything the store does (law 4). */
  wrap?: (client: Client) => Client;
  /** An open database instead of `url`; simulation keeps its database in memory. */
  clients?: { writer: Client; reader: Client };
  /** Limits of findings and events, for tests. */
  history?: HistoryLimits;
  /** Yields between long steps, see `LoopPorts`. */
  turn?: Base["turn"];
}): Promise<Store> {
  const wrap = options.wrap ?? ((client: Client) => client);
  const auth = {
    ...(options.authToken === undefined ? {} : { authToken: options.authToken }),
    ...(isServer(options.url) ? { fetch: fetchInTime } : {}),
  };
  const { clients, history, turn = () => Promise.resolve() } = options;
  const writer = wrap(
    clients?.writer ??
      createClient({ url: options.url, concurrency: 1, timeout: BUSY_MS, ...auth }),
  );
  if (options.url.startsWith("file:")) {
    for (const pragma of ["journal_mode=WAL", "synchronous=FULL", "cache_size=-8192"]) {
      await writer.execute(`PRAGMA ${pragma}`);
    }
    const level = await writer.execute("PRAGMA synchronous");
    if (Number(level.rows[0]?.[0]) < 2)
      throw new Error("database: synchronous is below FULL on the writer");
  }
  await migrate(writer, options.now);
  const reader =
    clients?.reader ??
    createClient({ url: options.url, concurrency: 2, timeout: BUSY_MS, ...auth });
  const server = isServer(options.url);
  // A client queues requests beyond its concurrency, and reads must not delay a renewal.
  const lease =
    server && clients === undefined
      ? createClient({ url: options.url, concurrency: 2, ...auth })
      : reader;
  const hooks: StoreHooks = { quarantined: () => undefined, committed: () => undefined };
  const own = { server, history, turn, queue: timedSerial(), hooks };
  const epoch = server ? null : await nextEpoch(writer);
  return new LibsqlStore({ writer, reader, lease, ...own }, epoch, () => undefined);
}

type Base = {
  writer: Client;
  reader: Client;
  lease: Client;
  queue: ReturnType<typeof timedSerial>;
  server: boolean;
  history: HistoryLimits | undefined;
  turn: () => Promise<void>;
  hooks: StoreHooks;
};

class LibsqlStore implements Store {
  private readonly writer: LibSQLDatabase;
  private readonly reader: LibSQLDatabase;
  private readonly base: Base;
  private readonly queue: Base["queue"];
  private readonly stale: () => void;
  private readonly history: History;
  private readonly markTrim: MarkTrim;
  readonly epoch: number | null;

  constructor(base: Base, epoch: number | null, stale: () => void) {
    this.base = base;
    this.queue = base.queue;
    this.epoch = epoch;
    this.stale = stale;
    this.writer = drizzle(base.writer);
    this.reader = drizzle(base.reader);
    const counts: HistoryDb["counts"] = (query) => this.reader.all(query);
    const remove = (all: readonly SQL[]) => this.write(all.map((one) => this.writer.run(one)));
    this.history = new History({ counts, remove, turn: base.turn }, base.history);
    this.markTrim = new MarkTrim(this.auditTable());
  }

  led(epoch: number, stale: () => void): Store {
    return new LibsqlStore(this.base, epoch, stale);
  }

  /** One fenced transaction; results in the given order. */
  private async write(items: BatchItem<"sqlite">[]): Promise<unknown[]> {
    const { epoch, writer } = this;
    if (epoch === null) throw new StaleEpoch("this process does not lead");
    const fence = writer.run(sql`INSERT INTO fence (epoch) VALUES (${epoch})`);
    try {
      const answers: unknown[] = await this.queue(() => writer.batch([fence, ...items]));
      return answers.slice(1);
    } catch (error) {
      if (!isStale(error)) throw failureOf(error);
      this.stale();
      throw new StaleEpoch(`epoch ${epoch} is over: another process leads`, { cause: error });
    }
  }

  /** Marks the copies of standbys as stale; an embedded file has no standby. */
  private noteChange(): BatchItem<"sqlite">[] {
    if (!this.base.server) return [];
    return [this.writer.run(sql`UPDATE lease SET writes = writes + 1 WHERE name = 'leader'`)];
  }

  async load(): Promise<Snapshot> {
    return this.queue(() => loadSnapshot(this.writer));
  }

  async credentials(): Promise<Credential[]> {
    return readCredentials(this.reader, []);
  }

  /** Not fenced, because an existing value is never overwritten. */
  async first(key: string, value: string): Promise<string> {
    return this.queue(async () => {
      await this.writer.insert(table.meta).values({ key, value }).onConflictDoNothing();
      const [row] = await this.writer.select().from(table.meta).where(eq(table.meta.key, key));
      if (row === undefined) throw new Error(`meta: ${key} was not kept`);
      return row.value;
    });
  }

  fact = (key: string): Promise<Fact | null> => this.queue(() => loadFact(this.writer, key));

  leaseTable(): tables.LeaseTable {
    return openLeaseTable(this.base.lease);
  }

  joinTable(): tables.JoinTable {
    // Standbys read a new credential when their copy is stale.
    const write = (items: BatchItem<"sqlite">[]) => this.write([...items, ...this.noteChange()]);
    return openJoinTable(this.reader, this.writer, write);
  }

  auditTable(): tables.AuditTable {
    return openAuditTable(this.reader, this.writer, (items) => this.write(items));
  }

  private readonly fenced = (items: BatchItem<"sqlite">[]) => this.write(items);
  claimTable = () => openClaimTable(this.reader, this.writer, this.fenced);
  workerTable = () => openWorkerTable(this.reader, this.writer, this.fenced);
  taskTable = () => openTaskTable(this.reader, this.writer, this.fenced);
  writerLoad = () => this.queue.load();

  pipelineTable(): tables.PipelineTable {
    return openPipelineTable(this.reader, this.writer, (items) => this.write(items));
  }

  async appendEntries(
    entries: { entry: InboxEntry; receivedAt: number }[],
    cursors: Cursor[],
  ): Promise<number[]> {
    const rows = entries.map((l) => [l.entry.node, l.receivedAt, JSON.stringify(l.entry)]);
    const marks = cursors.map((c) => [c.node, c.stream, c.seq, entries[0]?.receivedAt ?? 0]);
    const [inserted] = await this.write([
      this.writer.all<{ id: number }>(sql`
        INSERT INTO inbox (node, received_at, doc)
        SELECT value->>0, value->>1, value->>2 FROM json_each(${JSON.stringify(rows)}) WHERE true
        RETURNING id`),
      this.writer.run(sql`
        INSERT INTO cursor (node, stream, seq, at)
        SELECT value->>0, value->>1, value->>2, value->>3
        FROM json_each(${JSON.stringify(marks)}) WHERE true
        ON CONFLICT (node, stream) DO UPDATE SET seq = max(seq, excluded.seq), at = excluded.at`),
    ]);
    return (inserted as { id: number }[]).map((row) => Number(row.id)).sort((a, b) => a - b);
  }

  async commit(change: Change): Promise<void> {
    checkDocuments(change);
    const statements = changeStatements(change);
    if (statements.length === 0) return;
    const items = statements.map((statement) => this.writer.run(statement));
    await this.write([...items, ...this.noteChange()]);
    await this.history.noteCommitted(change);
    await this.markTrim.note(change.marks.length);
    if (change.quarantined.length > 0) this.base.hooks.quarantined(change.quarantined);
    this.base.hooks.committed(change);
  }

  /** The values of readable rows. The leader quarantines the others. */
  private async readable<S extends v.GenericSchema, T>(
    schema: S,
    rows: T[],
    rowOf: (row: T) => RawRow,
  ): Promise<{ row: T; value: v.InferOutput<S> }[]> {
    const bad: UnreadableRow[] = [];
    const good = rows.flatMap((row) => {
      const raw = rowOf(row);
      const read = readDoc(schema, raw.doc);
      if (!read.ok) bad.push(unreadable(raw, read.reason));
      return read.ok ? [{ row, value: read.value }] : [];
    });
    if (bad.length === 0 || this.epoch === null) return good;
    const items = quarantineStatements(bad, null).map((statement) => this.writer.run(statement));
    await this.write(items).then(
      () => this.base.hooks.quarantined(bad),
      // The answer is still correct; the next reader retries.
      () => undefined,
    );
    return good;
  }

  on<K extends keyof StoreHooks>(kind: K, hook: StoreHooks[K]): void {
    this.base.hooks[kind] = hook;
  }

  quarantine(limit: number): Promise<QuarantinedRow[]> {
    return readQuarantine(this.reader, limit);
  }

  async events(query: EventQuery): Promise<Event[]> {
    const rows = await readEventRows(this.reader, query);
    const read = await this.readable(Event, rows, (row) => {
      const { id, node, pool } = row;
      return { source: "event", key: String(id), node, pool, doc: JSON.stringify(row) };
    });
    const events = read.map(({ value }) => value);
    return query.after === null ? events.reverse() : events;
  }

  async findings(node: NodeId, limit: number): Promise<{ receivedAt: number; finding: Finding }[]> {
    const rows = await this.reader
      .select({
        id: table.finding.id,
        receivedAt: table.finding.receivedAt,
        doc: table.finding.doc,
      })
      .from(table.finding)
      .where(eq(table.finding.node, node))
      .orderBy(desc(table.finding.id))
      .limit(limit);
    const read = await this.readable(Finding, rows, ({ id, doc }) => {
      return { source: "finding", key: String(id), node, doc };
    });
    return read.map(({ row, value }) => ({ receivedAt: row.receivedAt, finding: value }));
  }

  pastFindings(query: PastQuery): Promise<PastRow[]> {
    return readPast(this.reader, query, (rows) =>
      this.readable(Finding, rows, ({ id, node, doc }) => {
        return { source: "finding", key: String(id), node, doc };
      }),
    );
  }

  async operations(node: NodeId, limit: number): Promise<Operation[]> {
    const rows = await this.reader
      .select()
      .from(table.operation)
      .where(eq(table.operation.node, node))
      .orderBy(desc(table.operation.askedAt))
      .limit(limit);
    // An open one stays, because the loop decides what it means for its node.
    const read = await this.readable(Operation, rows, ({ id, state, doc }) => {
      return { source: "operation", key: id, node, doc, stays: state === "asked" };
    });
    return read.map(({ value }) => value);
  }

  async command(id: string): Promise<Command | null> {
    const rows = await this.reader.select().from(table.command).where(eq(table.command.id, id));
    return (await this.readCommands(rows))[0] ?? null;
  }

  async commands(query: { node: string | null; limit: number }): Promise<Command[]> {
    const rows = await this.reader
      .select()
      .from(table.command)
      .where(query.node === null ? undefined : eq(table.command.node, query.node))
      .orderBy(desc(table.command.issuedAt))
      .limit(query.limit);
    return this.readCommands(rows);
  }

  private async readCommands(rows: (typeof table.command.$inferSelect)[]): Promise<Command[]> {
    const read = await this.readable(Command, rows, ({ id, node, state, doc }) => {
      return { source: "command", key: id, node, doc, stays: state === "accepted" };
    });
    return read.map(({ value }) => value);
  }

  async saveCredential(credential: Credential): Promise<void> {
    const row = { id: credential.id, hash: credential.hash, doc: JSON.stringify(credential) };
    await this.write([
      this.writer
        .insert(table.credential)
        .values(row)
        .onConflictDoUpdate({ target: table.credential.id, set: { doc: row.doc } }),
      ...this.noteChange(),
    ]);
  }

  async saveBootstrap(attempt: BootstrapAttempt): Promise<void> {
    await this.write(attemptItems(this.writer, attempt));
  }

  async bootstraps(node: NodeId, limit: number): Promise<BootstrapAttempt[]> {
    const rows = await readAttempts(this.reader, node, limit);
    const read = await this.readable(BootstrapAttempt, rows, ({ attempt, doc }) => {
      return { source: "bootstrap", key: `${node} ${attempt}`, node, doc };
    });
    return read.map(({ value }) => value);
  }

  deliveries(now: number, limit: number): Promise<Delivery[]> {
    return readDeliveries(this.reader, now, limit);
  }

  async settleDelivery(id: number, outcome: DeliveryOutcome): Promise<void> {
    await this.write([settleItem(this.writer, id, outcome)]);
  }

  async trim({ auditBefore }: TrimBounds): Promise<void> {
    await this.history.trim();
    for (const statement of trimStatements(auditBefore)) {
      await this.write([this.writer.run(statement)]);
    }
  }

  async probe(): Promise<{ ok: true } | { ok: false; message: string }> {
    try {
      await this.write([
        this.writer
          .insert(table.meta)
          .values({ key: "probe", value: "1" })
          .onConflictDoUpdate({ target: table.meta.key, set: { value: "1" } }),
      ]);
      return { ok: true };
    } catch (error) {
      return { ok: false, message: error instanceof Error ? error.message : String(error) };
    }
  }

  async close(): Promise<void> {
    await this.queue(async () => {
      const { writer, reader, lease } = this.base;
      for (const client of new Set([lease, reader, writer])) client.close();
    });
  }
}
