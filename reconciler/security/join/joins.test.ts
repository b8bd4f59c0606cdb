/** What becomes of a join token, on the production store in memory. */
import { describe, expect, test } from "bun:test";
import type { Credential } from "../../../schema/credential.ts";
import type { JoinRequest, JoinToken } from "../../../schema/join.ts";
import { LIMIT } from "../../../schema/limit.ts";
import { VirtualClock } from "../../../simulator/engine/clock.ts";
import { MemoryClient, MemoryDatabase } from "../../../simulator/engine/sql.ts";
import { Authority, hashToken, nodeToken } from "../auth.ts";
import { openLibsqlStore } from "../../store/libsql.ts";
import { FIRST_KEY } from "../key.ts";
import { nodeCredential } from "./keys.ts";
import { Joins } from "./joins.ts";
import type { Sight } from "./place.ts";
import type { JoinTable } from "../../core/store-table.ts";

const SECRET = `nvj.${"x".repeat(43)}`;
const MINUTE_MS = 60_000;
const WEEK_MS = 7 * 24 * 60 * MINUTE_MS;

async function setUp() {
  const database = MemoryDatabase.empty();
  const [writer, reader] = [new MemoryClient(database), new MemoryClient(database)];
  const store = await openLibsqlStore({ url: "memory:", now: 1, clients: { writer, reader } });
  const clock = new VirtualClock();
  const lines: unknown[][] = [];
  const log = (...line: unknown[]) => void lines.push(line);
  const authority = new Authority({
    secret: "s",
    admins: [],
    shared: [],
    credentials: [],
    anonymous: false,
  });
  const table = store.joinTable();
  const joins = new Joins({ table, authority, clock, log });
  const token = (more: Partial<JoinToken> = {}): JoinToken => ({
    id: "t",
    hash: hashToken(SECRET),
    pool: "p" as never,
    node: null,
    label: "",
    usesMax: 2,
    createdAt: clock.wallMs(),
    createdBy: "ann",
    expiresAt: clock.wallMs() + MINUTE_MS,
    revokedAt: null,
    ...more,
  });
  return { store, clock, lines, authority, table, joins, token, client: reader };
}

const NOBODY: Sight = {
  node: () => null,
  nodeOfProviderId: () => [],
  nodeOfObject: () => [],
  isOwnName: () => false,
  nodeLike: () => null,
};

const asks = (node: string, more: Partial<JoinRequest> = {}): JoinRequest => ({
  token: SECRET,
  node_id: node as never,
  nonce: `nonce-of-${node}`.padEnd(22, "x"),
  agent_version: null,
  hostname: null,
  provider_ids: [],
  ...more,
});

const refused = (why: string, message: string, token: string | null = "t") =>
  ({ kind: "refused", why, message, token }) as never;
const ANSWERED = "this join was answered already: use a new join token";

