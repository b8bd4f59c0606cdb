/** Opening and closing: what a database must grant, and how long anything may be waited for. */
import type { Client } from "@libsql/client";
import { afterEach, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeOf } from "../../test/fixture/plane/rows.ts";
import { LEASE_EXPIRY_MS, leaseTiming } from "../server/lease/lease.ts";
import { openLibsqlStore } from "./libsql.ts";
import { fetchInTime } from "./server.ts";
import { emptyChange } from "../core/store.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function file(): string {
  const folder = mkdtempSync(join(tmpdir(), "navarch-open-"));
  folders.push(folder);
  return `file:${join(folder, "navarch.db")}`;
}

test("openLibsqlStore() refuses a file that does not sync each commit", () => {
  // A database that takes no notice of the request: NORMAL (1) would lose commits in a power cut.
  const deaf = (client: Client) =>
    new Proxy(client, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        if (key !== "execute") return value.bind(target);
        return (statement: string) =>
          target.execute(statement.replace("synchronous=FULL", "synchronous=NORMAL"));
      },
    });
  expect(openLibsqlStore({ url: file(), now: 1, wrap: deaf })).rejects.toThrow(
    "database: synchronous is below FULL on the writer",
  );
});

test("close() waits for the writes that are out, and nothing is written after it", async () => {
  const store = await openLibsqlStore({ url: file(), now: 1 });
  const write = (id: string) => store.commit({ ...emptyChange(), nodes: [nodeOf(id)] });
  const out = ["a", "b", "c"].map(write);
  const closed = store.close();
  await Promise.all(out);
  await closed;
  expect(write("late")).rejects.toThrow();
  expect(store.credentials()).rejects.toThrow();
  expect(store.leaseTable().read()).rejects.toThrow();
});

test("fetchInTime() gives a server less time than a leader has between its renewals", async () => {
  const limits: number[] = [];
  const { timeout } = AbortSignal;
  const limited = spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    limits.push(ms);
    return timeout(ms / 1_000);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      if (request.url.endsWith("/slow")) await promise;
      return new Response(await request.text());
    },
  });
  const ask = (path: string) =>
    fetchInTime(new Request(`${server.url}${path}`, { method: "POST", body: "said" }));
  expect(ask("slow")).rejects.toThrow(/timed out/);
  limited.mockRestore();
  expect(await (await ask("quick")).text()).toBe("said");
  const { expiryMs, marginMs, renewMs } = leaseTiming(LEASE_EXPIRY_MS);
  const [limit = 0] = limits;
  // One renewal that is not answered must leave time for another.
  expect(limit).toBeWithin(1_000, expiryMs - marginMs - renewMs);
  resolve();
  await server.stop(true);
});
