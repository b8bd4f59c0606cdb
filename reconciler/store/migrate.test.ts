/** Bringing a schema up to date: each step once, whoever starts beside it, and none half done. */
import { type Client, createClient } from "@libsql/client";
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MIGRATIONS } from "../../schema/migration/list.ts";
import { migrate } from "./migrate.ts";

let folder: string;
const clients: Client[] = [];
const open = (): Client => {
  const client = createClient({ url: `file:${join(folder, "a.db")}`, timeout: 5_000 });
  clients.push(client);
  return client;
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "navarch-migrate-"));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  rmSync(folder, { recursive: true, force: true });
});

const TAGS = MIGRATIONS.map(({ tag }) => tag);
async function notesOf(client: Client): Promise<unknown[][]> {
  const { rows } = await client.execute("SELECT tag, at FROM migration ORDER BY rowid");
  return rows.map((row) => [row["tag"], row["at"]]);
}
async function tablesOf(client: Client): Promise<unknown[]> {
  const sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
  return (await client.execute(sql)).rows.map((row) => row["name"]);
}

test("migrate() takes every step once and notes when", async () => {
  const client = open();
  await migrate(client, 7);
  const tables = await tablesOf(client);
  expect(tables).toContain("quarantine");
  // A database that is up to date is asked once, and no transaction is begun.
  const migrated = spyOn(client, "migrate");
  await migrate(client, 8);
  expect(migrated).not.toHaveBeenCalled();
  expect(await notesOf(client)).toEqual(TAGS.map((tag) => [tag, 7]));
  expect(await tablesOf(client)).toEqual(tables);
});

/** The columns that 0006 and 0007 add to the audit log. */
const ADDED = MIGRATIONS.filter(({ tag }) => tag >= "0006")
  .map(({ sql }) => sql)
  .join("\n")
  .matchAll(/ADD (?:COLUMN )?`?(\w+)`?/g);

test("migrate() goes on behind the steps that an older version took", async () => {
  const client = open();
  await migrate(client, 7);
  await client.execute("DROP TABLE quarantine");
  for (const table of ["claim", "worker", "slot_claim", "task", "pipeline"]) {
    await client.execute(`DROP TABLE ${table}`);
  }
  for (const [, column = ""] of ADDED) {
    await client.execute(`ALTER TABLE audit DROP COLUMN ${column}`);
  }
  await client.execute("DELETE FROM migration WHERE tag >= '0004'");
  await migrate(client, 9);
  expect((await notesOf(client)).at(-1)).toEqual([TAGS.at(-1) ?? "", 9]);
  expect(await tablesOf(client)).toContain("quarantine");
});

test("migrate() beside another that takes the same step finds it done", async () => {
  const [mine, other] = [open(), open()];
  // The other replica is faster in every step, after this one has looked.
  const late = new Proxy(mine, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      if (key !== "migrate") return value.bind(target);
      return async (statements: string[]) => {
        await migrate(other, 5);
        return target.migrate(statements);
      };
    },
  });
  await migrate(late, 6);
  expect(await notesOf(mine)).toEqual(TAGS.map((tag) => [tag, 5]));
});

test("migrate() that cannot take a step rejects and leaves nothing of it", async () => {
  const client = open();
  await client.execute("CREATE TABLE quarantine (mine text)");
  expect(migrate(client, 7)).rejects.toThrow(/quarantine already exists/);
  const done = (await notesOf(client)).map(([tag]) => tag);
  expect(done).toEqual(TAGS.filter((tag) => tag < "0004"));
});

test("migrate() gives the cordons of older rows the cause that their own words named", async () => {
  const client = open();
  await migrate(client, 7);
  await client.execute("DELETE FROM migration WHERE tag >= '0011'");
  const rows: [string, unknown, unknown][] = [
    ["shrunk", { why: "scale down: pool p wants 2 nodes" }, null],
    ["named", { why: "scale down: removed by name by ann: old" }, null],
    // Its evidence is the node's own text.
    ["faulty", { why: "scale down: removed by name by ann" }, { id: "s1" }],
    ["sick", { why: "XID 79 on GPU 0" }, null],
    ["free", null, null],
  ];
  for (const [id, product, session] of rows) {
    const doc = JSON.stringify({ id, session, cordon: { product, human: null } });
    const sql = "INSERT INTO node (id, phase, doc) VALUES (?, 'serving', ?)";
    await client.execute({ sql, args: [id, doc] });
  }
  await migrate(client, 9);
  const causes = (await client.execute("SELECT id, doc FROM node ORDER BY id")).rows.map((row) => {
    const { cordon } = JSON.parse(String(row["doc"])) as {
      cordon: { product: { cause?: string } | null };
    };
    return [row["id"], cordon.product?.cause ?? null];
  });
  expect(Object.fromEntries(causes)).toEqual({
    ...{ shrunk: "scale_down", named: "removed", faulty: null, sick: null, free: null },
  });
});
