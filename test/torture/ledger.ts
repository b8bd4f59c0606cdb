/**
 * Reads the product's database as a stranger: rows as they are, through a connection that cannot
 * write and is closed at once, so that the next process finds the files as the kill left them.
 * Adapter: database.
 */
import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import * as v from "valibot";

const text = v.string();

/** Only what is judged: a row may say more. */
const OperationDoc = v.object({
  id: text,
  node: text,
  pool: v.nullable(text),
  fence: v.number(),
  state: v.picklist(["asked", "done", "refused", "abandoned"]),
  payload: v.looseObject({
    kind: text,
    instanceId: v.optional(text),
    request: v.optional(v.looseObject({ token: text })),
  }),
  askedAt: v.number(),
  because: v.array(text),
  message: v.nullable(text),
});
export type OperationDoc = v.InferOutput<typeof OperationDoc>;

const NodeDoc = v.object({
  id: text,
  pool: v.nullable(text),
  slot: v.nullable(v.number()),
  gen: v.number(),
  phase: v.looseObject({ kind: text }),
  cordon: v.object({ product: v.nullable(v.unknown()), human: v.nullable(v.unknown()) }),
  instance: v.nullable(v.looseObject({ id: text })),
  session: v.nullable(v.unknown()),
  order: v.nullable(v.unknown()),
});
export type NodeDoc = v.InferOutput<typeof NodeDoc>;

const EventRow = v.object({
  id: v.number(),
  at: v.number(),
  kind: text,
  node: v.nullable(text),
  actor: text,
  message: text,
});
export type EventRow = v.InferOutput<typeof EventRow>;

export type Books = {
  nodes: NodeDoc[];
  operations: OperationDoc[];
  events: EventRow[];
  /** Letters durable and not folded. */
  inbox: number;
};

/** How far the operations are: another closed one is an audited effect. */
export type Mark = { closed: number; open: number; events: number };

const BUSY_MS = 2_000;

function withDatabase<T>(path: string, read: (db: Database) => T): T | null {
  if (!existsSync(path)) return null;
  const db = new Database(path, { readonly: true });
  try {
    db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    const table = db.query("SELECT name FROM sqlite_master WHERE name = 'outbox'").get();
    return table === null ? null : read(db);
  } finally {
    db.close();
  }
}

const Doc = v.object({ doc: text });
const docs = <S extends v.GenericSchema>(rows: unknown[], schema: S): v.InferOutput<S>[] =>
  rows.map((row) => v.parse(schema, JSON.parse(v.parse(Doc, row).doc)));

const Count = v.object({ n: v.number() });
const count = (db: Database, query: string): number => v.parse(Count, db.query(query).get()).n;

/** Everything; `null` while the product has not made its tables. */
export function readBooks(path: string): Books | null {
  return withDatabase(path, (db) => ({
    nodes: docs(db.query("SELECT doc FROM node").all(), NodeDoc),
    operations: docs(db.query("SELECT doc FROM operation").all(), OperationDoc),
    events: v.parse(
      v.array(EventRow),
      db.query("SELECT id, at, kind, node, actor, message FROM event ORDER BY id").all(),
    ),
    inbox: count(db, "SELECT count(*) AS n FROM inbox"),
  }));
}

/** The rows of these ids that exist. */
export function readOperations(path: string, ids: readonly string[]): OperationDoc[] | null {
  const query = "SELECT doc FROM operation WHERE id IN (SELECT value FROM json_each(?))";
  return withDatabase(path, (db) => docs(db.query(query).all(JSON.stringify(ids)), OperationDoc));
}

export function readMark(path: string): Mark | null {
  return withDatabase(path, (db) => ({
    closed: count(db, "SELECT count(*) AS n FROM operation WHERE state <> 'asked'"),
    open: count(db, "SELECT count(*) AS n FROM operation WHERE state = 'asked'"),
    events: count(db, "SELECT coalesce(max(id), 0) AS n FROM event"),
  }));
}
