import { expect, test } from "bun:test";
import type { JoinToken } from "../../../schema/join.ts";
import { MemoryClient, MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { FIRST_KEY } from "../key.ts";
import { nodeCredential } from "./keys.ts";

async function setUp() {
  const database = MemoryDatabase.empty();
  const [writer, reader] = [new MemoryClient(database), new MemoryClient(database)];
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients: { writer, reader } });
  const table = store.joinTable();
  const ids = async () => (await table.list()).map(({ token }) => token.id);
  return { store, table, client: reader, ids };
}

const token = (id: string, more: Partial<JoinToken> = {}): JoinToken => ({
  id,
  hash: `hash of ${id}`,
  pool: "p" as never,
  node: null,
  label: "",
  usesMax: 2,
  createdAt: 10,
  createdBy: "ann",
  expiresAt: 100,
  revokedAt: null,
  ...more,
});

const gift = (id: string, ordinal: number, nonce: string, node = "n-1") => ({
  token: id,
  ordinal,
  nonce,
  at: 50,
  use: { asked: node, node, rotation: 1, hostname: null, remote: "10.0.0.1" } as never,
  credential: nodeCredential(node as never, { now: 50, by: `join:${id}`, key: FIRST_KEY }),
});

test("list() gives the newest first and leaves out what cannot be read", async () => {
  const { table, client, ids } = await setUp();
  for (const [id, createdAt] of [["b", 20] as const, ["c", 30] as const, ["a", 10] as const]) {
    await table.save(token(id, { createdAt }));
  }
  expect(await ids()).toEqual(["c", "b", "a"]);
  await client.execute("UPDATE join_token SET doc = '{}' WHERE id = 'b'");
  expect(await ids()).toEqual(["c", "a"]);
  expect(await table.byId("b")).toBeNull();
  expect(await table.countOpen(0)).toBe(2);
});

test("byId() and byHash() find one token, or none", async () => {
  const { table } = await setUp();
  await table.save(token("a"));
  await table.save(token("b"));
  const found = { token: token("b"), uses: 0 };
  expect(await table.byId("b")).toEqual(found);
  expect(await table.byHash("hash of b")).toEqual(found);
  expect(await table.byId("hash of b")).toBeNull();
  expect(await table.byHash("b")).toBeNull();
});

test("countOpen() counts neither the revoked, nor those over, nor those used up", async () => {
  const { table } = await setUp();
  await table.save(token("open"));
  await table.save(token("revoked", { revokedAt: 1 }));
  await table.save(token("early", { expiresAt: 40 }));
  await table.save(token("used", { usesMax: 1 }));
  expect(await table.countOpen(39)).toBe(3);
  expect(await table.countOpen(40)).toBe(2);
  await table.give(gift("used", 1, "x"));
  await table.give(gift("open", 1, "x"));
  expect(await table.countOpen(40)).toBe(1);
  expect(await table.countOpen(99)).toBe(1);
  expect(await table.countOpen(100)).toBe(0);
});

test("save() writes a known token again and forgets none of its uses", async () => {
  const { table } = await setUp();
  await table.save(token("a"));
  await table.give(gift("a", 1, "x"));
  const over = token("a", { revokedAt: 7, expiresAt: 60 });
  await table.save(over);
  expect(await table.list()).toEqual([{ token: over, uses: 1 }]);
});

test("give() is one transaction: the use, its count and the credential, or nothing", async () => {
  const { table, store } = await setUp();
  await table.save(token("a"));
  await table.save(token("b"));
  const first = gift("a", 1, "x");
  await table.give(first);
  expect(await table.use("a", "x")).toEqual(first.use);
  expect(await table.use("a", "y")).toBeNull();
  expect(await table.use("b", "x")).toBeNull();
  const uses = async () => (await table.list()).map(({ uses: count }) => count);
  expect(await uses()).toEqual([1, 0]);
  expect(await store.credentials()).toEqual([first.credential]);
  await expect(table.give(gift("a", 1, "y", "n-2"))).rejects.toThrow();
  await expect(table.give(gift("a", 2, "x", "n-2"))).rejects.toThrow();
  expect(await uses()).toEqual([1, 0]);
  expect(await store.credentials()).toEqual([first.credential]);
  const second = gift("a", 2, "y");
  const credential = { ...second.credential, label: "again" };
  await table.give({ ...second, credential });
  expect(await store.credentials()).toEqual([credential]);
});

test("trim() forgets what ended before the instant, with its uses", async () => {
  const { table, ids, client } = await setUp();
  for (const [id, expiresAt] of [["a", 99] as const, ["b", 100] as const]) {
    await table.save(token(id, { expiresAt }));
    await table.give(gift(id, 1, "x"));
  }
  await table.trim(100);
  expect(await ids()).toEqual(["b"]);
  const { rows } = await client.execute("SELECT token FROM join_use");
  expect(rows.map((row) => row[0])).toEqual(["b"]);
});
