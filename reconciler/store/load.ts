/**
 * Reads everything that a starting process needs. Unreadable rows are listed in `unreadable`;
 * `core/fold/unreadable.ts` decides what they mean for the fleet.
 *
 * Adapter: database.
 */
import { eq, like, sql } from "drizzle-orm";
import type { LibSQLDatabase } from "drizzle-orm/libsql";
import type * as v from "valibot";
import { Command } from "../../schema/command.ts";
import { Credential } from "../../schema/credential.ts";
import { Node, PoolState } from "../../schema/node.ts";
import { INTEGER_MAX } from "../../schema/number.ts";
import { Operation } from "../../schema/operation.ts";
import type { UnreadableRow } from "../../schema/quarantine.ts";
import { type Fact, factKey } from "../../schema/safety.ts";
import * as table from "../../schema/table.ts";
import { FACT_PREFIX, storable } from "./change.ts";
import { readDoc, readFact } from "./document.ts";
import { readEntry } from "./inbox-entry.ts";
import { revokedCredential } from "./quarantine.ts";
import type { Cursor, Snapshot, StoredEntry } from "../core/store.ts";

export type RawRow = Pick<UnreadableRow, "source" | "key" | "doc"> & Partial<UnreadableRow>;

/** A row for the quarantine. */
export function unreadable(row: RawRow, reason: string): UnreadableRow {
  return { node: null, pool: null, columns: {}, stays: false, ...row, reason };
}

/** The readable documents; `keyOf` must return the row's own key. */
function readEach<S extends v.GenericSchema>(
  schema: S,
  rows: RawRow[],
  keyOf: (value: v.InferOutput<S>) => string,
  bad: UnreadableRow[],
): v.InferOutput<S>[] {
  const values: v.InferOutput<S>[] = [];
  for (const row of rows) {
    const read = readDoc(schema, row.doc);
    if (!read.ok) bad.push(unreadable(row, read.reason));
    else if (storable(keyOf(read.value)) !== row.key) {
      bad.push(unreadable(row, `it names ${keyOf(read.value)} and is the row of ${row.key}`));
    } else values.push(read.value);
  }
  return values;
}

export async function loadSnapshot(db: LibSQLDatabase): Promise<Snapshot> {
  const bad: UnreadableRow[] = [];
  const nodes = await db.select().from(table.node);
  const pools = await db.select().from(table.pool);
  const { id, node, doc } = table.operation;
  const open = await db
    .select({ key: id, node, doc })
    .from(table.operation)
    .where(eq(table.operation.state, "asked"));
  const commands = await db
    .select({ key: table.command.id, node: table.command.node, doc: table.command.doc })
    .from(table.command)
    .where(eq(table.command.state, "accepted"));
  const entries = await readEntries(db, bad);
  const cursors = await readCursors(db, bad);
  const credentials = await readCredentials(db, bad);
  const facts = await db
    .select()
    .from(table.meta)
    .where(like(table.meta.key, `${FACT_PREFIX}%`));
  return {
    nodes: readEach(
      Node,
      nodes.map(({ id: key, pool, phase, instance, doc }) => {
        return { source: "node", key, node: key, pool, doc, columns: { phase, instance } };
      }),
      (one) => one.id,
      bad,
    ),
    pools: readEach(
      PoolState,
      pools.map(({ name, doc }) => ({ source: "pool", key: name, pool: name, doc })),
      (one) => one.name,
      bad,
    ),
    openOperations: readEach(
      Operation,
      open.map((row) => ({ ...row, source: "operation" })),
      (one) => one.id,
      bad,
    ),
    openCommands: readEach(
      Command,
      commands.map((row) => ({ ...row, source: "command" })),
      (one) => one.id,
      bad,
    ),
    entries,
    cursors,
    credentials,
    facts: facts.flatMap(({ key, value }) => {
      const read = readFact(value);
      const row: RawRow = { source: "fact", key, doc: value };
      if (!read.ok) bad.push(unreadable(row, read.reason));
      else if (read.value !== null) {
        if (FACT_PREFIX + storable(factKey(read.value)) === key) return [read.value];
        bad.push(unreadable(row, `it is the fact ${factKey(read.value)}`));
      }
      return [];
    }),
    unreadable: bad,
  };
}

async function readEntries(db: LibSQLDatabase, bad: UnreadableRow[]): Promise<StoredEntry[]> {
  const rows = await db.select().from(table.inbox).orderBy(table.inbox.id);
  return rows.flatMap(({ id, node, receivedAt, doc }) => {
    const read = readEntry(doc);
    if (read.kind === "whole") return [{ id, receivedAt, entry: read.entry }];
    const row: RawRow = { source: "inbox", key: String(id), node, doc };
    bad.push(unreadable({ ...row, stays: read.kind === "part" }, read.reason));
    return read.kind === "part" ? [{ id, receivedAt, entry: read.entry }] : [];
  });
}

/**
 * Read as text, because the driver fails the whole query for an integer beyond 2^53. Without such a
 * cursor the agent sends its findings again, and known ones are dropped by their key.
 */
async function readCursors(db: LibSQLDatabase, bad: UnreadableRow[]): Promise<Cursor[]> {
  const { node, stream, seq: place } = table.cursor;
  const seq = sql<string>`CAST(${place} AS TEXT)`;
  const rows = await db.select({ node, stream, seq }).from(table.cursor);
  return rows.flatMap((row) => {
    const seq = Number(row.seq);
    if (Number.isInteger(seq) && seq >= 0 && seq <= INTEGER_MAX) return [{ ...row, seq } as Cursor];
    const key = `${row.node} ${row.stream}`;
    const cursor: RawRow = { source: "cursor", key, node: row.node, doc: row.seq };
    bad.push(unreadable(cursor, "seq: beyond 2^53 - 1"));
    return [];
  });
}

/** A credential that cannot be read counts as revoked. */
export async function readCredentials(
  db: LibSQLDatabase,
  bad: UnreadableRow[],
): Promise<Credential[]> {
  const rows = await db.select().from(table.credential);
  return rows.map(({ id, hash, doc }) => {
    const read = readDoc(Credential, doc);
    if (read.ok && read.value.id === id) return read.value;
    const reason = read.ok ? "it is the document of another credential" : read.reason;
    const revoked = revokedCredential(id, hash);
    const { node } = revoked;
    bad.push(unreadable({ source: "credential", key: id, node, doc, columns: { hash } }, reason));
    return revoked;
  });
}

/** The fact of `Store.fleet`, without the rest of the store. */
export async function loadFact(db: LibSQLDatabase, key: string): Promise<Fact | null> {
  const { meta } = table;
  const [row] = await db
    .select()
    .from(meta)
    .where(eq(meta.key, `${FACT_PREFIX}${key}`));
  const read = row === undefined ? null : readFact(row.value);
  return read?.ok === true ? (read.value ?? null) : null;
}
