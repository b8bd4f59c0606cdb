/**
 * A damaged row is found when the store is read and set aside with its text and the reason; what
 * was not damaged is read as it was, and nothing that it stood for counts as absent.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Client } from "@libsql/client";
import fc from "fast-check";
import * as v from "valibot";
import { newNode } from "../../reconciler/core/fold/new-node.ts";
import { recoverSnapshot } from "../../reconciler/core/fold/unreadable.ts";
import { newPoolState } from "../../reconciler/core/fold/new-pool.ts";
import { openLibsqlStore } from "../../reconciler/store/libsql.ts";
import { emptyChange, type Store } from "../../reconciler/core/store.ts";
import { NodeId, PoolName } from "../../schema/id.ts";
import { mutate, mutations } from "./mutate.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-fuzz-store-"));
const url = `file:${join(folder, "navarch.db")}`;
let store: Store;
let client: Client;
const ID = "fleet-p-0-1";
let freeze = "";

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  store = await openLibsqlStore({ url, now: 1 });
  client = createClient({ url });
  const pool = v.parse(PoolName, "p");
  const id = v.parse(NodeId, ID);
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
  const facts = await client.execute("SELECT value FROM meta WHERE key = 'fact:freeze'");
  freeze = String(facts.rows[0]?.[0]);
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
  {
    what: "credential",
    read: "SELECT doc FROM credential",
    write: "UPDATE credential SET doc = ?",
  },
  {
    what: "fact",
    read: "SELECT value FROM meta WHERE key = 'fact:freeze'",
    write: "UPDATE meta SET value = ? WHERE key = 'fact:freeze'",
  },
] as const;

test.each([...TABLES])(
  "a damaged $what stops nothing, and its text is kept",
  async (table) => {
    const first = (await client.execute(table.read)).rows[0]?.[0];
    const good = String(first);
    const intact = await store.load();
    const cut = fc.nat(good.length).map((length) => good.slice(0, length));
    const bit = fc
      .tuple(fc.nat(good.length - 1), fc.integer({ min: 32, max: 126 }))
      .map(([at, code]) => good.slice(0, at) + String.fromCharCode(code) + good.slice(at + 1));
    const spoiled = mutations.map((all) => JSON.stringify(mutate(JSON.parse(good), all)) ?? "");
    try {
      await fc.assert(
        fc.asyncProperty(fc.oneof(cut, bit, spoiled), async (doc) => {
          await client.execute({ sql: table.write, args: [doc] });
          const read = await store.load();
          const { snapshot, change } = recoverSnapshot(read, 5_000);
          // Nothing that may stand for a machine or a limit is lost with it.
          expect(snapshot.nodes.map((node) => String(node.id))).toEqual([ID]);
          expect(snapshot.pools.map((pool) => String(pool.name))).toEqual(["p"]);
          expect(snapshot.credentials.map((one) => one.id)).toEqual(["c1"]);
          for (const row of read.unreadable) {
            expect(row).toMatchObject({ source: table.what, doc });
            expect(row.reason).not.toBe("");
          }
          const [node] = snapshot.nodes;
          if (read.unreadable.length > 0 && table.what === "node") {
            expect(node).toMatchObject({ slot: 0, phase: { kind: "held", heldBy: "navarch" } });
          }
          // What was recovered is written, and read as it was written.
          await store.commit(change);
          const again = await store.load();
          expect(again.unreadable).toEqual([]);
          if (read.unreadable.length > 0) {
            expect((await store.quarantine(1))[0]).toMatchObject({ source: table.what, doc });
          }
        }),
        runs(60),
      );
    } finally {
      await client.execute({ sql: table.write, args: [good] });
      // A damaged fact is moved away, and one that restrains leaves a freeze.
      await client.execute("DELETE FROM meta WHERE key LIKE 'fact:%'");
      const values = "INSERT INTO meta (key, value) VALUES ('fact:freeze', ?)";
      await client.execute({ sql: values, args: [freeze] });
    }
    expect((await store.load()).nodes).toEqual(intact.nodes);
  },
  PATIENCE_MS,
);
