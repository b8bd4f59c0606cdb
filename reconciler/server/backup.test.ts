/** A copy of the database and the way back: files, modes, refusals, and what is counted on. */
import { createClient } from "@libsql/client";
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandOf, eventOf, entryOf, nodeOf, operationOf } from "../../test/fixture/plane/rows.ts";
import { readIdentity, writeIdentity } from "../security/identity.ts";
import { tryLock } from "./lock.ts";
import { restoreBackup, writeBackup } from "./backup.ts";
import { openLibsqlStore } from "../store/libsql.ts";
import { emptyChange, type Store } from "../core/store.ts";

const IDENTITY = { fleetId: "fleet", secret: "s3cret" };
const NOW = Date.parse("2026-03-01T10:00:00Z");

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "navarch-backup-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const folder = (name: string): string => {
  mkdirSync(join(root, name));
  return join(root, name);
};
const databaseOf = (state: string) => join(state, "navarch.db");
const open = (state: string): Promise<Store> =>
  openLibsqlStore({ url: `file:${databaseOf(state)}`, now: 1 });
const modeOf = (path: string) => statSync(path).mode & 0o777;

async function rowsOf(file: string, sql: string): Promise<unknown[][]> {
  const client = createClient({ url: `file:${file}`, timeout: 5_000 });
  const { rows } = await client.execute(sql);
  client.close();
  return rows.map((row) => Array.from({ length: row.length }, (_, at) => row[at]));
}

/** A state folder with a node, closed; and a backup of it. */
async function backedUp(): Promise<{ state: string; backup: string }> {
  const state = folder("state");
  const store = await open(state);
  const nodes = [nodeOf("n1"), nodeOf("n2")];
  const asked = { operations: [operationOf("o1")], commands: [commandOf("c1")] };
  await store.commit({ ...emptyChange(), nodes, ...asked, events: [eventOf(1), eventOf(2)] });
  await store.appendEntries([{ entry: entryOf("n1"), receivedAt: 1 }], []);
  const backup = join(root, "one.backup");
  await writeBackup(databaseOf(state), backup, IDENTITY);
  await store.close();
  return { state, backup };
}

test("writeBackup() copies a running store into one file that only its owner reads", async () => {
  const { state, backup } = await backedUp();
  expect(readdirSync(root).toSorted()).toEqual(["one.backup", "state"]);
  expect(modeOf(backup)).toBe(0o600);
  expect(await rowsOf(backup, "SELECT id FROM node")).toEqual([["n1"], ["n2"]]);
  const identity = "SELECT value FROM meta WHERE key = 'identity'";
  expect(await rowsOf(backup, identity)).toEqual([[JSON.stringify(IDENTITY)]]);
  expect(await rowsOf(backup, "PRAGMA journal_mode")).toEqual([["delete"]]);
  // The store itself holds no secret.
  expect(await rowsOf(databaseOf(state), identity)).toEqual([]);
  expect(writeBackup(databaseOf(state), backup, IDENTITY)).rejects.toThrow();
});

test("restoreBackup() into an empty folder brings the fleet and its identity", async () => {
  const { backup } = await backedUp();
  chmodSync(backup, 0o644);
  const state = folder("empty");
  expect(await restoreBackup(backup, state, NOW)).toEqual({
    ...{ kind: "ok", fleetId: "fleet", nodes: 2, forgotten: 2, kept: null },
  });
  expect(readdirSync(state).toSorted()).toEqual(["identity.json", "lock.db", "navarch.db"]);
  expect(modeOf(databaseOf(state))).toBe(0o600);
  expect(readIdentity(state)).toEqual(IDENTITY);
  const store = await open(state);
  const snapshot = await store.load();
  expect(snapshot).toMatchObject({ nodes: [], openOperations: [], openCommands: [], entries: [] });
  expect(snapshot.facts).toEqual([{ kind: "record", since: NOW, knew: {} }]);
  const inside = "SELECT value FROM meta WHERE key = 'identity'";
  expect(await rowsOf(databaseOf(state), inside)).toEqual([]);
  await store.close();
});

test("restoreBackup() keeps the old database, whose epoch is then over", async () => {
  const { state, backup } = await backedUp();
  writeIdentity(state, { ...IDENTITY, secret: "own" });
  for (let i = 0; i < 3; i++) await (await open(state)).close();
  const epochOf = async (file: string) => (await rowsOf(file, "SELECT epoch FROM lease"))[0]?.[0];
  const given = Number(await epochOf(databaseOf(state)));
  expect(Number(await epochOf(backup))).toBeLessThan(given);
  const kept = `${databaseOf(state)}.before-2026-03-01T10:00:00.000Z`;
  expect(await restoreBackup(backup, state, NOW)).toMatchObject({ kind: "ok", kept });
  expect(readdirSync(state).filter((name) => name.includes("restoring"))).toEqual([]);
  expect(await epochOf(kept)).toBe(given);
  // The settling of a restored copy takes an epoch of its own.
  expect(Number(await epochOf(databaseOf(state)))).toBe(given + 1);
  expect(await rowsOf(kept, "SELECT id FROM node")).toEqual([["n1"], ["n2"]]);
  expect(readIdentity(state)).toEqual({ ...IDENTITY, secret: "own" });
});

