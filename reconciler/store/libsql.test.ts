import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { type Client, createClient } from "@libsql/client";
import { getTableColumns } from "drizzle-orm";
import { getTableConfig } from "drizzle-orm/sqlite-core";
import { NodeId, PoolName, StreamId } from "../../schema/id.ts";
import * as table from "../../schema/table.ts";
import { newNode } from "../core/fold/new-node.ts";
import { emptyChange, type InboxEntry, StaleEpoch } from "../core/store.ts";
import { openLeaseTable } from "./lease.ts";
import { openLibsqlStore } from "./libsql.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function file(): string {
  const folder = mkdtempSync(join(tmpdir(), "navarch-store-"));
  folders.push(folder);
  return `file:${join(folder, "navarch.db")}`;
}
const node = (id: string) =>
  newNode({
    id: v.parse(NodeId, id),
    pool: v.parse(PoolName, "p"),
    slot: 0,
    gen: 1,
    at: 1_000,
    replaces: null,
  });
const entry = (id: string): InboxEntry => ({
  node: v.parse(NodeId, id),
  bootId: "b",
  stream: v.parse(StreamId, "s"),
  agentVersion: "1",
  simulated: false,
  inventory: null,
  check: null,
  findings: [],
  gaps: [],
  results: [],
});

test("openLibsqlStore() keeps nodes, letters and cursors across a reopen", async () => {
  const url = file();
  const first = await openLibsqlStore({ url, now: 1 });
  await first.commit({ ...emptyChange(), nodes: [node("n1")] });
  const ids = await first.appendEntries(
    [
      { entry: entry("n1"), receivedAt: 5 },
      { entry: entry("n1"), receivedAt: 6 },
    ],
    [{ node: v.parse(NodeId, "n1"), stream: v.parse(StreamId, "s"), seq: 7 }],
  );
  expect(ids.length).toBe(2);
  await first.close();
  const again = await openLibsqlStore({ url, now: 2 });
  const snapshot = await again.load();
  expect(snapshot.nodes.map((n) => String(n.id))).toEqual(["n1"]);
  expect(snapshot.entries.map((l) => l.id)).toEqual(ids);
  expect(snapshot.cursors[0]?.seq).toBe(7);
  await again.commit({ ...emptyChange(), foldedEntries: ids });
  expect((await again.load()).entries).toEqual([]);
  await again.close();
});

test("openLibsqlStore() syncs each commit of a file: a power cut loses nothing acknowledged", async () => {
  let writer: Pick<Client, "execute"> | null = null;
  const store = await openLibsqlStore({
    url: file(),
    now: 1,
    wrap: (client) => {
      writer ??= client;
      return client;
    },
  });
  const levelOf = async (pragma: string): Promise<unknown> =>
    (await writer?.execute(`PRAGMA ${pragma}`))?.rows[0]?.[0];
  // 2 is FULL: with NORMAL a commit in WAL mode is not synced before it is acknowledged.
  expect(await levelOf("synchronous")).toBe(2);
  expect(await levelOf("journal_mode")).toBe("wal");
  await store.close();
});

test("openLibsqlStore() writes over one connection, the one that was set to sync", async () => {
  const clients: Client[] = [];
  const wrap = (client: Client) => (clients.push(client), client);
  const store = await openLibsqlStore({ url: file(), now: 1, wrap });
  const [writer] = clients;
  const open = await writer?.transaction("write");
  const second = Promise.resolve(writer?.execute("PRAGMA synchronous"));
  await expect(second).rejects.toThrow("connection");
  await open?.rollback();
  const level = await writer?.execute("PRAGMA synchronous");
  expect(level?.rows[0]?.[0]).toBe(2);
  await store.close();
});

test("commit() is one transaction: a second open operation for a node writes nothing at all", async () => {
  const store = await openLibsqlStore({ url: file(), now: 1 });
  const operation = (id: string) =>
    ({
      id,
      node: "n1",
      pool: "p",
      session: null,
      fence: 1,
      payload: { kind: "terminate", provider: "fake", instanceId: "i-1" },
      state: "asked",
      askedAt: 1,
      notBefore: 0,
      attempts: 0,
      lookups: 0,
      closedAt: null,
      message: null,
      because: [],
    }) as never;
  await store.commit({ ...emptyChange(), operations: [operation("n1.1.terminate")] });
  const both = { ...emptyChange(), nodes: [node("n9")], operations: [operation("n1.2.terminate")] };
  expect(store.commit(both)).rejects.toThrow();
  expect((await store.load()).nodes).toEqual([]);
  await store.close();
});

