/**
 * A damaged row is found when the store is read, with its table and place in the message; nothing
 * of it gets as far as the loop, and what was not damaged is read as it was.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Client } from "@libsql/client";
import fc from "fast-check";
import * as v from "valibot";
import { newNode } from "../../reconciler/fold/new-node.ts";
import { newPoolState } from "../../reconciler/fold/new-pool.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import { emptyChange, type Store } from "../../reconciler/store/store.ts";
import { NodeId, PoolName } from "../../schema/id.ts";
import { mutate, mutations } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-fuzz-store-"));
const url = `file:${join(folder, "navarch.db")}`;
let store: Store;
let client: Client;

beforeAll(async () => {
  store = await openLibsqlStore({ url, now: 1 });
  client = createClient({ url });
  const pool = v.parse(PoolName, "p");
  const id = v.parse(NodeId, "n1");
  await store.commit({
    ...emptyChange(),
    nodes: [newNode({ id, pool, slot: 0, gen: 1, at: 1_000, replaces: null })],
    pools: [newPoolState(pool, 1, 1_000)],
    facts: [{ kind: "freeze", by: "me", why: "x", at: 1, until: null }],
  });
  await store.saveCredential({
    id: "c1",
    role: "viewer",
    hash: "h",
    node: null,
    label: "",
    createdAt: 1,
    createdBy: "root",
    expiresAt: null,
    revokedAt: null,
  });
});
afterAll(async () => {
  client.close();
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Each table of documents: where they lie, and the word for them in an error. */
const TABLES = [
  { what: "node", read: "SELECT doc FROM node", write: "UPDATE node SET doc = ?" },
  { what: "pool", read: "SELECT doc FROM pool", write: "UPDATE pool SET doc = ?" },
  { what: "credential", read: "SELECT doc FROM credential", write: "UPDATE credential SET doc = ?" },
  {
    what: "fact",
    read: "SELECT value FROM meta WHERE key LIKE 'fact%'",
    write: "UPDATE meta SET value = ? WHERE key LIKE 'fact%'",
  },
] as const;

test.each([...TABLES])("load() refuses a damaged $what, and names it", async (table) => {
  const first = (await client.execute(table.read)).rows[0]?.[0];
  const good = String(first);
  const intact = await store.load();
  const cut = fc.nat(good.length).map((length) => good.slice(0, length));
  const bit = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 32, max: 126 })).map(
    ([at, code]) => good.slice(0, at) + String.fromCharCode(code) + good.slice(at + 1),
  );
  const spoiled = mutations.map((all) => JSON.stringify(mutate(JSON.parse(good), all)) ?? "");
  try {
    await fc.assert(
      fc.asyncProperty(fc.oneof(cut, bit, spoiled), async (doc) => {
        await client.execute({ sql: table.write, args: [doc] });
        try {
          const snapshot = await store.load();
          // What was read can be written again: it is a document like any other.
          const { nodes, pools, facts } = snapshot;
          await store.commit({ ...emptyChange(), nodes, pools, facts });
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          expect(message).toStartWith(`${table.what}: stored document is `);
        }
      }),
      runs(60),
    );
  } finally {
    await client.execute({ sql: table.write, args: [good] });
  }
  // The damage to one document may have made copies of others under another key.
  await client.execute({ sql: "DELETE FROM node WHERE id <> ?", args: ["n1"] });
  await client.execute({ sql: "DELETE FROM pool WHERE name <> ?", args: ["p"] });
  await client.execute({ sql: table.write, args: [good] });
  expect((await store.load()).nodes).toEqual(intact.nodes);
}, PATIENCE_MS);
