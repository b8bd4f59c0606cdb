import { createClient } from "@libsql/client";
import { afterEach, expect, spyOn, test } from "bun:test";
import { drizzle } from "drizzle-orm/libsql";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { Finding } from "../../schema/finding.ts";
import { NodeId, StreamId } from "../../schema/id.ts";
import { findingOf } from "../../test/fixture/plane/rows.ts";
import { openLibsqlStore } from "./libsql.ts";
import { readPast } from "./past.ts";
import { emptyChange, type Store } from "../core/store.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const FINDING = v.parse(Finding, {
  kind: "xid",
  code: 79,
  at: "2026-03-01T10:00:00Z",
  boot_id: "b",
  severity: "fatal",
  message: "m",
  source: "sim",
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "navarch-past-"));
  folders.push(folder);
  return folder;
}

/** A store with one finding every ten milliseconds, from 10 on. */
async function storeOf(count: number, folder = newFolder()): Promise<Store> {
  const store = await openLibsqlStore({ url: `file:${join(folder, "navarch.db")}`, now: 1 });
  const findings = Array.from({ length: count }, (_, at) => ({
    node: v.parse(NodeId, `n${at % 3}`),
    stream: v.parse(StreamId, "s"),
    seq: at + 1,
    receivedAt: 10 * (at + 1),
    finding: FINDING,
  }));
  await store.commit({ ...emptyChange(), findings });
  return store;
}

test("readPast() gives every finding from a time on once, over any pages", async () => {
  const store = await storeOf(57);
  for (const since of [0, 10, 11, 300, 570, 571, 9_999]) {
    const seen: number[] = [];
    for (let after: number | null = null; ;) {
      const page = await store.pastFindings({ since, after, limit: 10 });
      seen.push(...page.map((row) => row.receivedAt));
      const last = page.at(-1);
      if (last === undefined) break;
      after = last.id;
    }
    const all = Array.from({ length: 57 }, (_, at) => 10 * (at + 1));
    expect(seen).toEqual(all.filter((at) => at >= since));
  }
  await store.close();
});

test("readPast() of an empty history is empty", async () => {
  const store = await storeOf(0);
  expect(await store.pastFindings({ since: 0, after: null, limit: 10 })).toEqual([]);
  await store.close();
});

test("readPast() reads a page that cannot be read once, and goes on behind it", async () => {
  const folder = newFolder();
  const store = await storeOf(25, folder);
  const client = createClient({ url: `file:${join(folder, "navarch.db")}` });
  const pages: number[][] = [];
  const query = { since: 0, after: null, limit: 10 };
  const page = await readPast(drizzle(client), query, async (rows) => {
    pages.push(rows.map(({ id }) => id));
    return pages.length < 3 ? [] : rows.map((row) => ({ row, value: FINDING }));
  });
  expect(pages.map(([first]) => first)).toEqual([1, 11, 21]);
  expect(page.map(({ id }) => id)).toEqual([21, 22, 23, 24, 25]);
  client.close();
  await store.close();
});

test("readPast() finds the first row of a time without reading those before it", async () => {
  const folder = newFolder();
  const url = `file:${join(folder, "navarch.db")}`;
  const [writer, reader] = [createClient({ url }), createClient({ url })];
  const store = await openLibsqlStore({ url, now: 1, clients: { writer, reader } });
  await writer.execute({
    sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
      INSERT INTO finding (id, node, stream, seq, received_at, kind, doc)
      SELECT 1000 + i, 'n1', 's', i, 10 * i, 'xid', ? FROM n`,
    args: [JSON.stringify(findingOf(79))],
  });
  const asked = spyOn(reader, "execute");
  // Where the page begins, and how many rows were looked at to find that place.
  const beginOf = async (since: number) => {
    asked.mockClear();
    await store.pastFindings({ since, after: null, limit: 1 });
    const calls = asked.mock.calls.map(([statement]) => Object(statement).args as unknown[]);
    const page = calls.findIndex((args) => args.length === 3);
    return [calls[page]?.[0], page <= 12];
  };
  expect(await beginOf(0)).toEqual([1_000, true]);
  expect(await beginOf(10)).toEqual([1_000, true]);
  expect(await beginOf(11)).toEqual([1_001, true]);
  expect(await beginOf(2_500)).toEqual([1_249, true]);
  expect(await beginOf(5_000)).toEqual([1_499, true]);
  expect(await beginOf(5_001)).toEqual([1_500, true]);
  await store.close();
});
