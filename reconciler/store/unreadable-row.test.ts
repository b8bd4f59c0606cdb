/** Rows that cannot be read: what is left of them, where they go, and what stays readable. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as v from "valibot";
import {
  attemptOf,
  breakerOf,
  commandOf,
  credentialOf,
  eventOf,
  type FileStore,
  findingOf,
  freezeOf,
  entryOf,
  nodeId,
  nodeOf,
  openFileStore,
  operationOf,
  poolOf,
  streamId,
} from "../../test/fixture/plane/rows.ts";
import type { UnreadableRow } from "../../schema/quarantine.ts";
import { parseDoc, readDoc, readFact, readJson } from "./document.ts";
import { readEntry } from "./inbox-entry.ts";
import { unreadable } from "./load.ts";
import { emptyChange } from "../core/store.ts";

describe("readDoc()", () => {
  const schema = v.object({ deep: v.object({ at: v.number() }) });

  test("reads what fits, and names the first place that does not", () => {
    expect(readDoc(schema, '{"deep":{"at":3}}')).toEqual({ ok: true, value: { deep: { at: 3 } } });
    expect(readDoc(schema, '{"deep":{"at":null}}')).toEqual({
      ok: false,
      reason: "deep.at: Invalid type: Expected number but received null",
    });
    expect(readDoc(schema, "7")).toEqual({
      ok: false,
      reason: "document: Invalid type: Expected Object but received 7",
    });
    expect(readJson("{half")).toEqual({ ok: false, reason: "not JSON, 5 characters" });
    expect(readDoc(schema, "{half")).toEqual({ ok: false, reason: "not JSON, 5 characters" });
  });

  test("keeps the reason short, whatever the row holds", () => {
    const long = v.object({ a: v.pipe(v.string(), v.maxLength(1, "x".repeat(900))) });
    const read = readDoc(long, '{"a":"bb"}');
    expect(read).toEqual({ ok: false, reason: `a: ${"x".repeat(297)}` });
  });

  test("parseDoc() throws with what the row is", () => {
    expect(parseDoc(v.number(), "3", "join use")).toBe(3);
    expect(() => parseDoc(v.number(), '"3"', "join use")).toThrow(
      "join use: stored document is invalid at document: " +
        'Invalid type: Expected number but received "3"',
    );
  });

  test("readFact() has none for a kind of a newer release, and refuses a damaged known one", () => {
    const freeze = freezeOf("maintenance");
    expect(readFact(JSON.stringify(freeze))).toEqual({ ok: true, value: freeze });
    expect(readFact('{"kind":"of-2027","at":"soon"}')).toEqual({ ok: true, value: null });
    expect(readFact(JSON.stringify({ ...freeze, at: "soon" })).ok).toBe(false);
    expect(readFact('{"why":"no kind"}').ok).toBe(false);
  });
});

describe("readEntry()", () => {
  const finding = { seq: 1, finding: findingOf(79) };
  const gap = { seq: 2, reason: "kernel_ring", count: 3, at: "2026-03-01T10:00:00Z" } as const;
  const entry = entryOf("n1", { findings: [finding], gaps: [gap] });
  const raw = (change: object) => JSON.stringify({ ...entry, ...change });

  test("reads a whole letter", () => {
    expect(readEntry(raw({}))).toEqual({ kind: "whole", entry });
  });

  test("reads where it came from and what the cloud announced, also beside damage", () => {
    const origin = { address: "192.0.2.7", vouched: true, pod: { node: "k1", uid: null } };
    const notice = { kind: "preemption", at: gap.at, message: "in two minutes" } as const;
    const whole = { ...entry, origin, notice };
    expect(readEntry(JSON.stringify(whole))).toEqual({ kind: "whole", entry: whole });
    const part = readEntry(raw({ origin, notice, check: 7 }));
    expect(part).toMatchObject({ kind: "part", entry: whole });
    const damaged = readEntry(raw({ origin: { address: 7 }, notice: 7 }));
    expect(damaged).toMatchObject({ kind: "part", entry });
    expect(damaged.kind === "part" && "origin" in damaged.entry).toBe(false);
  });

  test("loses of a damaged one only what is damaged", () => {
    const findings = [{ seq: 9, finding: { mig: 1 } }, finding];
    expect(readEntry(raw({ findings, check: 7 }))).toEqual({
      kind: "part",
      entry,
      reason: "check: Invalid type: Expected Object but received 7",
    });
    const lists = readEntry(raw({ findings: "none", gaps: [gap, { seq: 0 }], results: null }));
    const part = { findings: [], gaps: [gap], results: [] };
    expect(lists).toMatchObject({ kind: "part", entry: part });
  });

  test("keeps inventory and check beside a damaged finding", () => {
    const whole = { inventory: { hostname: "h", gpus: [] }, check: { at: gap.at, driver: "ok" } };
    const read = readEntry(raw({ ...whole, findings: [7] }));
    const { inventory } = read.kind === "none" ? entry : read.entry;
    expect([read.kind, inventory?.hostname]).toEqual(["part", "h"]);
  });

  test("has nothing of one that does not say whose it is", () => {
    for (const change of [{ node: 3 }, { stream: null }, { bootId: [] }, { simulated: "no" }])
      expect(readEntry(raw(change)).kind).toBe("none");
    expect(readEntry("{")).toEqual({ kind: "none", reason: "not JSON, 1 characters" });
  });
});

describe("a store with damaged rows", () => {
  let at: FileStore;
  beforeEach(async () => {
    at = await openFileStore();
  });
  afterEach(() => at.close());

  test("load() leaves them out with key, text and reason, and reads all others", async () => {
    const many = {
      nodes: [nodeOf("n1"), nodeOf("n2"), nodeOf("n3")],
      pools: [poolOf("p", 1), poolOf("q", 2)],
      operations: [operationOf("o1"), operationOf("o2", { node: nodeId("n2") })],
      commands: [commandOf("c1"), commandOf("c2")],
      facts: [freezeOf("f"), breakerOf("fleet"), breakerOf("pool:p")],
    };
    await at.store.commit({ ...emptyChange(), ...many });
    await at.run("UPDATE node SET doc = '{' WHERE id = 'n1'");
    await at.run(`UPDATE node SET doc = replace(doc, '"n2"', '"n9"') WHERE id = 'n2'`);
    await at.run("UPDATE pool SET doc = '[' WHERE name = 'p'");
    await at.run("UPDATE operation SET doc = 'o' WHERE id = 'o1'");
    await at.run("UPDATE command SET doc = 'cc' WHERE id = 'c1'");
    await at.run("UPDATE meta SET value = 'fff' WHERE key = 'fact:freeze'");
    await at.run(`UPDATE meta SET value = replace(value, '"fleet"', '"pool:q"')`);
    await at.run(`INSERT INTO meta (key, value) VALUES ('fact:new', '{"kind":"of-2027"}')`);
    const read = await at.store.load();
    expect(read.nodes).toEqual([nodeOf("n3")]);
    expect(read.pools).toEqual([poolOf("q", 2)]);
    expect(read.openOperations.map((one): string => one.id)).toEqual(["o2"]);
    expect(read.openCommands.map((one): string => one.id)).toEqual(["c2"]);
    expect(read.facts).toEqual([breakerOf("pool:p")]);
    const rows = read.unreadable.map(({ doc, ...row }) => ({ ...row, doc: doc.length > 5 || doc }));
    const common = { pool: null, stays: false, columns: {} };
    const owner = { ...common, node: "n1" };
    const columns = { phase: "requested", instance: null };
    const not = (chars: number) => `not JSON, ${chars} characters`;
    const reason = "it is the fact breaker:pool:q";
    const fact = { ...common, source: "fact", node: null };
    const nodeRow = { ...common, columns, source: "node", pool: "p" };
    const sorted = rows.toSorted((a, b) => (a.source + a.key < b.source + b.key ? -1 : 1));
    expect(sorted as unknown[]).toEqual([
      { ...owner, source: "command", key: "c1", doc: "cc", reason: not(2) },
      { ...fact, key: "fact:breaker:fleet", doc: true, reason },
      { ...fact, key: "fact:freeze", doc: "fff", reason: not(3) },
      { ...nodeRow, key: "n1", node: "n1", doc: "{", reason: not(1) },
      { ...nodeRow, key: "n2", node: "n2", doc: true, reason: "it names n9 and is the row of n2" },
      { ...owner, source: "operation", key: "o1", doc: "o", reason: not(1) },
      { ...common, source: "pool", node: null, key: "p", pool: "p", doc: "[", reason: not(1) },
    ]);
  });

  test("load() reads what it can of the inbox, and no place beyond 2^53 in a stream", async () => {
    const finding = { seq: 1, finding: findingOf(79) };
    const entries = [entryOf("n1", { findings: [finding] }), entryOf("n2"), entryOf("n3")];
    const mark = (id: string, seq: number) => ({ node: nodeId(id), stream: streamId("s"), seq });
    const cursors = [mark("n1", 4), mark("n2", 5), mark("n3", 6)];
    const told = entries.map((entry) => ({ entry, receivedAt: 5 }));
    await at.store.appendEntries(told, cursors);
    await at.run(`UPDATE inbox SET doc = replace(doc, '"check":null', '"check":1') WHERE id = 1`);
    await at.run("UPDATE inbox SET doc = 'x' WHERE id = 2");
    await at.run("UPDATE cursor SET seq = 9007199254740993 WHERE node = 'n1'");
    await at.run("UPDATE cursor SET seq = 9007199254740991 WHERE node = 'n2'");
    const { entries: read, cursors: places, unreadable: bad } = await at.store.load();
    expect(read.map(({ id }) => id)).toEqual([1, 3]);
    expect(read.map(({ entry }) => entry)).toEqual(entries.filter((_, i) => i !== 1));
    expect(places).toEqual([mark("n2", 9_007_199_254_740_991), mark("n3", 6)]);
    const check = "check: Invalid type: Expected Object but received 1";
    const seq = "seq: beyond 2^53 - 1";
    expect(bad).toMatchObject([
      { source: "inbox", key: "1", stays: true, node: "n1", reason: check },
      { source: "inbox", key: "2", stays: false, node: "n2", reason: "not JSON, 1 characters" },
      { source: "cursor", key: "n1 s", stays: false, node: "n1", reason: seq },
    ]);
    await at.run("UPDATE cursor SET seq = -1 WHERE node = 'n2'");
    expect((await at.store.load()).cursors).toEqual([mark("n3", 6)]);
  });

  test("a credential that cannot be read, or is another's, counts as revoked", async () => {
    for (const id of ["good", "bad", "swapped", "node:n1"])
      await at.store.saveCredential(credentialOf(id));
    await at.run("UPDATE credential SET doc = '{' WHERE id IN ('bad', 'node:n1')");
    const swap = `doc = replace(doc, '"swapped"', '"good"')`;
    await at.run(`UPDATE credential SET ${swap} WHERE id = 'swapped'`);
    const label = "the stored record cannot be read";
    const revoked = (id: string, role: string, node: string | null) => ({
      ...{ id, hash: `hash of ${id}`, role, node, label, createdAt: 0, createdBy: "navarch" },
      ...{ expiresAt: null, revokedAt: 0 },
    });
    const { credentials, unreadable: bad } = await at.store.load();
    const byId = credentials.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    expect(byId).toEqual([
      revoked("bad", "viewer", null),
      credentialOf("good"),
      revoked("node:n1", "node", "n1"),
      revoked("swapped", "viewer", null),
    ] as never);
    const reason = "not JSON, 1 characters";
    const other = "it is the document of another credential";
    expect(bad.toSorted((a, b) => (a.key < b.key ? -1 : 1))).toMatchObject([
      { key: "bad", node: null, reason, columns: { hash: "hash of bad" } },
      { key: "node:n1", node: "n1", reason, columns: { hash: "hash of node:n1" } },
      { key: "swapped", node: null, reason: other, columns: { hash: "hash of swapped" } },
    ]);
    // Once set aside, the row itself says so.
    await at.store.commit({ ...emptyChange(), quarantined: bad });
    expect((await at.store.load()).unreadable).toEqual([]);
    const again = (await at.store.credentials()).toSorted((a, b) => (a.id < b.id ? -1 : 1));
    expect(again).toEqual(byId);
  });

  const mark = (name: string) => ({ node: nodeId("n1"), stream: streamId(name), seq: 1 });
  const rowOf = (source: UnreadableRow["source"], key: string, stays = false): UnreadableRow =>
    unreadable({ source, key, node: "n1", doc: `doc of ${key}`, stays }, "because");

  test("what is set aside leaves its place, and what is of use stays", async () => {
    const finding = { ...mark("s"), receivedAt: 1, finding: findingOf(1) };
    await at.store.commit({
      ...emptyChange(),
      nodes: [nodeOf("n1")],
      pools: [poolOf("p", 1)],
      operations: [operationOf("o1"), operationOf("o2", { node: nodeId("n2") })],
      commands: [commandOf("c1"), commandOf("c2")],
      facts: [freezeOf("f"), breakerOf("fleet")],
      findings: [1, 2].map((seq) => ({ ...finding, seq })),
      events: [eventOf(1), eventOf(2)],
    });
    const entries = [1, 2].map((receivedAt) => ({ entry: entryOf("n1"), receivedAt }));
    await at.store.appendEntries(entries, [mark("s"), mark("t")]);
    for (const n of [1, 2]) await at.store.saveBootstrap(attemptOf("n1", n));
    const keys: [UnreadableRow["source"], string][] = [
      ["node", "n1"],
      ["pool", "p"],
      ["operation", "o1"],
      ["command", "c1"],
      ["fact", "fact:freeze"],
      ["inbox", "1"],
      ["cursor", "n1 s"],
      ["finding", "1"],
      ["event", "1"],
      ["bootstrap", "n1 1"],
    ];
    const told: unknown[] = [];
    at.store.on("quarantined", (rows) => void told.push(rows));
    const stays = [rowOf("inbox", "2", true), rowOf("operation", "o2", true)];
    const quarantined = [...keys.map(([source, key]) => rowOf(source, key)), ...stays];
    await at.store.commit({ ...emptyChange(), quarantined, events: [eventOf(77)] });
    expect(told).toEqual([quarantined]);
    const left = async (what: string) => (await at.run(`SELECT ${what}`)).flat();
    // A node and a pool are written over by what takes their place.
    expect(await left("id FROM node")).toEqual(["n1"]);
    expect(await left("name FROM pool")).toEqual(["p"]);
    expect(await left("id FROM operation")).toEqual(["o2"]);
    expect(await left("id FROM command")).toEqual(["c2"]);
    expect(await left("key FROM meta WHERE key LIKE 'fact:%'")).toEqual(["fact:breaker:fleet"]);
    expect(await left("id FROM inbox")).toEqual([2]);
    expect(await left("stream FROM cursor")).toEqual(["t"]);
    expect(await left("seq FROM finding")).toEqual([2]);
    expect(await left("at FROM event")).toEqual([2, 77]);
    expect(await left("attempt FROM bootstrap")).toEqual([2]);
    const aside = await at.store.quarantine(99);
    expect(aside.map(({ source, key }) => `${source} ${key}`)).toEqual(
      quarantined.map(({ source, key }) => `${source} ${key}`).reverse(),
    );
    expect(aside.at(-1)).toEqual({
      ...{ id: 1, source: "node", key: "n1", node: "n1", pool: null, at: 77, reason: "because" },
      doc: "doc of n1",
    });
    expect(await at.store.quarantine(2)).toEqual(aside.slice(0, 2));
  });

  test("the same row set aside again is one row with the newest text", async () => {
    const [first, other] = [rowOf("node", "n1"), rowOf("node", "n2")];
    await at.store.commit({ ...emptyChange(), quarantined: [first, other], events: [eventOf(5)] });
    const again = { ...first, doc: "new", reason: "still", node: null, pool: "p" };
    const before = Date.now();
    await at.store.commit({ ...emptyChange(), quarantined: [again] });
    const [, row] = await at.store.quarantine(9);
    expect(row).toMatchObject({ id: 1, doc: "new", reason: "still", node: null, pool: "p" });
    // Without an event to take the time from, the database's clock tells it, in whole seconds.
    expect(row?.at).toBeWithin(Math.floor(before / 1_000) * 1_000, Date.now() + 1);
    expect(await at.store.quarantine(9)).toHaveLength(2);
  });

  test("the oldest of too many set aside are dropped", async () => {
    const rows = Array.from({ length: 1_003 }, (_, i) => rowOf("event", `${i}`));
    await at.store.commit({ ...emptyChange(), quarantined: rows });
    const kept = async () => {
      const keys = (await at.store.quarantine(2_000)).map(({ key }) => key);
      return [keys.length, keys[0], keys.at(-1)];
    };
    expect(await kept()).toEqual([1_000, "1002", "3"]);
    await at.store.commit({ ...emptyChange(), quarantined: [rowOf("event", "one more")] });
    expect(await kept()).toEqual([1_000, "one more", "4"]);
  });

  test("a row of another kind with the id of a credential revokes nobody", async () => {
    await at.store.saveCredential(credentialOf("n1"));
    await at.store.commit({ ...emptyChange(), quarantined: [rowOf("node", "n1")] });
    expect(await at.store.credentials()).toEqual([credentialOf("n1")]);
  });

  test("a reader that leads sets aside what it meets; any other only leaves it out", async () => {
    const finding = { ...mark("s"), receivedAt: 1, finding: findingOf(1) };
    const done = { state: "done" as const };
    await at.store.commit({
      ...emptyChange(),
      operations: [operationOf("o1", done), operationOf("o2"), operationOf("o3", done)],
      commands: [commandOf("c1"), commandOf("c2", { state: "applied" }), commandOf("c3")],
      findings: [1, 2].map((seq) => ({ ...finding, seq })),
      events: [eventOf(1), eventOf(2)],
    });
    for (const n of [1, 2]) await at.store.saveBootstrap(attemptOf("n1", n));
    await at.run("UPDATE operation SET doc = '{' WHERE id IN ('o1', 'o2')");
    await at.run("UPDATE command SET doc = '{' WHERE id IN ('c1', 'c2')");
    await at.run("UPDATE finding SET doc = '{' WHERE seq = 1");
    await at.run("UPDATE event SET kind = 'of-2027' WHERE at = 1");
    await at.run("UPDATE bootstrap SET doc = '{' WHERE attempt = 1");
    const told: string[] = [];
    at.store.on("quarantined", (rows) => {
      told.push(...rows.map(({ source, key, node }) => `${source} ${key} ${node}`));
    });
    const standby = at.store.led(99, () => undefined);
    const node = nodeId("n1");
    const all = { node: null, pool: null, since: null, after: null, limit: 9 };
    for (const store of [standby, at.store]) {
      expect((await store.operations(node, 9)).map((one): string => one.id)).toEqual(["o3"]);
      const commands = await store.commands({ node: null, limit: 9 });
      expect(commands.map(({ id }): string => id)).toEqual(["c3"]);
      expect(await store.findings(node, 9)).toHaveLength(1);
      expect((await store.events(all)).map((event) => event.at)).toEqual([2]);
      expect((await store.bootstraps(node, 9)).map(({ attempt }) => attempt)).toEqual([2]);
      if (store === standby) expect(told).toEqual([]);
    }
    expect(told.toSorted()).toEqual([
      "bootstrap n1 1 n1",
      "command c1 n1",
      "command c2 n1",
      "event 1 n1",
      "finding 1 n1",
      "operation o1 n1",
      "operation o2 n1",
    ]);
    // Open ones stay: what they mean is decided by whoever leads.
    expect((await at.run("SELECT id FROM operation ORDER BY id")).flat()).toEqual(["o2", "o3"]);
    expect((await at.run("SELECT id FROM command ORDER BY id")).flat()).toEqual(["c1", "c3"]);
    expect((await at.run("SELECT seq FROM finding")).flat()).toEqual([2]);
    expect(await at.store.command("c1")).toBeNull();
  });

  test("readPast() goes on behind a page of nothing but damaged rows", async () => {
    const one = (seq: number) => ({
      ...{ node: nodeId("n1"), stream: streamId("s"), seq, receivedAt: seq },
      finding: findingOf(seq),
    });
    const findings = [1, 2, 3, 4, 5].map(one);
    await at.store.commit({ ...emptyChange(), findings });
    await at.run("UPDATE finding SET doc = '{' WHERE seq < 4");
    const pageAfter = (after: number | null) =>
      at.store.pastFindings({ since: 0, after, limit: 2 });
    const row = (id: number) => {
      return { id, node: nodeId("n1"), receivedAt: id, finding: findingOf(id) };
    };
    expect(await pageAfter(null)).toEqual([row(4)]);
    expect(await pageAfter(4)).toEqual([row(5)]);
    expect(await pageAfter(5)).toEqual([]);
  });
});
