/** The lease's row: what each call writes, and that nobody without the lease writes anything. */
import { type Client, createClient } from "@libsql/client";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nextEpoch, openLeaseTable } from "./lease.ts";
import type { LeaseTable } from "../core/store-table.ts";
import { migrate } from "./migrate.ts";

let folder: string;
let client: Client;
let table: LeaseTable;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "navarch-lease-"));
  client = createClient({ url: `file:${join(folder, "a.db")}`, timeout: 5_000 });
  await migrate(client, 1);
  table = openLeaseTable(client);
});
afterEach(() => {
  client.close();
  rmSync(folder, { recursive: true, force: true });
});

const claim = (holder: string, expiresAt: number) => ({
  ...{ holder, address: `http://${holder}`, expiresAt },
});
async function rowOf(): Promise<Record<string, unknown>> {
  const { rows } = await client.execute("SELECT * FROM lease");
  return { ...rows[0] };
}

test("the first one to take it begins with epoch 1 and nothing counted", async () => {
  expect(await table.take(null, claim("a", 9))).toBe(1);
  expect(await rowOf()).toMatchObject({
    ...{ name: "leader", holder: "a", epoch: 1, renewal: 0, expires_at: 9, writes: 0 },
    address: "http://a",
  });
});

test("each renewal is counted and moves the end, of the holder with this epoch alone", async () => {
  await table.take(null, claim("a", 9));
  expect(await table.renew("a", 1, 20)).toBe(true);
  expect(await table.renew("a", 1, 30)).toBe(true);
  const renewed = await rowOf();
  expect(renewed).toMatchObject({ holder: "a", epoch: 1, renewal: 2, expires_at: 30 });
  expect(await table.renew("b", 1, 40)).toBe(false);
  expect(await table.renew("a", 2, 40)).toBe(false);
  await table.release("b", 1);
  await table.release("a", 2);
  expect(await rowOf()).toEqual(renewed);
});

test("taking it over needs the row as it was seen, and begins the counting again", async () => {
  await table.take(null, claim("a", 9));
  await client.execute("UPDATE lease SET writes = 5");
  await table.renew("a", 1, 20);
  const seen = await table.read();
  if (seen === null) throw new Error("no row");
  for (const change of [{ holder: "x" }, { epoch: 2 }, { renewal: 0 }])
    expect(await table.take({ ...seen, ...change }, claim("b", 50))).toBeNull();
  expect(await table.read()).toEqual(seen);
  expect(await table.take(seen, claim("b", 50))).toBe(2);
  expect(await rowOf()).toMatchObject({
    ...{ holder: "b", epoch: 2, renewal: 0, expires_at: 50, writes: 5, address: "http://b" },
  });
});

test("giving it back names nobody, and is itself seen as a change", async () => {
  await table.take(null, claim("a", 9));
  const seen = await table.read();
  await table.release("a", 1);
  expect(await table.read()).toEqual({ holder: "", epoch: 1, renewal: 1, address: "", writes: 0 });
  expect(await table.take(seen, claim("b", 9))).toBeNull();
  expect(await table.take(await table.read(), claim("b", 9))).toBe(2);
});

test("nextEpoch() of an embedded file grows by one with each start", async () => {
  expect(await nextEpoch(client)).toBe(1);
  expect(await rowOf()).toMatchObject({ name: "leader", holder: "lock", epoch: 1, writes: 0 });
  expect(await nextEpoch(client)).toBe(2);
  await client.execute("UPDATE lease SET holder = 'a', epoch = 7");
  expect(await nextEpoch(client)).toBe(8);
  expect(await rowOf()).toMatchObject({ holder: "lock", epoch: 8 });
});
