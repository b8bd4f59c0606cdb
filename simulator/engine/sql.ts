/**
 * The libSQL client interface over SQLite in memory, so that the production store runs on it
 * unchanged, in millions of process lives. The database outlives its clients, as a file does:
 * closing one only disables that client. A batch is one transaction, and each call happens
 * completely or not at all.
 *
 * Adapter: SQLite in memory.
 */
import { Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { LibsqlBatchError, LibsqlError } from "@libsql/client";
import type {
  Client,
  InArgs,
  InStatement,
  InValue,
  ResultSet,
  Row,
  Transaction,
  TransactionMode,
  Value,
} from "@libsql/client";

/** Half a kilobyte: a store with a handful of nodes copies in microseconds. */
const PAGE_BYTES = 512;

type Binding = string | bigint | number | Uint8Array | null;

function bindingOf(value: InValue): Binding {
  if (value === null || typeof value === "string") return value;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new RangeError("only finite numbers can be stored");
    return value;
  }
  if (typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof Date) return value.valueOf();
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}

/** Positional arguments unchanged; named ones with each prefix that SQLite accepts. */
function bindingsOf(args: InArgs | undefined): SQLQueryBindings[] {
  if (args === undefined) return [];
  if (Array.isArray(args)) return args.map(bindingOf);
  const named: Record<string, Binding> = {};
  for (const [key, value] of Object.entries(args)) {
    const spelled = /^[:@$]/.test(key) ? [key] : [`:${key}`, `@${key}`, `$${key}`];
    for (const name of spelled) named[name] = bindingOf(value);
  }
  return [named];
}

type Prepared = { statement: Statement; columns: string[]; rowProto: object };

/** Prototype of rows: reads a column by position; the row itself has the columns by name. */
function protoOf(columns: string[]): object {
  const proto = {};
  Object.defineProperty(proto, "length", { value: columns.length });
  columns.forEach((name, place) => {
    Object.defineProperty(proto, place, {
      get(this: Record<string, Value>) {
        return this[name];
      },
    });
  });
  return proto;
}

function errorOf(error: unknown): unknown {
  if (!(error instanceof SQLiteError)) return error;
  const extended = error.code ?? "SQLITE_ERROR";
  const code = extended.split("_").slice(0, 2).join("_");
  return new LibsqlError(`${code}: ${error.message}`, code, extended, error.errno, error);
}

/** A database with any number of clients. */
export class MemoryDatabase {
  private db: Database;
  private prepared = new Map<string, Prepared>();
  /** Statements that changed at least one row, over the whole life. */
  writes = 0;
  private held: Promise<void> | null = null;

  private constructor(db: Database) {
    this.db = db;
  }

  static empty(): MemoryDatabase {
    const db = new Database(":memory:");
    db.run(`PRAGMA page_size=${PAGE_BYTES}`);
    db.run("PRAGMA synchronous=FULL");
    return new MemoryDatabase(db);
  }

  /** Opens a copy of the database that `snapshot` holds; may be called many times. */
  static open(snapshot: Uint8Array): MemoryDatabase {
    // A database without any table has no page, and so no bytes.
    if (snapshot.length === 0) return MemoryDatabase.empty();
    return new MemoryDatabase(Database.deserialize(snapshot));
  }

  snapshot(): Uint8Array {
    return this.db.serialize();
  }

  /** Reads rows directly, past every client and crash injector. */
  rows(sql: string): unknown[][] {
    return this.prepare(sql).statement.values() as unknown[][];
  }

  /** Runs one statement; each SQL text is prepared once. */
  run(stmt: InStatement, args?: InArgs): ResultSet {
    const sql = typeof stmt === "string" ? stmt : stmt.sql;
    const given = typeof stmt === "string" ? args : stmt.args;
    try {
      const { statement, columns, rowProto } = this.prepare(sql);
      const bindings = bindingsOf(given);
      const before = this.writes;
      if (columns.length === 0) {
        const { changes, lastInsertRowid } = statement.run(...bindings);
        this.writes += changes;
        return resultOf([], [], changes, BigInt(lastInsertRowid));
      }
      const found = statement.values(...bindings) as (Value | Uint8Array)[][];
      const rows = found.map((values): Row => {
        const row = Object.create(rowProto) as Record<string, Value>;
        columns.forEach((name, place) => {
          const value = values[place] ?? null;
          row[name] = value instanceof Uint8Array ? (value.slice().buffer as ArrayBuffer) : value;
        });
        return row as unknown as Row;
      });
      const returning = /^\s*(insert|update|delete)/i.test(sql);
      if (returning) this.writes += rows.length;
      return resultOf(columns, rows, this.writes - before, undefined);
    } catch (error) {
      throw errorOf(error);
    }
  }

  batch(stmts: readonly (InStatement | [string, InArgs?])[], mode: TransactionMode): ResultSet[] {
    const before = this.writes;
    this.run(beginOf(mode));
    try {
      const results = stmts.map((stmt, place) => {
        try {
          return Array.isArray(stmt) ? this.run(stmt[0], stmt[1]) : this.run(stmt as InStatement);
        } catch (error) {
          if (!(error instanceof LibsqlError)) throw error;
          const { message, code, extendedCode, rawCode } = error;
          throw new LibsqlBatchError(message, place, code, extendedCode, rawCode, error);
        }
      });
      this.run("COMMIT");
      return results;
    } catch (error) {
      this.writes = before;
      if (this.db.inTransaction) this.run("ROLLBACK");
      throw error;
    }
  }