test("commit() refuses two nodes that claim one instance", async () => {
  const store = await openLibsqlStore({ url: file(), now: 1 });
  const claim = (id: string) =>
    ({
      ...node(id),
      instance: {
        id: "i-1",
        provider: "fake",
        state: "running",
        region: null,
        zone: null,
        instanceType: "t",
        internalIp: null,
        externalIp: null,
        pricePerHour: null,
        boundAt: 1,
        absentSince: null,
      },
    }) as never;
  await store.commit({ ...emptyChange(), nodes: [claim("a")] });
  expect(store.commit({ ...emptyChange(), nodes: [claim("b")] })).rejects.toThrow();
  await store.close();
});

test("commit() from many callers at once never freezes or fails", async () => {
  const store = await openLibsqlStore({ url: file(), now: 1 });
  await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      store.commit({ ...emptyChange(), nodes: [node(`n${i}`)] }),
    ),
  );
  expect((await store.load()).nodes.length).toBe(50);
  await store.close();
});

test("schema/table.ts and schema/migration describe the same tables", async () => {
  const url = file();
  await (await openLibsqlStore({ url, now: 1 })).close();
  const client = createClient({ url });
  for (const one of [
    table.meta,
    table.migration,
    table.lease,
    table.pool,
    table.node,
    table.operation,
    table.inbox,
    table.cursor,
    table.finding,
    table.event,
    table.command,
    table.credential,
    table.outbox,
    table.joinToken,
    table.joinUse,
    table.audit,
    table.bootstrap,
    table.quarantine,
  ]) {
    const config = getTableConfig(one);
    const rows = await client.execute(`PRAGMA table_info(${config.name})`);
    const real = rows.rows
      .map((r) => `${r["name"]} ${String(r["type"]).toLowerCase()} ${Number(r["notnull"]) === 1}`)
      .sort();
    const ours = Object.values(getTableColumns(one))
      .map((c) => `${c.name} ${c.getSQLType()} ${c.notNull}`)
      .sort();
    expect(real).toEqual(ours);
    const indexes = await client.execute(`PRAGMA index_list(${config.name})`);
    const named = indexes.rows
      .map((r) => String(r["name"]))
      .filter((n) => !n.startsWith("sqlite_"))
      .sort();
    expect(named).toEqual(config.indexes.map((i) => String(i.config.name)).sort());
  }
  client.close();
});

test("events() pages forward from a cursor and back from the end", async () => {
  const store = await openLibsqlStore({ url: file(), now: 1 });
  const events = Array.from({ length: 5 }, (_, i) => ({
    at: i,
    kind: "pool.size" as const,
    node: null,
    pool: v.parse(PoolName, "p"),
    session: null,
    actor: "navarch",
    message: `${i}`,
  }));
  await store.commit({ ...emptyChange(), events });
  const q = { node: null, pool: null, since: null, after: null, limit: 2 };
  expect((await store.events(q)).map((e) => e.message)).toEqual(["3", "4"]);
  const first = (await store.events({ ...q, after: 0 })).map((e) => e.message);
  expect(first).toEqual(["0", "1"]);
  await store.close();
});

