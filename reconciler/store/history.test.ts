/** The bounds of history on a real file: what a flood of one node displaces, and what it costs. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Finding } from "../../schema/finding.ts";
import { NodeId, StreamId } from "../../schema/id.ts";
import { applicationFinding } from "../../test/bench/report.ts";
import { excessOf } from "./history.ts";
import { openLibsqlStore } from "./libsql.ts";
import { type Change, emptyChange, type Store } from "../core/store.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-history-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const open = (all: number, node: number): Promise<Store> =>
  openLibsqlStore({
    url: `file:${join(folder, `${++files}.db`)}`,
    now: 1,
    history: { finding: { all, node }, event: { all, node } },
  });

const stream = v.parse(StreamId, "s");
const finding = applicationFinding(0, "boot", new Date(0).toISOString()) as Finding;

function written(name: string, from: number, count: number): Change {
  const node = v.parse(NodeId, name);
  const seqs = Array.from({ length: count }, (_, i) => from + i);
  const about = { node, pool: null, session: null, actor: "navarch" };
  return {
    ...emptyChange(),
    findings: seqs.map((seq) => ({ node, stream, seq, receivedAt: seq, finding })),
    events: seqs.map((seq) => ({
      at: seq,
      kind: "node.gap" as const,
      message: `${seq}`,
      ...about,
    })),
  };
}

/** When they were received, findings from the newest and events from the oldest. */
async function kept(store: Store, name: string) {
  const node = v.parse(NodeId, name);
  const query = { node, pool: null, since: null, after: null, limit: 100_000 };
  return {
    findings: (await store.findings(node, 100_000)).map((row) => row.receivedAt),
    events: (await store.events(query)).map(({ at }) => at),
  };
}

test("a flood of one node displaces its own rows, as fast as they are written", async () => {
  const store = await open(4_000, 1_500);
  for (let i = 0; i < 20; i++) await store.commit(written(`quiet-${i}`, 1, 100));
  let most = 0;
  for (let i = 0; i < 60; i++) {
    await store.commit(written("noisy", 1 + i * 200, 200));
    most = Math.max(most, (await kept(store, "noisy")).findings.length);
  }
  // No trim but that of the writes themselves.
  expect(most).toBeLessThan(2_600);
  const noisy = await kept(store, "noisy");
  expect(noisy.findings.length).toBeGreaterThan(1_000);
  expect(noisy.findings[0]).toBe(12_000);
  expect(noisy.events.at(-1)).toBe(12_000);
  for (let i = 0; i < 20; i++) {
    const { findings, events } = await kept(store, `quiet-${i}`);
    expect([findings.length, events.length]).toEqual([100, 100]);
  }
  await store.close();
});

test("several floods share what others leave, whoever was first", async () => {
  const store = await open(4_000, 3_000);
  await store.commit(written("quiet", 1, 400));
  for (let i = 0; i < 20; i++) {
    for (const name of ["a", "b", "c"]) await store.commit(written(name, 1 + i * 200, 200));
  }
  await store.trim({ auditBefore: 0 });
  expect((await kept(store, "quiet")).findings).toHaveLength(400);
  for (const name of ["a", "b", "c"]) {
    expect((await kept(store, name)).findings.length).toBeWithin(1_000, 1_201);
  }
  await store.close();
});

test("trim() brings an old database within its bounds, and counts what is there", async () => {
  const url = `file:${join(folder, "old.db")}`;
  const before = await openLibsqlStore({ url, now: 1 });
  for (let i = 0; i < 40; i++) await before.commit(written("noisy", 1 + i * 200, 200));
  await before.commit(written("quiet", 1, 50));
  await before.close();
  const limits = { all: 2_000, node: 1_000 };
  const store = await openLibsqlStore({ url, now: 1, history: { finding: limits, event: limits } });
  await store.trim({ auditBefore: 0 });
  expect((await kept(store, "noisy")).findings).toHaveLength(950);
  expect((await kept(store, "noisy")).events).toHaveLength(950);
  expect((await kept(store, "quiet")).findings).toHaveLength(50);
  await store.close();
});

test("excessOf() lowers the largest first, and leaves counts below the level unchanged", () => {
  const limits = { all: 100, node: 60 };
  const of = (counts: Record<string, number>) =>
    Object.fromEntries(excessOf(new Map(Object.entries(counts)), limits));
  expect(of({})).toEqual({});
  expect(of({ a: 60, b: 40 })).toEqual({});
  expect(of({ a: 61, b: 10 })).toEqual({ a: 57 });
  expect(of({ a: 58, b: 58 })).toEqual({ a: 47, b: 47 });
  expect(of({ a: 900, b: 58, c: 20 })).toEqual({ a: 37, b: 37 });
  expect(of({ a: 30, b: 30, c: 30, d: 30, e: 3 })).toEqual({ a: 23, b: 23, c: 23, d: 23 });
});
