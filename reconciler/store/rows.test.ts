/** What one transaction keeps, and what is read back of it, for every kind of row. */
import { afterEach, beforeEach, expect, test } from "bun:test";
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
  poolName,
  poolOf,
  streamId,
} from "../../test/fixture/plane/rows.ts";
import { emptyChange, isEmptyChange } from "../core/store.ts";

let at: FileStore;
beforeEach(async () => {
  at = await openFileStore();
});
afterEach(() => at.close());

const instance = (id: string) => ({
  ...{ id, provider: "fake", state: "running", region: null, zone: null, instanceType: "t" },
  ...{ internalIp: null, externalIp: null, pricePerHour: null, boundAt: 1, absentSince: null },
});

test("isEmptyChange() is true of nothing to write, and of nothing else", () => {
  expect(isEmptyChange(emptyChange())).toBe(true);
  const row: never = {} as never;
  for (const part of Object.keys(emptyChange()))
    expect([part, isEmptyChange({ ...emptyChange(), [part]: [row] })]).toEqual([part, false]);
});

test("commit() keeps what is true now, and the newest of each", async () => {
  const first = { nodes: [nodeOf("n1"), nodeOf("n2")], pools: [poolOf("p", 2)] };
  const facts = [freezeOf("first")];
  const change = { operations: [operationOf("o1")], commands: [commandOf("c1")], facts };
  await at.store.commit({ ...emptyChange(), ...first, ...change });
  expect(await at.store.load()).toMatchObject({
    ...first,
    openOperations: change.operations,
    openCommands: change.commands,
    facts,
    unreadable: [],
  });
  const next = { nodes: [nodeOf("n1", { fence: 9 })], pools: [poolOf("p", 3)] };
  const done = { operations: [operationOf("o1", { state: "done", closedAt: 8 })] };
  const applied = { commands: [commandOf("c1", { state: "applied", message: "cordoned" })] };
  const other = { facts: [freezeOf("second")] };
  await at.store.commit({ ...emptyChange(), ...next, ...done, ...applied, ...other });
  const again = await (await at.reopen()).load();
  expect(again.nodes).toEqual([...next.nodes, nodeOf("n2")]);
  expect(again).toMatchObject({ pools: next.pools, openOperations: [], openCommands: [] });
  expect(again.facts).toEqual(other.facts);
  expect(await at.store.operations(nodeId("n1"), 9)).toEqual(done.operations);
  expect(await at.store.command("c1")).toEqual(applied.commands[0] ?? null);
  // The columns by which rows are found say the same as their documents.
  expect(await at.run("SELECT state, kind, node, asked_at FROM operation")).toEqual([
    ["done", "terminate", "n1", 1],
  ]);
  expect(await at.run("SELECT state, node, issued_at FROM command")).toEqual([
    ["applied", "n1", 1],
  ]);
});

test("commit() forgets nodes, facts and letters that it is told to, and no others", async () => {
  const entries = ["n1", "n2", "n1"].map((id, i) => ({ entry: entryOf(id), receivedAt: i }));
  const ids = await at.store.appendEntries(entries, []);
  const nodes = [nodeOf("n1"), nodeOf("n2")];
  const breaker = breakerOf("fleet");
  await at.store.commit({ ...emptyChange(), nodes, facts: [freezeOf("f"), breaker] });
  const foldedEntries = ids.slice(0, 1);
  expect(ids).toEqual([1, 2, 3]);
  const removed = { removedNodes: [nodeId("n1")], removedFacts: ["freeze"], foldedEntries };
  await at.store.commit({ ...emptyChange(), ...removed });
  const { nodes: left, facts, entries: unread } = await at.store.load();
  expect(left.map((one): string => one.id)).toEqual(["n2"]);
  expect(facts).toEqual([breaker]);
  expect(unread.map(({ id, receivedAt }) => [id, receivedAt])).toEqual([
    [2, 1],
    [3, 2],
  ]);
});

test("commit() frees the instance of a node that is gone, and keeps any other's", async () => {
  const holding = (id: string, gone: boolean) =>
    nodeOf(id, {
      instance: instance("i-1") as never,
      ...(gone ? { phase: { kind: "gone", since: 1, purpose: "replace" } as const } : {}),
    });
  await at.store.commit({ ...emptyChange(), nodes: [holding("n1", false), nodeOf("n2")] });
  expect(await at.run("SELECT id, pool, phase, instance FROM node ORDER BY id")).toEqual([
    ["n1", "p", "requested", "fake/i-1"],
    ["n2", "p", "requested", null],
  ]);
  await at.store.commit({ ...emptyChange(), nodes: [holding("n1", true), holding("n3", false)] });
  expect(await at.run("SELECT id, phase, instance FROM node ORDER BY id")).toEqual([
    ["n1", "gone", null],
    ["n2", "requested", null],
    ["n3", "requested", "fake/i-1"],
  ]);
});

