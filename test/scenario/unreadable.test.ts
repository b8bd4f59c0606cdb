/**
 * Databases that already hold rows which cannot be read, as one report could make them before the
 * numbers of the wire had bounds. A control plane starts on each of them, loses sight of no
 * machine, buys none twice and ends none, and people learn which row it is.
 */
import { afterEach, expect, test } from "bun:test";
import { dirname, join } from "node:path";
import { createClient } from "@libsql/client";
import { restoreBackup, writeBackup } from "../../reconciler/server/backup.ts";
import type { World } from "../world/world.ts";
import { openWorldApp } from "../world/app.ts";
import * as story from "../world/story.ts";

afterEach(story.closeWorlds);

const healthy = (): Promise<World> => story.fleet(3, story.threshold(1));

function clientOf(w: World) {
  const url: unknown = Reflect.get(w, "url");
  if (typeof url !== "string") throw new Error("the world keeps its database elsewhere now");
  return createClient({ url });
}

/** The same database with other rows in it, read by a new process. */
async function restartWith(w: World, statements: [string, ...string[]][]): Promise<void> {
  await w.crash();
  const client = clientOf(w);
  for (const [sql, ...args] of statements) await client.execute({ sql, args });
  client.close();
  await w.start();
}

async function docOf(w: World, id: string): Promise<string> {
  const client = clientOf(w);
  const { rows } = await client.execute({ sql: "SELECT doc FROM node WHERE id = ?", args: [id] });
  client.close();
  return String(rows[0]?.["doc"]);
}

const firstOf = (w: World) => {
  const [first] = w.nodes();
  if (first === undefined) throw new Error("no node");
  return first;
};

test("evidence whose MIG instance was stored as null: the node goes on, and history is read", async () => {
  const w = await healthy();
  const { id } = firstOf(w);
  w.xid(id, 79);
  await w.say(id);
  await w.turn();
  const bad = (await docOf(w, id)).replaceAll('"mig":null', '"mig":{"gi":null,"ci":null}');
  expect(bad).toContain('"gi":null');
  const gi = `replace(doc, '"mig":null', '"mig":{"gi":null,"ci":null}')`;
  await restartWith(w, [
    ["UPDATE node SET doc = ? WHERE id = ?", bad, id],
    [`UPDATE finding SET seq = 9007199254740994, doc = ${gi}`],
    ["UPDATE cursor SET seq = 9007199254740994 WHERE node = ?", id],
  ]);
  const node = w.node(id);
  expect(node.phase.kind).not.toBe("held");
  expect(node.health.held.map((one) => [one.finding.code, one.finding.mig])).toEqual([[79, null]]);
  await w.turn();
  const app = openWorldApp(w);
  const history = await app.call("GET", "/v1/findings");
  expect([history.status, history.body["findings"]]).toEqual([200, [] as never]);
  await w.until(() => w.serving().length === 3, 300);
  expect(w.serving()).not.toContain(id);
  const aside = await app.call("GET", "/v1/store/quarantine");
  const rows: { source: string }[] = aside.body["rows"] as never;
  expect(rows.map((row) => row.source).sort()).toEqual(["cursor", "finding", "node"]);
  expect(JSON.stringify(rows)).not.toContain('"text"');
  const texts = await app.call("GET", "/v1/store/quarantine?text=true");
  expect(texts.text).toContain('\\"gi\\":null');
  expect(story.told(w, "store.quarantined").map((event) => event.node)).toEqual([id, id]);
  expect(story.wrongs(w)).toEqual([]);
});

test("a node that cannot be read keeps its slot and its machine, and waits for a person", async () => {
  const w = await healthy();
  const { id, slot, instance } = firstOf(w);
  const before = story.counts(w);
  await restartWith(w, [["UPDATE node SET doc = 'gone wrong' WHERE id = ?", id]]);
  await w.live(120);
  expect(w.node(id)).toMatchObject({ slot, phase: { kind: "held", heldBy: "navarch" } });
  expect(w.node(id).instance?.id).toBe(instance?.id ?? ("" as never));
  expect(story.counts(w)).toEqual(before);
  expect(story.waitOf(w, id)).toBe("human");
  // Neither another start nor the row's own writing finds it a second time.
  await story.restart(w);
  await w.turn();
  expect(story.told(w, "store.quarantined")).toHaveLength(1);
  await story.order(w, id, "uncordon");
  await w.until(() => w.serving().length === 3, 120);
  expect(story.counts(w)).toEqual(before);
});

test("a pool that cannot be read is on hold, as large as it was, and gives no name twice", async () => {
  const w = await healthy();
  const before = story.counts(w);
  const names = new Set(w.nodes().map((node) => node.id));
  await restartWith(w, [["UPDATE pool SET doc = '{' WHERE name = 'p'"]]);
  await w.live(60);
  expect(story.counts(w)).toEqual(before);
  const [pool] = w.reconciler.fleet().pools.values();
  expect(pool).toMatchObject({ desired: 3, hold: { by: "navarch" } });
  const app = openWorldApp(w);
  expect((await app.call("DELETE", "/v1/pools/p/hold", { reason: "it is well" })).status).toBe(200);
  w.xid(firstOf(w).id, 79);
  await w.until(() => story.counts(w).asks > before.asks, 300);
  const fresh = w.nodes().filter((node) => !names.has(node.id));
  expect(fresh.map((node) => node.gen > 1_000)).toEqual([true]);
});

