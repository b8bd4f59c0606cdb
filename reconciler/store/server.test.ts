import { afterEach, expect, test } from "bun:test";
import { startSqld, whyNoSqld } from "../../test/fixture/plane/sqld.ts";
import { openLibsqlStore } from "./libsql.ts";

const why = whyNoSqld();
if (why !== null) console.error(`SKIPPED: a database server's own tests: ${why}`);

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** The URL of a server that answers everything but the reading of events, until `release`. */
async function openStuck(): Promise<{ url: string; release(): void; stuck(): number }> {
  const sqld = await startSqld();
  cleanups.push(() => sqld.stop());
  const { promise, resolve: release } = Promise.withResolvers<void>();
  let stuck = 0;
  const front = Bun.serve<undefined>({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      if (body.includes('from \\"event\\"')) {
        stuck++;
        await promise;
      }
      const sent = request.method === "GET" ? {} : { body };
      const answer = await fetch(`${sqld.url}${pathname}`, { method: request.method, ...sent });
      // Unpacked, and so without the headers that say how it was packed.
      return new Response(await answer.arrayBuffer(), { status: answer.status });
    },
  });
  cleanups.push(() => front.stop(true));
  return { url: `http://127.0.0.1:${front.port}`, release, stuck: () => stuck };
}

test.skipIf(why !== null)(
  "leaseTable() waits for no page that people read from a server",
  async () => {
    const { url, release, stuck } = await openStuck();
    const store = await openLibsqlStore({ url, now: 1 });
    const query = { node: null, pool: null, since: null, after: null, limit: 9 };
    const reads = Array.from({ length: 5 }, () => store.events(query));
    const claim = { holder: "a", address: "http://a", expiresAt: 9 };
    const table = store.leaseTable();
    const epoch = (await table.take(await table.read(), claim)) ?? 0;
    expect(await table.renew("a", epoch, 10)).toBe(true);
    expect(stuck()).toBeGreaterThan(0);
    release();
    expect((await Promise.all(reads)).flat()).toEqual([]);
    await store.close();
  },
);