test("commit() of nothing writes nothing", async () => {
  await at.store.commit(emptyChange());
  let asked = 0;
  const stale = at.store.led(99, () => asked++);
  await stale.commit(emptyChange());
  expect(asked).toBe(0);
});

test("commit() writes no document that could not be read back", async () => {
  const wrong = { ...nodeOf("n1"), fence: 0.5 };
  const bad = [
    { nodes: [wrong] },
    { pools: [{ ...poolOf("p", 1), name: 7 as never }] },
    { operations: [operationOf("o1", { attempts: 1e999 })] },
    { commands: [commandOf("c1", { issuedAt: -1 })] },
    { facts: [{ ...freezeOf("f"), at: 0.5 } as never] },
  ];
  for (const part of bad)
    expect(at.store.commit({ ...emptyChange(), nodes: [nodeOf("n9")], ...part })).rejects.toThrow();
  const nothing = { nodes: [], pools: [], openOperations: [], facts: [] };
  expect(await at.store.load()).toMatchObject(nothing);
});

test("a finding is kept once, with what it is found by", async () => {
  const row = (seq: number, code: number) => ({
    ...{ node: nodeId("n1"), stream: streamId("s"), seq, receivedAt: 10 * seq },
    finding: findingOf(code),
  });
  await at.store.commit({ ...emptyChange(), findings: [row(1, 79), row(2, 48)] });
  await at.store.commit({ ...emptyChange(), findings: [row(2, 31), row(3, 94)] });
  expect(await at.store.findings(nodeId("n1"), 2)).toEqual([
    { receivedAt: 30, finding: findingOf(94) },
    { receivedAt: 20, finding: findingOf(48) },
  ]);
  expect(await at.store.findings(nodeId("n2"), 2)).toEqual([]);
  expect(await at.run("SELECT node, stream, seq, received_at, kind, code FROM finding")).toEqual([
    ["n1", "s", 1, 10, "xid", 79],
    ["n1", "s", 2, 20, "xid", 48],
    ["n1", "s", 3, 30, "xid", 94],
  ]);
});

test("events() narrows by node, pool and time, and pages on from a number", async () => {
  const other = { node: nodeId("n2"), pool: poolName("q"), actor: "human:ann" };
  const events = [eventOf(10), eventOf(20, other), eventOf(30), eventOf(40, other)];
  await at.store.commit({ ...emptyChange(), events });
  const all = { node: null, pool: null, since: null, after: null, limit: 9 };
  const of = async (part: object) =>
    (await at.store.events({ ...all, ...part })).map((event) => event.at);
  const [, second] = await at.store.events(all);
  expect(second).toEqual({ id: 2, ...eventOf(20, other) });
  expect(await of({})).toEqual([10, 20, 30, 40]);
  expect(await of({ node: "n2" })).toEqual([20, 40]);
  expect(await of({ pool: "p" })).toEqual([10, 30]);
  expect(await of({ since: 30 })).toEqual([30, 40]);
  expect(await of({ limit: 3 })).toEqual([20, 30, 40]);
  expect(await of({ after: 1, limit: 2 })).toEqual([20, 30]);
  expect(await of({ after: 2, node: "n2" })).toEqual([40]);
  expect(await of({ after: 4 })).toEqual([]);
});

test("events() pages back from a number, and narrows by kind and text", async () => {
  const events = [
    eventOf(10, { message: "XID 79 on GPU 3" }),
    eventOf(20, { kind: "node.silent", message: "100%_sure" }),
    eventOf(30, { message: "xid 13" }),
  ];
  await at.store.commit({ ...emptyChange(), events });
  const all = { node: null, pool: null, since: null, after: null, limit: 9 };
  const of = async (part: object) =>
    (await at.store.events({ ...all, ...part })).map((event) => event.at);
  expect(await of({ before: 3 })).toEqual([10, 20]);
  expect(await of({ before: 3, limit: 1 })).toEqual([20]);
  expect(await of({ before: 1 })).toEqual([]);
  expect(await of({ kind: "node.silent" })).toEqual([20]);
  expect(await of({ text: "XiD" })).toEqual([10, 30]);
  expect(await of({ text: "%_s" })).toEqual([20]);
  expect(await of({ text: "_", before: 2 })).toEqual([]);
});

test("operations() and commands() are of one node, the newest first", async () => {
  const done = { state: "done" } as const;
  const operations = [1, 2, 3].map((n) => operationOf(`o${n}`, { ...done, askedAt: n }));
  const foreign = operationOf("o9", { ...done, node: nodeId("n2"), askedAt: 9 });
  const commands = [1, 2, 3].map((n) => commandOf(`c${n}`, { issuedAt: n }));
  const others = [commandOf("c9", { node: nodeId("n2"), issuedAt: 9 })];
  const both = { operations: [...operations, foreign], commands: [...commands, ...others] };
  await at.store.commit({ ...emptyChange(), ...both });
  expect(await at.store.operations(nodeId("n1"), 2)).toEqual(operations.slice(1).reverse());
  expect(await at.store.operations(nodeId("n2"), 2)).toEqual([foreign]);
  const of = async (node: string | null, limit: number): Promise<string[]> =>
    (await at.store.commands({ node, limit })).map(({ id }) => id);
  expect(await of(null, 2)).toEqual(["c9", "c3"]);
  expect(await of("n1", 2)).toEqual(["c3", "c2"]);
  expect(await at.store.command("c2")).toEqual(commands[1] ?? null);
  expect(await at.store.command("c0")).toBeNull();
});