test("a node with an open operation that cannot be read is held, and nothing is called", async () => {
  const w = await healthy();
  const { id } = firstOf(w);
  const before = story.counts(w);
  const insert = `INSERT INTO operation (id, node, kind, state, asked_at, doc)
    VALUES (?, ?, 'terminate', 'asked', 1, '{}')`;
  await restartWith(w, [[insert, `${id}.9.terminate`, id]]);
  await w.live(60);
  expect(story.counts(w)).toEqual(before);
  expect(w.node(id).phase.kind).toBe("held");
});

test("a machine whose purchase cannot be read belongs to its node, and is not ended", async () => {
  const w = await healthy();
  const { id, instance } = firstOf(w);
  const before = story.counts(w);
  const node = { ...w.node(id), instance: null, operation: `${id}.1.create` };
  const asked = { ...node, phase: { kind: "requested", since: 1, attempt: 1, notBefore: 0 } };
  const doc = JSON.stringify({ ...asked, phase: { ...asked.phase, refusal: null }, agent: null });
  const insert = `INSERT INTO operation (id, node, kind, state, asked_at, doc)
    VALUES (?, ?, 'create', 'asked', 1, '{}')`;
  await restartWith(w, [
    ["UPDATE node SET doc = ?, instance = NULL, phase = 'requested' WHERE id = ?", doc, id],
    ["DELETE FROM operation WHERE node = ?", id],
    [insert, `${id}.1.create`, id],
  ]);
  await w.live(200);
  expect(story.counts(w)).toEqual(before);
  expect(w.node(id)).toMatchObject({ phase: { kind: "held" }, instance: { id: instance?.id } });
});

test("a freeze that cannot be read still freezes, also after the next start", async () => {
  const w = await healthy();
  const insert = `INSERT INTO meta (key, value) VALUES ('fact:freeze', '{"kind":"freeze"}')`;
  await restartWith(w, [[insert]]);
  expect(w.reconciler.fleet().facts.get("freeze")).toMatchObject({ by: "navarch", until: null });
  await w.turn();
  await story.restart(w);
  expect(w.reconciler.fleet().facts.get("freeze")).toMatchObject({ by: "navarch", until: null });
});

test("one unreadable finding of a waiting report does not take the others with it", async () => {
  const w = await healthy();
  const { id, agent } = firstOf(w);
  const bootId = String(agent?.bootId);
  const entry = {
    node: id,
    bootId,
    stream: "other",
    agentVersion: "1",
    simulated: true,
    inventory: null,
    check: null,
    findings: [
      { seq: 1, finding: { kind: "xid", code: null, mig: { gi: null } } },
      { seq: 2, finding: finding(bootId) },
    ],
    gaps: [],
    results: [],
  };
  const insert = "INSERT INTO inbox (node, received_at, doc) VALUES (?, '5', ?)";
  await restartWith(w, [[insert, id, JSON.stringify(entry)]]);
  await w.turn();
  expect(w.node(id).health.held.map((one) => one.finding.code)).toEqual([79]);
  expect(story.told(w, "store.quarantined")).toHaveLength(1);
});

test("a backup with rows that cannot be read restores, and ends and buys nothing", async () => {
  const w = await healthy();
  const { id } = firstOf(w);
  const before = story.counts(w);
  const file = String(Reflect.get(w, "url")).slice("file:".length);
  const backup = join(dirname(file), "old.backup");
  await restartWith(w, [["UPDATE node SET doc = '[]' WHERE id = ?", id]]);
  // Nothing was written yet that would repair it.
  await writeBackup(file, backup, { fleetId: "fleet", secret: "s" });
  const copy = createClient({ url: `file:${backup}` });
  await copy.execute("UPDATE pool SET doc = ''");
  copy.close();
  await w.crash();
  const answer = await restoreBackup(backup, dirname(file), w.clock.wallMs());
  expect(answer).toMatchObject({ kind: "ok", forgotten: 2 });
  await w.start();
  await w.live(120);
  expect(w.node(id).phase).toMatchObject({ kind: "held", heldBy: "navarch" });
  expect(story.counts(w)).toEqual(before);
  expect(story.wrongs(w)).toEqual([]);
  const rows = await story.storeOf(w).quarantine(9);
  expect(rows.map((row) => row.source).sort()).toEqual(["node", "pool"]);
});

const finding = (bootId: string) => ({
  kind: "xid",
  code: 79,
  pci: "0000:18:00.0",
  gpu_index: 0,
  gpu_uuid: "GPU-1",
  at: "2026-01-01T00:00:00Z",
  boot_id: bootId,
  severity: "fatal",
  message: "gone",
  source: "kmsg",
});
