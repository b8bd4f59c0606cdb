import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "@libsql/client";
import { StoreFailed } from "../core/store.ts";
import { failureOf } from "./failure.ts";
import { openLibsqlStore } from "./libsql.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-full-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a database that may not grow refuses a write with what to do, and takes it later", async () => {
  const clients: Client[] = [];
  const base = await openLibsqlStore({
    url: `file:${join(folder, "navarch.db")}`,
    now: 1,
    wrap: (client) => (clients.push(client), client),
  });
  const store = base.led(base.epoch ?? 1, () => undefined);
  const row = { role: "viewer", label: "x".repeat(200_000), createdAt: 1, createdBy: "ann" };
  const credential = { id: "c", hash: "h", ...row } as never;
  try {
    // As small as it is: SQLite answers SQLITE_FULL, as on a full disk.
    await clients[0]?.execute("PRAGMA max_page_count = 1");
    const refused: unknown = await store
      .saveCredential(credential)
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(StoreFailed);
    expect(String(refused)).toContain("disk of the database is full: free space in the control");
    await clients[0]?.execute("PRAGMA max_page_count = 1000000");
    await store.saveCredential(credential);
  } finally {
    await store.close();
  }
});

test("failureOf() leaves what is no fault of the database as it is", () => {
  for (const code of ["SQLITE_CONSTRAINT", "SQLITE_ERROR", "ENOSPC"]) {
    const error = Object.assign(new Error("x"), { code });
    expect(failureOf(error)).toBe(error);
  }
  const wrapped = new Error("x", { cause: Object.assign(new Error("y"), { code: "SQLITE_BUSY" }) });
  expect(String(failureOf(wrapped))).toContain("another program holds the database");
});
