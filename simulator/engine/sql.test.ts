import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Client } from "@libsql/client";
import * as v from "valibot";
import { newNode } from "../../reconciler/core/fold/new-node.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import { emptyChange, type Change, type Store } from "../../reconciler/core/store.ts";
import type { EventDraft } from "../../schema/event.ts";
import { NodeId, OperationId, PoolName, StreamId } from "../../schema/id.ts";
import type { Operation } from "../../schema/operation.ts";
import { seeded } from "./random.ts";
import { MemoryDatabase } from "./sql.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function file(): string {
  const folder = mkdtempSync(join(tmpdir(), "navarch-sql-"));
  folders.push(folder);
  return `file:${join(folder, "navarch.db")}`;
}

const pool = v.parse(PoolName, "p");
const nodeId = (n: number) => v.parse(NodeId, `n${n}`);
const nodeOf = (n: number, at: number) =>
  newNode({ id: nodeId(n), pool, slot: n, gen: at, at, replaces: null });

function operationOf(n: number, fence: number, state: Operation["state"]): Operation {
  return {
    id: v.parse(OperationId, `n${n}.${fence}.cordon`),
    node: nodeId(n),
    pool,
    session: null,
    fence,
    epoch: 0,
    payload: { kind: "cordon", why: "'; DROP TABLE node; --" },
    state,
    askedAt: fence,
    notBefore: 0,
    attempts: 0,
    lookups: 0,
    closedAt: null,
    message: null,
    because: ["é", "\u0000", '"'],
  };
}

/** A change drawn from few names, so that rows are written over and constraints are met. */
function changeOf(random: () => number, at: number): Change {
  const one = (): number => Math.floor(random() * 4);
  const some = <T>(make: () => T): T[] => (random() < 0.6 ? [make()] : []);
  const states = ["asked", "done", "refused"] as const;
  return {
    ...emptyChange(),
    nodes: some(() => nodeOf(one(), at)),
    removedNodes: random() < 0.1 ? [nodeId(one())] : [],
    operations: some(() => operationOf(one(), one(), states[Math.floor(random() * 3)] ?? "done")),
    events: some((): EventDraft => ({
      at,
      kind: "node.requested",
      node: nodeId(one()),
      pool,
      session: null,
      actor: "navarch",
      message: "x",
    })),
    deliveries: some(() => ({ kind: "k", node: `n${one()}`, body: "{}", notBefore: at })),
  };
}

async function told(work: () => Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await work()) ?? "done";
  } catch (error) {
    let deepest = error;
    while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
    // The two builds of SQLite word their errors alike; what wraps them differs.
    const message = deepest instanceof Error ? deepest.message : String(deepest);
    return `failed: ${/UNIQUE constraint failed: \S+/.exec(message)?.[0] ?? message}`;
  }
}

async function rowsOf(client: Client): Promise<string> {
  const tables = await client.execute(
    "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  const out: unknown[] = [];
  for (const row of tables.rows) {
    out.push([row["name"], row["sql"]]);
    if (!/^CREATE TABLE/i.test(String(row["sql"]))) continue;
    const { rows, columns } = await client.execute(`SELECT * FROM ${String(row["name"])}`);
    out.push(
      columns,
      rows.map((one) => columns.map((_, place) => one[place])),
    );
  }
  return JSON.stringify(out, null, 1);
}

async function step(store: Store, random: () => number, at: number): Promise<string> {
  const kind = random();
  if (kind < 0.7) return told(() => store.commit(changeOf(random, at)));
  if (kind < 0.8) {
    const entry = {
      node: nodeId(1),
      bootId: "b",
      stream: v.parse(StreamId, "s"),
      agentVersion: "1",
      simulated: false,
      inventory: null,
      check: null,
      findings: [],
      gaps: [],
      results: [],
    };
    const cursor = { node: nodeId(1), stream: entry.stream, seq: Math.floor(random() * 9) };
    return told(() => store.appendEntries([{ entry, receivedAt: at }], [cursor]));
  }
  if (kind < 0.9) return told(() => store.deliveries(at, 10));
  if (kind < 0.95) return told(() => store.settleDelivery(1, { kind: "retry", notBefore: at }));
  return told(() => store.trim({ auditBefore: 0 }));
}

test("MemoryDatabase keeps what libSQL keeps, for any sequence of changes", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const url = file();
    const database = MemoryDatabase.empty();
    const clients = { writer: database.client(), reader: database.client() };
    const kept = await openLibsqlStore({ url, now: 1 });
    const held = await openLibsqlStore({ url: "memory:", now: 1, clients });
    const [left, right] = [seeded(seed), seeded(seed)];
    for (let i = 0; i < 40; i++) {
      expect(await step(held, right, i)).toBe(await step(kept, left, i));
    }
    expect(JSON.stringify(await held.load())).toBe(JSON.stringify(await kept.load()));
    const reader = createClient({ url });
    expect(await rowsOf(database.client())).toBe(await rowsOf(reader));
    reader.close();
    await kept.close();
    await held.close();
    database.close();
  }
});

test("MemoryDatabase.open() goes on from a snapshot, as often as wanted", async () => {
  const database = MemoryDatabase.empty();
  const client = database.client();
  await client.execute("CREATE TABLE t (x integer PRIMARY KEY)");
  await client.execute({ sql: "INSERT INTO t VALUES (?)", args: [1] });
  const snapshot = database.snapshot();
  await client.execute("DELETE FROM t");
  for (let i = 0; i < 2; i++) {
    const again = MemoryDatabase.open(snapshot);
    expect(again.rows("SELECT x FROM t")).toEqual([[1]]);
    await again.client().execute({ sql: "INSERT INTO t VALUES (:x)", args: { x: 2 } });
    expect(again.rows("SELECT count(*) FROM t")).toEqual([[2]]);
    again.close();
  }
  expect(MemoryDatabase.open(MemoryDatabase.empty().snapshot()).rows("SELECT 1")).toEqual([[1]]);
});

test("MemoryDatabase batch() is one transaction, and a failed one leaves nothing", async () => {
  const database = MemoryDatabase.empty();
  const client = database.client();
  await client.execute("CREATE TABLE t (x integer PRIMARY KEY)");
  const failing = client.batch([
    { sql: "INSERT INTO t VALUES (?)", args: [1] },
    { sql: "INSERT INTO t VALUES (?)", args: [1] },
  ]);
  expect(failing).rejects.toThrow("UNIQUE");
  expect(database.rows("SELECT count(*) FROM t")).toEqual([[0]]);
  const before = database.writes;
  await client.batch(["INSERT INTO t VALUES (7)", "DELETE FROM t"]);
  expect(database.writes - before).toBe(2);
  const open = await client.transaction("write");
  await open.execute("INSERT INTO t VALUES (3)");
  const waits = client.execute("SELECT count(*) FROM t");
  await open.rollback();
  expect((await waits).rows[0]?.[0]).toBe(0);
});

test("MemoryDatabase client.close() ends the client and not the database", async () => {
  const database = MemoryDatabase.empty();
  const client = database.client();
  client.close();
  expect(client.execute("SELECT 1")).rejects.toThrow("closed");
  expect((await database.client().execute("SELECT 1")).rows[0]?.[0]).toBe(1);
});
