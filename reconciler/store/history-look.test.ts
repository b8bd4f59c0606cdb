/**
 * When history is counted, and how much of it one look deletes, over tables that are only counted.
 */
import type { SQL } from "drizzle-orm";
import { SQLiteSyncDialect } from "drizzle-orm/sqlite-core";
import { expect, test } from "bun:test";
import { eventOf, findingOf, nodeId, streamId } from "../../test/fixture/plane/rows.ts";
import { excessOf, History, HISTORY_LIMITS } from "./history.ts";
import { type Change, emptyChange } from "../core/store.ts";

const dialect = new SQLiteSyncDialect();
type Rows = Record<string, number>;

/** Tables with so many rows of each node; what is deleted is taken from them. */
function openTables(findings: Rows, events: Rows = {}) {
  const tables: Record<string, Rows> = { finding: { ...findings }, event: { ...events } };
  const counted: string[] = [];
  const removed: { table: string; nodes: number; rows: number }[] = [];
  let broken = false;
  const tableOf = (text: string): string => (text.includes("finding") ? "finding" : "event");
  const db = {
    counts: async (query: SQL) => {
      const table = tableOf(dialect.sqlToQuery(query).sql);
      counted.push(table);
      return Object.entries(tables[table] ?? {}).map(([node, rows]) => ({ node, rows }));
    },
    remove: async (statements: readonly SQL[]) => {
      if (broken) throw new Error("disk full");
      const one = { table: "", nodes: 0, rows: 0 };
      for (const statement of statements) {
        const { sql, params } = dialect.sqlToQuery(statement);
        const [node, , keep, rows] = params;
        one.table = tableOf(sql);
        one.nodes += 1;
        one.rows += Number(rows);
        const own = tables[one.table] ?? {};
        const left = (own[String(node)] ?? 0) - Number(rows);
        expect(left).toBeGreaterThanOrEqual(Number(keep));
        own[String(node)] = left;
      }
      removed.push(one);
    },
    turn: () => Promise.resolve(),
    break: (is: boolean) => (broken = is),
  };
  return { db, tables, counted, removed };
}

const limits = { finding: { all: 1_000, node: 100 }, event: { all: 1_000, node: 100 } };
const written = (findings: number, events = 0): Change => ({
  ...emptyChange(),
  findings: Array.from({ length: findings }, (_, seq) => ({
    ...{ node: nodeId("n1"), stream: streamId("s"), seq, receivedAt: 1 },
    finding: findingOf(79),
  })),
  events: Array.from({ length: events }, (_, at) => eventOf(at)),
});

test("the bounds of the product are those of the contract", () => {
  expect(HISTORY_LIMITS).toEqual({
    finding: { all: 200_000, node: 10_000 },
    event: { all: 200_000, node: 10_000 },
  });
});

test("every 500 rows it looks, findings and events together, and counts once", async () => {
  const { db, tables, counted, removed } = openTables({ n1: 90 }, { n1: 90 });
  const history = new History(db, limits);
  await history.noteCommitted(written(400, 99));
  expect(counted).toEqual([]);
  await history.noteCommitted(written(0, 1));
  expect(counted).toEqual(["finding", "event"]);
  expect(removed).toEqual([]);
  tables["finding"] = { n1: 590 };
  await history.noteCommitted(written(499));
  expect(removed).toEqual([]);
  await history.noteCommitted(written(1));
  // 590 by its own counting: 95 stay.
  expect(counted).toHaveLength(2);
  expect(removed).toEqual([
    { table: "finding", nodes: 1, rows: 250 },
    { table: "finding", nodes: 1, rows: 245 },
  ]);
});

test("a look after a write deletes little more than was written, a trim far more", async () => {
  const { db, tables, removed } = openTables({ n1: 200_000 }, { n1: 101 });
  const history = new History(db, limits);
  await history.noteCommitted(written(500));
  expect(removed).toEqual([
    { table: "finding", nodes: 1, rows: 250 },
    { table: "finding", nodes: 1, rows: 250 },
    { table: "finding", nodes: 1, rows: 250 },
    { table: "event", nodes: 1, rows: 6 },
  ]);
  removed.length = 0;
  await history.noteCommitted(written(2_001));
  expect(removed).toHaveLength(10);
  removed.length = 0;
  await history.trim();
  expect(removed).toHaveLength(200);
  for (let i = 0; i < 9; i++) await history.trim();
  expect(tables).toEqual({ finding: { n1: 95 }, event: { n1: 95 } });
});

test("one transaction takes rows of at most 100 nodes, the largest first", async () => {
  const rowsOf = (i: number) => (i % 5 === 0 ? 22 : 21);
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`n${i}`, rowsOf(i)]));
  const { db, tables, removed } = openTables(many);
  const history = new History(db, { ...limits, finding: { all: 1e6, node: 20 } });
  await history.trim();
  expect(removed.map(({ nodes, rows }) => [nodes, rows])).toEqual([
    [100, 30 * 3 + 70 * 2],
    [50, 50 * 2],
  ]);
  expect(new Set(Object.values(tables["finding"] ?? {}))).toEqual(new Set([19]));
});

test("one transaction takes at most 250 rows, and the next goes on there", async () => {
  const { db, tables, removed } = openTables({ a: 495, b: 300 });
  await new History(db, limits).trim();
  expect(removed.map(({ nodes, rows }) => [nodes, rows])).toEqual([
    [1, 250],
    [2, 250],
    [1, 105],
  ]);
  expect(tables["finding"]).toEqual({ a: 95, b: 95 });
});

test("what could not be deleted is counted again and tried again", async () => {
  const { db, tables, counted } = openTables({ n1: 300 });
  const history = new History(db, limits);
  db.break(true);
  await history.noteCommitted(written(500));
  expect(tables["finding"]).toEqual({ n1: 300 });
  expect(history.trim()).rejects.toThrow("disk full");
  db.break(false);
  counted.length = 0;
  await history.noteCommitted(written(500));
  expect(counted).toContain("finding");
  expect(tables["finding"]).toEqual({ n1: 95 });
});

test("excessOf() lowers all together below the bound of the whole by a twentieth", () => {
  const of = (counts: number[], all: number, node: number) => {
    const entries = counts.map((rows, i) => [`${i}`, rows] as const);
    return excessOf(new Map(entries), { all, node }).map(([, rows]) => rows);
  };
  expect(of([100], 100, 1_000)).toEqual([]);
  expect(of([101], 100, 1_000)).toEqual([95]);
  expect(of([50, 50], 100, 1_000)).toEqual([]);
  expect(of([60, 41], 100, 1_000)).toEqual([54]);
  expect(of([1_001], 1e6, 1_000)).toEqual([950]);
  expect(of([1_000], 1e6, 1_000)).toEqual([]);
  // Over both bounds the lower one holds.
  expect(of([300, 10], 100, 200)).toEqual([85]);
});