test("appendEntries() keeps letters in order and the furthest place of each stream", async () => {
  const mark = (seq: number) => ({ node: nodeId("n1"), stream: streamId("s"), seq });
  const entries = [7, 8].map((receivedAt) => ({ entry: entryOf("n1"), receivedAt }));
  expect(await at.store.appendEntries(entries, [mark(5)])).toEqual([1, 2]);
  expect(await at.store.appendEntries([], [mark(3)])).toEqual([]);
  const { entries: kept, cursors } = await at.store.load();
  expect(cursors).toEqual([mark(5)]);
  expect(kept).toEqual(entries.map((one, i) => ({ id: i + 1, ...one })));
  expect(await at.run("SELECT node, received_at FROM inbox")).toEqual([
    ["n1", 7],
    ["n1", 8],
  ]);
  // A stream is as old as the last letter with a word from it.
  expect(await at.run("SELECT at FROM cursor")).toEqual([[0]]);
  await at.store.appendEntries(entries, [mark(6)]);
  expect(await at.run("SELECT seq, at FROM cursor")).toEqual([[6, 7]]);
});

test("credentials are kept again under the same id", async () => {
  const two = [credentialOf("a"), credentialOf("b")];
  for (const one of two) await at.store.saveCredential(one);
  const revoked = { ...credentialOf("a"), revokedAt: 9 };
  await at.store.saveCredential(revoked);
  expect(await at.store.credentials()).toEqual([revoked, credentialOf("b")]);
  expect((await at.store.load()).credentials).toEqual([revoked, credentialOf("b")]);
});

test("first() gives everybody the value that was given first", async () => {
  expect(await at.store.first("k", "one")).toBe("one");
  expect(await at.store.first("k", "two")).toBe("one");
  expect(await at.store.first("other", "two")).toBe("two");
});

test("the last fifty set-up attempts of a node are kept, as written last", async () => {
  for (let n = 1; n <= 52; n++) await at.store.saveBootstrap(attemptOf("n1", n));
  await at.store.saveBootstrap(attemptOf("n2", 1));
  const done = { ...attemptOf("n1", 52), state: "done" as const, endedAt: 99 };
  await at.store.saveBootstrap(done);
  const of = async (id: string, limit: number) => at.store.bootstraps(nodeId(id), limit);
  expect(await of("n1", 2)).toEqual([done, attemptOf("n1", 51)]);
  const kept = (await of("n1", 99)).map(({ attempt }) => attempt);
  expect(kept).toEqual(Array.from({ length: 50 }, (_, i) => 52 - i));
  expect(await of("n2", 99)).toEqual([attemptOf("n2", 1)]);
});

test("deliveries of one node wait for its oldest, and those of another do not", async () => {
  const one = (node: string, body: string, notBefore: number) => ({
    ...{ kind: "webhook", node, body, notBefore },
  });
  const deliveries = [one("n1", "a", 10), one("n1", "b", 0), one("n2", "c", 0), one("n3", "d", 5)];
  await at.store.commit({ ...emptyChange(), deliveries });
  const due = async (now: number, limit = 9) =>
    (await at.store.deliveries(now, limit)).map(({ body }) => body);
  expect(await due(4)).toEqual(["c"]);
  expect(await due(5)).toEqual(["c", "d"]);
  expect(await due(10)).toEqual(["a", "c", "d"]);
  expect(await due(10, 2)).toEqual(["a", "c"]);
  await at.store.settleDelivery(1, { kind: "retry", notBefore: 20 });
  expect(await due(19)).toEqual(["c", "d"]);
  const [first] = await at.store.deliveries(20, 1);
  expect(first).toEqual({ id: 1, ...one("n1", "a", 20), attempts: 1 });
  await at.store.settleDelivery(1, { kind: "delivered" });
  await at.store.settleDelivery(3, { kind: "dropped" });
  expect(await due(20)).toEqual(["b", "d"]);
});

test("probe() says whether a write works", async () => {
  expect(await at.store.probe()).toEqual({ ok: true });
  expect(await at.store.probe()).toEqual({ ok: true });
  expect(await at.run("SELECT value FROM meta WHERE key = 'probe'")).toEqual([["1"]]);
  const late = at.store.led(99, () => undefined);
  const message = "epoch 99 is over: another process leads";
  expect(await late.probe()).toEqual({ ok: false, message });
});