test("led() refuses every write of an epoch that is over, as a whole, and says so", async () => {
  const url = file();
  const old = await openLibsqlStore({ url, now: 1 });
  let told = 0;
  const mine = old.led(old.epoch ?? 0, () => told++);
  await mine.commit({ ...emptyChange(), nodes: [node("before")] });
  const next = await openLibsqlStore({ url, now: 2 });
  expect(next.epoch).toBe((old.epoch ?? 0) + 1);
  const credential = {
    id: "c",
    role: "viewer" as const,
    hash: "h",
    node: null,
    label: "",
    createdAt: 1,
    createdBy: "t",
    expiresAt: null,
    revokedAt: null,
  };
  const writes = [
    () => mine.commit({ ...emptyChange(), nodes: [node("late")] }),
    () => mine.appendEntries([{ entry: entry("late"), receivedAt: 1 }], []),
    () => mine.saveCredential(credential),
    () => mine.settleDelivery(1, { kind: "delivered" }),
    () => mine.settleDelivery(1, { kind: "retry", notBefore: 1 }),
    () => mine.trim({ auditBefore: 0 }),
  ];
  for (const write of writes) expect(write()).rejects.toBeInstanceOf(StaleEpoch);
  expect((await mine.probe()).ok).toBe(false);
  expect(told).toBe(writes.length + 1);
  const snapshot = await next.load();
  expect(snapshot.nodes.map((one) => String(one.id))).toEqual(["before"]);
  expect(snapshot.entries).toEqual([]);
  expect(snapshot.credentials).toEqual([]);
  await next.close();
  await old.close();
});

test("take() has one winner, renew() and release() serve the holder alone", async () => {
  const url = file();
  await (await openLibsqlStore({ url, now: 1 })).close();
  const client = createClient({ url });
  await client.execute("DELETE FROM lease");
  const table = openLeaseTable(client);
  const claim = (holder: string) => ({ holder, address: `http://${holder}`, expiresAt: 9 });
  expect(await table.read()).toBeNull();
  expect(await table.take(null, claim("a"))).toBe(1);
  expect(await table.take(null, claim("b"))).toBeNull();
  const seen = await table.read();
  expect(seen).toEqual({ holder: "a", epoch: 1, renewal: 0, address: "http://a", writes: 0 });
  expect(await table.renew("b", 1, 10)).toBe(false);
  expect(await table.renew("a", 1, 10)).toBe(true);
  // What was seen is no longer so: the holder lives.
  expect(await table.take(seen, claim("b"))).toBeNull();
  expect(await table.take(await table.read(), claim("b"))).toBe(2);
  expect(await table.renew("a", 1, 10)).toBe(false);
  await table.release("a", 1);
  expect((await table.read())?.holder).toBe("b");
  await table.release("b", 2);
  expect(await table.read()).toMatchObject({ holder: "", epoch: 2, address: "" });
  client.close();
});

test("commit() keeps text that is no text, and reading it does not end the process", async () => {
  const base = await openLibsqlStore({ url: file(), now: 1 });
  const told = ["a\ud800b", "\udc00", "a\0b", "whole 😀"].map((message) => {
    const about = { node: v.parse(NodeId, "n1"), pool: null, session: null, actor: "navarch" };
    return { at: 5, kind: "node.registered" as const, ...about, message };
  });
  await base.commit({ ...emptyChange(), events: told });
  const query = { node: null, pool: null, since: null, after: null, limit: 9 };
  const messages = (await base.events(query)).map(({ message }) => message);
  expect(messages).toEqual(["a\ufffdb", "\ufffd", "a\ufffdb", "whole 😀"]);
  await base.close();
});

test("trim() keeps the newest streams of a node whose agent begins one at each start", async () => {
  const base = await openLibsqlStore({ url: file(), now: 1 });
  const heard = async (name: string, stream: string, receivedAt: number): Promise<void> => {
    const cursor = { node: v.parse(NodeId, name), stream: v.parse(StreamId, stream), seq: 1 };
    await base.appendEntries([{ entry: entry(name), receivedAt }], [cursor]);
  };
  await base.commit({ ...emptyChange(), nodes: [node("n1"), node("n2")] });
  await heard("n2", "only", 1);
  await heard("n1", "s-0", 1_000);
  for (let i = 1; i < 40; i++) await heard("n1", `s-${i}`, i);
  await base.trim({ auditBefore: 0 });
  const kept = (await base.load()).cursors.map(({ node: of, stream }) => `${of} ${stream}`);
  const newest = Array.from({ length: 31 }, (_, i) => `n1 s-${i + 9}`);
  expect(kept.toSorted()).toEqual(["n2 only", "n1 s-0", ...newest].toSorted());
  await base.close();
});
