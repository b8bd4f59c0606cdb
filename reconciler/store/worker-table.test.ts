/** Workers and claims on the production store, over a database in memory. */
import { expect, test } from "bun:test";
import type { SlotClaim, Worker } from "../../schema/agentpool.ts";
import { MemoryClient, MemoryDatabase } from "../../simulator/engine/sql.ts";
import { StaleEpoch } from "../core/store.ts";
import type { WorkerChange } from "../core/store-table.ts";
import { openLibsqlStore } from "./libsql.ts";

const worker = (name: string, more: Partial<Worker> = {}): Worker => ({
  ...{ name, pool: "default/shell", poolUid: "u-1", generation: 1, at: 5, uid: null },
  ...{ found: false, joinedAt: null, node: null, slots: null, lostSince: null, leaving: null },
  ...more,
});

const claim = (id: string, ordinal: number, more: Partial<SlotClaim> = {}): SlotClaim => ({
  ...{ id, ordinal, pool: "default/shell", poolUid: "u-1", label: "half \ud800 a pair" },
  ...{ by: "token:ci", at: 5, expiresAt: null, state: "queued", worker: null, slot: null },
  ...{ placedAt: null, endedAt: null },
  ...more,
});

const change = (more: Partial<WorkerChange>): WorkerChange => ({
  ...{ workers: [], removed: [], claims: [], audit: [] },
  ...more,
});

async function open(database = MemoryDatabase.empty()) {
  const clients = { writer: new MemoryClient(database), reader: new MemoryClient(database) };
  return openLibsqlStore({ url: "memory:", now: 1, clients });
}

test("workerTable() gives back what was committed, claims by their ordinal", async () => {
  const table = (await open()).workerTable();
  const leaving = { cause: "surplus" as const, since: 9, deletingAt: null };
  const all = [worker("shell-aaaaa", { uid: "p-1", leaving }), worker("shell-bbbbb")];
  const late = claim("c-1", 12, { label: "" });
  const early = claim("c-2", 3, { label: "", state: "released", endedAt: 50 });
  await table.commit(change({ workers: all, claims: [late, early] }));
  expect(await table.read()).toEqual({ workers: all, claims: [early, late] });
  const running = { ...late, state: "running" as const, worker: "shell-bbbbb", slot: 0 };
  await table.commit(change({ removed: ["shell-aaaaa"], claims: [running] }));
  const [, kept] = all;
  expect(await table.read()).toEqual({ workers: [kept] as never, claims: [early, running] });
  await table.trim(50);
  expect((await table.read()).claims).toHaveLength(2);
  await table.trim(51);
  expect((await table.read()).claims).toEqual([running]);
});

test("text that SQLite cannot hold neither ends the process nor the row", async () => {
  const table = (await open()).workerTable();
  await table.commit(change({ claims: [claim("c-1", 1)] }));
  expect((await table.read()).claims.map(({ id }) => id)).toEqual(["c-1"]);
});

test("a process that no longer leads writes no worker", async () => {
  const database = MemoryDatabase.empty();
  const [old, next] = [await open(database), await open(database)];
  await next.workerTable().commit(change({ workers: [worker("shell-aaaaa")] }));
  const late = await old
    .workerTable()
    .commit(change({ removed: ["shell-aaaaa"] }))
    .catch(given);
  expect(late).toBeInstanceOf(StaleEpoch);
  expect((await next.workerTable().read()).workers).toHaveLength(1);
});

const given = (cause: unknown): unknown => cause;