  migrate(stmts: InStatement[]): ResultSet[] {
    this.run("PRAGMA foreign_keys=off");
    try {
      return this.batch(stmts, "deferred");
    } finally {
      this.run("PRAGMA foreign_keys=on");
    }
  }

  /** An interactive transaction blocks all other calls, as the single writer's queue does. */
  async hold(): Promise<() => void> {
    await this.free();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.held = promise;
    return () => {
      this.held = null;
      resolve();
    };
  }

  async free(): Promise<void> {
    while (this.held !== null) await this.held;
  }

  isHeld(): boolean {
    return this.held !== null;
  }

  client(): MemoryClient {
    return new MemoryClient(this);
  }

  /** Frees the memory; snapshots stay valid. */
  close(): void {
    for (const { statement } of this.prepared.values()) statement.finalize();
    this.prepared.clear();
    this.db.close();
  }

  private prepare(sql: string): Prepared {
    let known = this.prepared.get(sql);
    if (known === undefined) {
      const statement = this.db.prepare(sql);
      const columns = statement.columnNames;
      known = { statement, columns, rowProto: protoOf(columns) };
      this.prepared.set(sql, known);
    }
    return known;
  }
}

function beginOf(mode: TransactionMode): string {
  if (mode === "write") return "BEGIN IMMEDIATE";
  return mode === "read" ? "BEGIN TRANSACTION READONLY" : "BEGIN DEFERRED";
}

function resultOf(
  columns: string[],
  rows: Row[],
  rowsAffected: number,
  lastInsertRowid: bigint | undefined,
): ResultSet {
  const columnTypes = columns.map(() => "");
  const shown = { columns, columnTypes, rows, rowsAffected, lastInsertRowid };
  return { ...shown, toJSON: () => ({ ...shown, lastInsertRowid: lastInsertRowid?.toString() }) };
}

export class MemoryClient implements Client {
  closed = false;
  /** Rows that this client has written. */
  wrote = 0;
  readonly protocol = "file";
  private readonly db: MemoryDatabase;

  constructor(db: MemoryDatabase) {
    this.db = db;
  }

  private counted<T>(work: () => T): T {
    const before = this.db.writes;
    try {
      return work();
    } finally {
      this.wrote += this.db.writes - before;
    }
  }

  private async ready(): Promise<void> {
    if (this.db.isHeld()) await this.db.free();
    if (this.closed) throw new LibsqlError("The client is closed", "CLIENT_CLOSED");
  }

  async execute(stmt: InStatement | string, args?: InArgs): Promise<ResultSet> {
    await this.ready();
    return this.counted(() => this.db.run(stmt, args));
  }

  async batch(
    stmts: (InStatement | [string, InArgs?])[],
    mode: TransactionMode = "deferred",
  ): Promise<ResultSet[]> {
    await this.ready();
    return this.counted(() => this.db.batch(stmts, mode));
  }

  async migrate(stmts: InStatement[]): Promise<ResultSet[]> {
    await this.ready();
    return this.db.migrate(stmts);
  }

  async executeMultiple(sql: string): Promise<void> {
    await this.ready();
    for (const part of sql.split(";")) if (part.trim() !== "") this.db.run(part);
  }

  async transaction(mode: TransactionMode = "write"): Promise<Transaction> {
    await this.ready();
    const release = await this.db.hold();
    this.db.run(beginOf(mode));
    return new MemoryTransaction(this.db, release);
  }

  async sync(): Promise<never> {
    throw new LibsqlError("this database is nobody's replica", "SYNC_NOT_SUPPORTED");
  }

  async reconnect(): Promise<void> {
    this.closed = false;
  }

  close(): void {
    this.closed = true;
  }
}

class MemoryTransaction implements Transaction {
  closed = false;
  private readonly db: MemoryDatabase;
  private readonly release: () => void;

  constructor(db: MemoryDatabase, release: () => void) {
    this.db = db;
    this.release = release;
  }

  private end(sql: string): void {
    if (this.closed) return;
    this.closed = true;
    try {
      this.db.run(sql);
    } finally {
      this.release();
    }
  }

  async execute(stmt: InStatement | string, args?: InArgs): Promise<ResultSet> {
    if (this.closed) throw new LibsqlError("The transaction is closed", "TRANSACTION_CLOSED");
    return this.db.run(stmt, args);
  }

  async batch(stmts: InStatement[]): Promise<ResultSet[]> {
    const results: ResultSet[] = [];
    for (const stmt of stmts) results.push(await this.execute(stmt));
    return results;
  }

  async executeMultiple(sql: string): Promise<void> {
    for (const part of sql.split(";")) if (part.trim() !== "") await this.execute(part);
  }

  async commit(): Promise<void> {
    this.end("COMMIT");
  }

  async rollback(): Promise<void> {
    this.end("ROLLBACK");
  }

  close(): void {
    this.end("ROLLBACK");
  }
}
