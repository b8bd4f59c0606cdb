/** What trim() deletes of finished work and old streams, at each bound. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { attemptOf, type FileStore, nodeOf, openFileStore } from "../../test/fixture/plane/rows.ts";
import { emptyChange } from "../core/store.ts";

let at: FileStore;
beforeEach(async () => {
  at = await openFileStore();
});
afterEach(() => at.close());

const rowids = async (table: string): Promise<unknown[]> =>
  (await at.run(`SELECT rowid FROM ${table} ORDER BY rowid`)).flat();

/** Rows with the numbers from `first` to `last`, in one state. */
async function fill(table: string, state: string, first: number, last: number): Promise<void> {
  const rest = table === "operation" ? "kind, asked_at" : "issued_at";
  const values = table === "operation" ? "'drain', 1" : "1";
  await at.run(`WITH RECURSIVE n(i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM n
    WHERE i < ${last}) INSERT INTO ${table} (rowid, id, node, state, doc, ${rest})
    SELECT i, 'id' || i, 'node' || i, '${state}', '{}', ${values} FROM n`);
}

test.each([
  ["operation", "asked", "done"],
  ["command", "accepted", "applied"],
])("of %s the newest 50,000 stay, and what is open", async (table, open, done) => {
  await fill(table, done, 1, 3);
  await fill(table, open, 4, 5);
  await fill(table, done, 6, 9);
  await fill(table, done, 50_008, 50_008);
  await at.store.trim({ auditBefore: 0 });
  expect(await rowids(table)).toEqual([4, 5, 8, 9, 50_008]);
});

test.each([
  ["operation", "done"],
  ["command", "applied"],
])("of %s at most 2,000 go at once, until none is too many", async (table, done) => {
  await fill(table, done, 1, 2_010);
  await fill(table, done, 60_000, 60_000);
  await at.store.trim({ auditBefore: 0 });
  expect(await rowids(table)).toEqual([...Array.from({ length: 10 }, (_, i) => 2_001 + i), 60_000]);
  await at.store.trim({ auditBefore: 0 });
  expect(await rowids(table)).toEqual([60_000]);
});

test("streams of nodes that nobody knows stay for a week", async () => {
  const week = 7 * 24 * 3_600_000;
  await at.store.commit({ ...emptyChange(), nodes: [nodeOf("known")] });
  const seen: [string, number][] = [
    ["known", 1],
    ["old", 999],
    ["week", 1_000],
    ["new", 1_000 + week],
  ];
  for (const [node, when] of seen)
    await at.run("INSERT INTO cursor (node, stream, seq, at) VALUES (?, 's', 1, ?)", [node, when]);
  await at.store.trim({ auditBefore: 0 });
  const left = await at.run("SELECT node FROM cursor ORDER BY node");
  expect(left.flat()).toEqual(["known", "new", "week"]);
});

test("of the streams of one node the newest 32 stay", async () => {
  await at.store.commit({ ...emptyChange(), nodes: [nodeOf("n1"), nodeOf("n2")] });
  await at.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 34)
    INSERT INTO cursor (node, stream, seq, at) SELECT 'n1', 's' || i, 1, 100 - i FROM n`);
  // Of those of one moment, what was written last stays.
  await at.run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 33)
    INSERT INTO cursor (node, stream, seq, at) SELECT 'n2', 's' || i, 1, 7 FROM n`);
  await at.store.trim({ auditBefore: 0 });
  const gone = async (node: string, all: number) => {
    const left = await at.run("SELECT stream FROM cursor WHERE node = ?", [node]);
    const names = new Set(left.flat());
    const numbers = Array.from({ length: all }, (_, i) => `s${i + 1}`);
    return numbers.filter((name) => !names.has(name));
  };
  expect(await gone("n1", 34)).toEqual(["s33", "s34"]);
  expect(await gone("n2", 33)).toEqual(["s1"]);
});

test("set-up attempts go with their node", async () => {
  await at.store.commit({ ...emptyChange(), nodes: [nodeOf("n1")] });
  await at.store.saveBootstrap(attemptOf("n1", 1));
  await at.store.saveBootstrap(attemptOf("gone", 1));
  await at.store.trim({ auditBefore: 0 });
  expect((await at.run("SELECT node FROM bootstrap")).flat()).toEqual(["n1"]);
});

test("C33: rows of the audit stay for their retention, from their last call on", async () => {
  const audit = at.store.auditTable();
  const call = { who: "admin", role: "admin", method: "POST", path: "/v1/x", target: null };
  const done = { code: "ok", status: 200, remote: "", request: "r", refused: false };
  const act = { verb: "cordon", kind: "node", namespace: null, detail: null };
  for (const when of [10, 20, 30]) await audit.append({ at: when, ...call, ...done, ...act });
  // Refused again until 25.
  await audit.count([{ id: 1, count: 5, until: 25 }]);
  const left = async () => (await at.run("SELECT at FROM audit ORDER BY id")).flat();
  await at.store.trim({ auditBefore: 20 });
  expect(await left()).toEqual([10, 20, 30]);
  await at.store.trim({ auditBefore: 21 });
  expect(await left()).toEqual([10, 30]);
  await at.store.trim({ auditBefore: 31 });
  expect(await left()).toEqual([]);
});