test("restoreBackup() goes on from the backup's epoch where that is the newer one", async () => {
  const { backup } = await backedUp();
  await rowsOf(backup, "UPDATE lease SET epoch = 40");
  const state = folder("fresh");
  await (await open(state)).close();
  expect(await restoreBackup(backup, state, NOW)).toMatchObject({ kind: "ok" });
  expect(await rowsOf(databaseOf(state), "SELECT epoch FROM lease")).toEqual([[42]]);
});

test("restoreBackup() replaces a database that cannot be read", async () => {
  const { backup } = await backedUp();
  const state = folder("broken");
  writeFileSync(databaseOf(state), "no database at all".repeat(100));
  writeFileSync(`${databaseOf(state)}-wal`, "nor its log");
  const kept = `${databaseOf(state)}.before-2026-03-01T10:00:00.000Z`;
  expect(await restoreBackup(backup, state, NOW)).toMatchObject({ kind: "ok", kept });
  expect(readFileSync(kept, "utf8")).toStartWith("no database at all");
  expect(readFileSync(`${kept}-wal`, "utf8")).toBe("nor its log");
  expect(readdirSync(state)).not.toContain("navarch.db-wal");
  await (await open(state)).close();
});

test("restoreBackup() puts a log aside whose database is gone", async () => {
  const { backup } = await backedUp();
  const state = folder("log-alone");
  writeFileSync(`${databaseOf(state)}-wal`, "a log");
  expect(await restoreBackup(backup, state, NOW)).toMatchObject({ kind: "ok", kept: null });
  const kept = `${databaseOf(state)}.before-2026-03-01T10:00:00.000Z-wal`;
  expect(readFileSync(kept, "utf8")).toBe("a log");
  expect(readdirSync(state)).not.toContain("navarch.db-wal");
});

test("restoreBackup() gives out no number of an event or a delivery again", async () => {
  const { backup } = await backedUp();
  const state = folder("numbers");
  expect(await restoreBackup(backup, state, NOW)).toMatchObject({ kind: "ok" });
  const store = await open(state);
  const hook = { kind: "webhook", node: "n1", body: "{}", notBefore: 0 };
  await store.commit({ ...emptyChange(), events: [eventOf(3)], deliveries: [hook] });
  const all = { node: null, pool: null, since: null, after: null, limit: 9 };
  expect((await store.events(all)).map(({ id }) => id)).toEqual([1, 2, 1_000_003]);
  expect((await store.deliveries(1, 9)).map(({ id }) => id)).toEqual([1_000_001]);
  await store.close();
});

test("restoreBackup() says why it refuses, and changes nothing of the folder then", async () => {
  const { state, backup } = await backedUp();
  const refused = async (path: string, into: string) => {
    const before = readdirSync(into).toSorted();
    const answer = await restoreBackup(path, into, NOW);
    expect(readdirSync(into).toSorted()).toEqual([...new Set([...before, "lock.db"])].toSorted());
    return answer.kind === "refused" ? answer.message : answer;
  };
  expect(await restoreBackup(join(root, "none"), state, NOW)).toEqual({
    ...{ kind: "refused", message: `${join(root, "none")} does not exist` },
  });
  const lock = await tryLock(join(state, "lock.db"));
  const running = `a control plane runs on ${state}: stop it first`;
  expect(await restoreBackup(backup, state, NOW)).toEqual({ kind: "refused", message: running });
  lock?.release();
  const other = folder("other");
  writeIdentity(other, { fleetId: "theirs", secret: "s" });
  const fleets = `it is of fleet fleet, and ${other} of fleet theirs`;
  expect(await refused(backup, other)).toBe(`${backup}: ${fleets}`);
  const text = join(root, "text");
  writeFileSync(text, "hello ".repeat(1_000));
  expect(await refused(text, other)).toStartWith(`${text}: not a database of ours: `);
  const plain = join(root, "plain");
  copyFileSync(backup, plain);
  await rowsOf(plain, "DELETE FROM meta WHERE key = 'identity'");
  const fleetless = "it names no fleet: not a backup made by `navarch backup`";
  expect(await refused(plain, other)).toBe(`${plain}: ${fleetless}`);
  const newer = "it is of a newer version (2027_new): use that to restore it";
  await rowsOf(backup, "INSERT INTO migration (tag, at) VALUES ('2027_new', 1)");
  expect(await refused(backup, other)).toBe(`${backup}: ${newer}`);
  expect(readIdentity(other)).toEqual({ fleetId: "theirs", secret: "s" });
});

test("restoreBackup() refuses a copy that does not hold together", async () => {
  const { backup } = await backedUp();
  const where = "SELECT rootpage FROM sqlite_schema WHERE name = 'node_pool'";
  const page = Number((await rowsOf(backup, where))[0]?.[0]);
  const bytes = readFileSync(backup);
  const size = bytes.readUInt16BE(16);
  // The index of nodes by pool names a pool that none of them has.
  bytes[bytes.lastIndexOf("p", page * size)] = "q".charCodeAt(0);
  writeFileSync(backup, bytes);
  const state = folder("empty");
  const answer = await restoreBackup(backup, state, NOW);
  expect(answer).toMatchObject({ kind: "refused" });
  const said = answer.kind === "refused" ? answer.message : "";
  expect(said).toBe(`${backup}: the database is damaged: row 1 missing from index node_pool`);
  expect(readdirSync(state)).toEqual(["lock.db"]);
});