test("Joins.create() refuses a thousand and first open token, and makes one once one ends", async () => {
  const { joins, token, clock, table, client } = await setUp();
  const doc = JSON.stringify(token());
  await client.execute({
    sql: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
      INSERT INTO join_token (id, hash, uses, expires_at, doc)
      SELECT 't' || i, 'h' || i, 0, ?, json_set(?, '$.id', 't' || i) FROM n`,
    args: [LIMIT.joinTokensMax - 1, clock.wallMs() + MINUTE_MS, doc],
  });
  const last = token({ id: "last", hash: "last" });
  expect(await joins.create(last)).toEqual(last);
  const more = token({ id: "more", hash: "more" });
  expect(await joins.create(more)).toBeNull();
  expect(await table.byId("more")).toBeNull();
  expect(await joins.list()).toHaveLength(1_000);
  await joins.revoke("last");
  expect(await joins.create(more)).toEqual(more);
  await clock.pass(MINUTE_MS);
  expect(await joins.create(token({ id: "late", hash: "late" }))).not.toBeNull();
});

test("Joins.create() forgets tokens a week after their end, and no sooner", async () => {
  const { joins, token, clock } = await setUp();
  await joins.create(token({ id: "old", hash: "old", expiresAt: clock.wallMs() }));
  const ids = async () => (await joins.list()).map((one) => one.token.id).sort();
  await clock.pass(WEEK_MS);
  await joins.create(token({ id: "a", hash: "a" }));
  expect(await ids()).toEqual(["a", "old"]);
  await clock.pass(1);
  await joins.create(token({ id: "b", hash: "b" }));
  expect(await ids()).toEqual(["a", "b"]);
});

test("Joins.revoke() keeps the instant of the first time and tells the uses", async () => {
  const { joins, token, clock } = await setUp();
  const made = await joins.create(token());
  await joins.join(asks("n-1"), NOBODY, "10.0.0.1");
  await clock.pass(5);
  const over = { token: { ...made, revokedAt: clock.wallMs() }, uses: 1 } as never;
  expect(await joins.revoke("t")).toEqual(over);
  await clock.pass(5);
  expect(await joins.revoke("t")).toEqual(over);
  expect(await joins.list()).toEqual([over]);
  expect(await joins.revoke("other")).toBeNull();
});

describe("Joins.join()", () => {
  test("gives a machine a credential of its own and keeps who asked for it", async () => {
    const { joins, token, authority, client, clock, store } = await setUp();
    await joins.create(token());
    const credential = nodeToken("s", "n-1", 1);
    const joined = { kind: "joined", node: "n-1", credential, token: "t", again: false } as never;
    const request = asks("n-1", { hostname: "rack" });
    expect(await joins.join(request, NOBODY, "10.0.0.1")).toEqual(joined);
    const now = clock.wallMs();
    const key = { number: 1, floor: 1, at: now, usedAt: null, deadline: null };
    const by = { now, by: "join:t", key };
    const row = { ...nodeCredential("n-1" as never, by), pool: "p" } as never;
    expect(authority.ofNode("n-1")).toEqual(row);
    expect(await store.credentials()).toEqual([row]);
    const { rows } = await client.execute("SELECT ordinal, at, doc FROM join_use");
    const use = { asked: "n-1", node: "n-1", rotation: 1, hostname: "rack", remote: "10.0.0.1" };
    expect(rows.map((one) => [one[0], one[1], JSON.parse(String(one[2]))])).toEqual([
      [1, now, use],
    ]);
    await joins.join(asks("n-2"), NOBODY, "10.0.0.2");
    const { rows: both } = await client.execute("SELECT ordinal FROM join_use ORDER BY ordinal");
    expect(both.map((one) => one[0])).toEqual([1, 2]);
  });

  test("a token that is not known, used up, over or revoked opens nothing, and says which", async () => {
    const { joins, token, clock, authority } = await setUp();
    const ask = (node = "n-9") => joins.join(asks(node), NOBODY, "10.0.0.9");
    expect(await ask()).toEqual(refused("unknown", "this join token is not known", null));
    await joins.create(token({ usesMax: 1 }));
    await clock.pass(MINUTE_MS - 1);
    expect((await ask("n-1")).kind).toBe("joined");
    expect(await ask()).toEqual(refused("used", "this join token is used up"));
    await joins.create(token({ usesMax: 2, expiresAt: clock.wallMs() + 1 }));
    await clock.pass(1);
    expect(await ask()).toEqual(refused("expired", "this join token has expired"));
    await joins.create(token({ usesMax: 2 }));
    await joins.revoke("t");
    expect(await ask()).toEqual(refused("revoked", "this join token was revoked"));
    expect(authority.list().map(({ id }) => id)).toEqual(["node:n-1"]);
  });

  test("answers again while the credential was not used, for ten minutes after the end", async () => {
    const { joins, token, clock } = await setUp();
    await joins.create(token({ usesMax: 1 }));
    const ask = (node: string, nonce: string) =>
      joins.join(asks(node, { nonce: nonce.padEnd(22, "x") }), NOBODY, "10.0.0.1");
    const first = await ask("n-1", "one");
    const again = { ...first, again: true } as never;
    expect(await ask("n-1", "one")).toEqual(again);
    expect(await ask("n-2", "one")).toEqual(refused("used", ANSWERED));
    expect(await ask("n-1", "two")).toEqual(refused("used", "this join token is used up"));
    await clock.pass(MINUTE_MS + 10 * MINUTE_MS - 1);
    expect(await ask("n-1", "one")).toEqual(again);
    await clock.pass(1);
    expect(await ask("n-1", "one")).toEqual(refused("expired", "this join token has expired"));
  });

  test.each<[string, Partial<NonNullable<Credential["key"]>>, number | null]>([
    ["used", { usedAt: 5 }, null],
    ["replaced", { number: 2 }, null],
    ["replaced and used", { number: 2, usedAt: 5 }, null],
    ["taken back", {}, 5],
  ])("does not answer again once the credential was %s", async (_why, key, revokedAt) => {
    const { joins, token, authority } = await setUp();
    await joins.create(token());
    await joins.join(asks("n-1"), NOBODY, "10.0.0.1");
    const own = authority.ofNode("n-1");
    if (own === null) throw new Error("no credential");
    authority.put({ ...own, key: { ...(own.key ?? FIRST_KEY), ...key }, revokedAt });
    const answer = await joins.join(asks("n-1"), NOBODY, "10.0.0.1");
    expect(answer).toEqual(refused("used", ANSWERED));
  });

  test("a token for one node vouches for it and brings it back after a revocation", async () => {
    const { joins, token, authority, clock } = await setUp();
    const key = { number: 4, floor: 2, at: 1, usedAt: 3, deadline: null };
    const before = nodeCredential("n-1" as never, { now: 2, by: "bob", key });
    authority.put({ ...before, label: "rack 7", revokedAt: clock.wallMs() });
    await joins.create(token({ node: "n-1" as never }));
    await clock.pass(7);
    expect(await joins.join(asks("n-1"), NOBODY, "10.0.0.1")).toMatchObject({ kind: "joined" });
    expect(authority.ofNode("n-1")).toEqual({
      ...before,
      label: "rack 7",
      key: { number: 5, floor: 5, at: clock.wallMs(), usedAt: null, deadline: null },
      pool: "p" as never,
      vouched: true,
    });
  });

  test("gives one of two places to one of two that ask at once for the last", async () => {
    const { joins, token } = await setUp();
    await joins.create(token({ usesMax: 1 }));
    const both = [asks("n-1"), asks("n-2")].map((one) => joins.join(one, NOBODY, "10.0.0.1"));
    expect((await Promise.all(both)).map(({ kind }) => kind)).toEqual(["joined", "refused"]);
  });

  test("lets 512 wait at once, tells the next one so, and forgets those that are answered", async () => {
    const { authority, clock, lines } = await setUp();
    const gate = Promise.withResolvers<void>();
    const byHash = async () => (await gate.promise, null);
    const table = { byHash } as unknown as JoinTable;
    const log = (...line: unknown[]) => void lines.push(line);
    const joins = new Joins({ table, authority, clock, log });
    const waiting = Array.from({ length: 512 }, (_, i) => joins.join(asks(`n-${i}`), NOBODY, ""));
    const full = { kind: "unavailable", message: "too many machines are joining at once" } as never;
    expect(await Promise.race([joins.join(asks("late"), NOBODY, ""), clock.pass(1)])).toEqual(full);
    gate.resolve();
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({ why: "unknown" });
    }
    expect(await joins.join(asks("late"), NOBODY, "")).toMatchObject({ why: "unknown" });
  });

  test("a store that cannot be written gives nothing out, and the next one may try", async () => {
    const { joins, token, authority, lines, table } = await setUp();
    await joins.create(token());
    const give = table.give.bind(table);
    table.give = () => Promise.reject(new Error("disk full"));
    const answer = await joins.join(asks("n-1"), NOBODY, "10.0.0.1");
    expect(answer).toEqual({ kind: "unavailable", message: "the store is not writable" });
    const why = { error: "Error: disk full" };
    expect(lines).toEqual([["warn", "cannot store a join", why]]);
    expect(authority.ofNode("n-1")).toBeNull();
    table.give = give;
    expect((await joins.join(asks("n-1"), NOBODY, "10.0.0.1")).kind).toBe("joined");
  });
});
