/** What becomes of the fleet where a stored row cannot be read: nothing is taken for absent. */
import { describe, expect, test } from "bun:test";
import type { InstanceId, NodeId, OperationId, PoolName } from "../../../schema/id.ts";
import type { Node, PoolState } from "../../../schema/node.ts";
import type { UnreadableRow } from "../../../schema/quarantine.ts";
import type { Fact } from "../../../schema/safety.ts";
import {
  agentOf,
  gpuOf,
  heldOf,
  instanceOf,
  nodeOf,
  operationOf,
  POOL,
  poolStateOf,
} from "../../../test/world/part.ts";
import type { Snapshot } from "../store.ts";
import { newNode } from "./new-node.ts";
import { quarantineEvent, recoverSnapshot } from "./unreadable.ts";

const NOW = 1_700_000_000_000;
const YEAR_MS = 365 * 24 * 3_600_000;

const row = (
  source: UnreadableRow["source"],
  more: Partial<UnreadableRow> = {},
): UnreadableRow => ({
  source,
  key: "k",
  node: null,
  pool: null,
  reason: "bad",
  doc: "{}",
  columns: {},
  stays: false,
  ...more,
});

function recover(unreadable: UnreadableRow[], more: Partial<Snapshot> = {}) {
  const empty = {
    nodes: [],
    pools: [],
    openOperations: [],
    openCommands: [],
    entries: [],
    facts: [],
  };
  const { snapshot, change } = recoverSnapshot(
    { ...empty, unreadable, ...more } as unknown as Snapshot,
    NOW,
  );
  const said = change.events.map(({ message }) => message);
  return { snapshot, change, said };
}

const HELD = (why: string) => ({ kind: "held", since: NOW, heldBy: "navarch", why }) as const;
const held = (node: Node, why: string): Node => ({
  ...node,
  phase: HELD(why),
  operation: null,
  order: null,
  fence: node.fence + 1,
});
const stopped = (pool: PoolState, why: string, by = "navarch"): PoolState => ({
  ...pool,
  hold: { by, why, until: NOW + YEAR_MS },
});

describe("recoverSnapshot()", () => {
  test("changes nothing where every row can be read", () => {
    const { snapshot, change } = recover([], { nodes: [nodeOf("n")] });
    expect(snapshot.nodes).toEqual([nodeOf("n")]);
    expect([change.nodes, change.events, change.quarantined]).toEqual([[], [], []]);
  });

  test.each<UnreadableRow["source"]>([
    "command",
    "inbox",
    "cursor",
    "finding",
    "event",
    "bootstrap",
  ])("only sets aside what is a %s", (source) => {
    const one = row(source, { node: "n", pool: "p" });
    const { snapshot, change, said } = recover([one], {
      nodes: [nodeOf("n")],
      pools: [poolStateOf(1)],
    });
    expect(change).toMatchObject({ nodes: [], pools: [], facts: [], removedNodes: [] });
    expect(change.quarantined).toEqual([one]);
    expect([snapshot.nodes, snapshot.pools]).toEqual([[nodeOf("n")], [poolStateOf(1)]]);
    expect(said).toEqual([`the stored ${source} k cannot be read and was quarantined: bad`]);
  });

  test.each<[UnreadableRow["source"], string, string]>([
    ["operation", "its stored operation cannot be read: bad", "node n is held"],
    ["credential", "its stored credential cannot be read: bad", "node n is held"],
  ])("holds the node of an %s", (source, why, more) => {
    const order = {
      goal: "drain",
      by: "ann",
      why: "",
      force: false,
      at: 1,
      timeoutMs: null,
    } as const;
    const node = nodeOf("n", { fence: 4, operation: "n.4.cordon" as OperationId, order });
    const { snapshot, change, said } = recover([row(source, { node: "n" })], {
      nodes: [node, nodeOf("m")],
    });
    expect(snapshot.nodes).toEqual([held(node, why), nodeOf("m")]);
    expect(change.nodes).toEqual([held(node, why)]);
    expect(said[0]).toEndWith(`bad; ${more}`);
  });

  test("holds no node that is gone, or that nobody knows", () => {
    const gone = nodeOf("n", { phase: { kind: "gone", since: 1, purpose: "lost" } });
    expect(recover([row("operation", { node: "n" })], { nodes: [gone] }).change.nodes).toEqual([]);
    expect(recover([row("operation", { node: "x" })], { nodes: [gone] }).change.nodes).toEqual([]);
    const { change, said } = recover([row("credential")], { nodes: [nodeOf("n")] });
    expect(change.nodes).toEqual([]);
    expect(said[0]).toEndWith("bad; it counts as revoked");
  });

  const restrains = ["freeze", "breaker:fleet", "quarantine:r@1", "discredited:1.0", "lemon:GPU-1"];
  test.each(restrains)("freezes the fleet without the fact %s", (name) => {
    const { snapshot, change, said } = recover([row("fact", { key: `fact:${name}` })]);
    const why = "its stored fact cannot be read: bad";
    const freeze = { kind: "freeze", by: "navarch", why, at: NOW, until: null, all: true } as const;
    expect(snapshot.facts).toEqual([freeze]);
    expect(change.facts).toEqual([freeze]);
    expect(said[0]).toEndWith("bad; the fleet is frozen: see `navarch safety`, then unfreeze it");
  });

  test.each(["fact:rate", "fact:seen:rule:x", "fact:freezer", "freeze", "x fact:freeze"])(
    "does not without %s",
    (key) => {
      const { snapshot, change } = recover([row("fact", { key })]);
      expect([snapshot.facts, change.facts]).toEqual([[], []]);
    },
  );

  test("freezes by a fact alone, once, and not over a person's word", () => {
    expect(recover([row("event", { key: "fact:freeze" })]).change.facts).toEqual([]);
    const rows = [row("fact", { key: "fact:lemon:a" }), row("fact", { key: "fact:lemon:b" })];
    const twice = recover(rows);
    expect(twice.snapshot.facts).toHaveLength(1);
    expect(twice.change.facts).toHaveLength(1);
    const own: Fact = { kind: "freeze", by: "human:ann", why: "x", at: 1, until: null };
    const record: Fact = { kind: "record", since: 1 };
    const kept = recover(rows, { facts: [record, own] });
    expect(kept.snapshot.facts).toEqual([record, own]);
    expect(kept.change.facts).toEqual([]);
    const other = recover(rows, { facts: [record] });
    expect(other.snapshot.facts.map(({ kind }) => kind)).toEqual(["record", "freeze"]);
    expect(other.change.facts.map(({ kind }) => kind)).toEqual(["freeze"]);
  });
});

describe("recoverSnapshot() of a pool", () => {
  const doc = (pool: object): string => JSON.stringify(pool);
  const one = (more: Partial<UnreadableRow> = {}) => row("pool", { key: "p", pool: "p", ...more });
  const why = "its stored pool cannot be read: bad";

  test("keeps what can be read, and puts it on hold for as long as a person needs", () => {
    const before = { ...poolStateOf(4, { nextGen: 12, desiredBy: "human:ann" }), failures: "x" };
    const { snapshot, change, said } = recover([one({ doc: doc(before) })]);
    const expected = stopped(poolStateOf(4, { nextGen: 12, desiredBy: "human:ann" }), why);
    expect(snapshot.pools).toEqual([expected]);
    expect(change.pools).toEqual([expected]);
    expect(said[0]).toEndWith("bad; the pool is on hold: check its size, then resume it");
  });

  test("without a word is as large as it has nodes, under names that no node had", () => {
    const nodes = [
      nodeOf("a", { slot: 0, gen: 3 }),
      nodeOf("b", { slot: 1, gen: 9, phase: { kind: "gone", since: 1, purpose: "lost" } }),
      nodeOf("c", { slot: 2, gen: 5 }),
      nodeOf("d", { slot: 2, gen: 6 }),
      nodeOf("e", { slot: 7, gen: 99, pool: "q" as PoolName }),
    ];
    const { snapshot } = recover([one({ doc: "nonsense" })], { nodes });
    const fresh = { desiredBy: "navarch", desiredAt: NOW, nextGen: 1_000_009 };
    expect(snapshot.pools).toEqual([stopped(poolStateOf(2, fresh), why)]);
    expect(recover([one({ doc: "[]" })]).snapshot.pools).toEqual([
      stopped(poolStateOf(0, { ...fresh, nextGen: 1_000_000 }), why),
    ]);
    expect(recover([one({ doc: "null" })]).snapshot.pools[0]?.desired).toBe(0);
    expect(recover([one({ doc: "7" })]).snapshot.pools[0]?.desired).toBe(0);
  });

  test("is the pool of its row, whatever its text says", () => {
    const { snapshot } = recover([
      one({ doc: doc(poolStateOf(4, { name: "other" as PoolName })) }),
    ]);
    expect(snapshot.pools.map(({ name }) => String(name))).toEqual(["p"]);
  });

  test("whose name cannot be read is only set aside", () => {
    const { snapshot, change } = recover([row("pool", { key: "", pool: "" })], {
      pools: [poolStateOf(1)],
    });
    expect(snapshot.pools).toEqual([poolStateOf(1)]);
    expect(change.pools).toEqual([]);
  });

  test.each([
    [NOW + YEAR_MS - 1, "navarch"],
    [NOW + YEAR_MS, "human:ann"],
    [NOW + YEAR_MS + 1, "human:ann"],
  ])("keeps a hold of a person that lasts longer: %d is %s", (until, by) => {
    const hold = { by: "human:ann", why: "x", until };
    const { snapshot } = recover([one({ doc: doc(poolStateOf(4, { hold })) })]);
    expect(snapshot.pools[0]?.hold?.by).toBe(by);
  });
});

const text = (node: object): string => JSON.stringify(node);
const damaged = (more: object = {}, over: Partial<UnreadableRow> = {}): UnreadableRow => {
  const doc = { ...nodeOf("p-3-17", { slot: 3, gen: 17, fence: 5 }), ...more };
  const columns = { phase: "serving", instance: "fake/i-p-3-17" };
  return row("node", {
    key: "p-3-17",
    node: "p-3-17",
    pool: "p",
    doc: text(doc),
    columns,
    ...over,
  });
};
const WHY = "its stored record cannot be read: bad";

describe("recoverSnapshot() of a node", () => {
  test("holds it with what can be read, for a person", () => {
    const sane = nodeOf("p-3-17", { slot: 3, gen: 17, fence: 5 });
    const order = { goal: "drain", by: "ann", why: "", force: false, at: 1, timeoutMs: null };
    const { snapshot, change, said } = recover([damaged({ cordon: "x", order })]);
    const expected = held({ ...sane, cordon: { product: null, human: null } }, WHY);
    expect(snapshot.nodes).toEqual([expected]);
    expect(change.nodes).toEqual([expected]);
    expect(change.pools).toEqual([]);
    expect(said).toEqual([
      "the stored node p-3-17 cannot be read and was quarantined: bad; " +
        "the node is held: uncordon it when it is well, or terminate it",
    ]);
  });

  test("gives one of which nothing can be read its slot, its machine and a fence above any", () => {
    const lost = damaged({}, { doc: "nonsense" });
    const { snapshot } = recover([lost]);
    const base = newNode({
      id: "p-3-17" as NodeId,
      pool: POOL,
      slot: 3,
      gen: 17,
      at: NOW,
      replaces: null,
    });
    const instance = instanceOf({
      id: "i-p-3-17" as InstanceId,
      instanceType: "",
      pricePerHour: null,
      boundAt: NOW,
      adopted: true,
    });
    const fresh = { ...base, fence: NOW, sessions: NOW, instance };
    expect(snapshot.nodes).toEqual([held(fresh, WHY)]);
  });

  test("keeps what is open for it, so that its answer finds it", () => {
    const open = operationOf(nodeOf("p-3-17"), { kind: "cordon", why: "x" });
    const other = operationOf(nodeOf("m"), { kind: "cordon", why: "x" });
    const { snapshot } = recover([damaged({ cordon: "x" })], { openOperations: [other, open] });
    expect(snapshot.nodes[0]?.operation).toBe(open.id);
  });

  test("lets no damaged text say which node, pool, slot or generation it is", () => {
    const { snapshot } = recover([
      damaged({ cordon: "x", id: "p-0-1", pool: "q", slot: 0, gen: 1 }),
    ]);
    expect(snapshot.nodes[0]).toMatchObject({ id: "p-3-17", pool: "p", slot: 3, gen: 17 });
  });

  test("believes the row's column about its machine, not the text", () => {
    const machine = (over: Partial<UnreadableRow>, more: object = {}) =>
      recover([damaged({ cordon: "x", ...more }, over)]).snapshot.nodes[0]?.instance ?? null;
    const own = instanceOf({ id: "i-p-3-17" as InstanceId });
    expect(machine({})).toEqual(own);
    expect(machine({ columns: { instance: "fake/i-9" } })).toMatchObject({
      id: "i-9",
      provider: "fake",
      state: "running",
      adopted: true,
      boundAt: NOW,
    });
    expect(machine({ columns: { instance: "other/i-p-3-17" } })?.provider).toBe(
      "other" as PoolName,
    );
    expect(machine({ columns: { instance: "fake/a/b" } })?.id).toBe("a/b" as InstanceId);
    expect(machine({ columns: { instance: null } })).toBeNull();
    expect(machine({ columns: {} })).toBeNull();
    expect(machine({ columns: { instance: "nonsense" } })).toBeNull();
    expect(machine({ columns: { instance: "fake/i-9" } }, { instance: null })?.id).toBe(
      "i-9" as InstanceId,
    );
    expect(machine({ columns: { instance: null } }, { instance: null })).toBeNull();
  });

  test("reads slot and generation from a name that was given at birth, and from no other", () => {
    const at = (key: string, more: Partial<UnreadableRow> = {}) => {
      const one = damaged({ cordon: "x", slot: 8, gen: 9 }, { key, node: key, ...more });
      const node = recover([one]).snapshot.nodes[0];
      return [node?.slot, node?.gen];
    };
    expect(at("p-12-340")).toEqual([12, 340]);
    expect(at("p-12-x")).toEqual([8, 9]);
    expect(at("p-12-3-x")).toEqual([8, 9]);
    expect(at("p-12-3", { pool: null })).toEqual([8, 9]);
    const bare = recover([damaged({}, { key: "gpu-a", doc: "nonsense" })]).snapshot.nodes[0];
    expect([bare?.slot, bare?.gen, bare?.pool]).toEqual([null, 0, POOL]);
  });

  test("stops the pool of a node whose slot is not known", () => {
    const one = damaged({}, { key: "gpu-a", node: "gpu-a", doc: "nonsense" });
    const { change, said } = recover([one], { pools: [poolStateOf(3)] });
    expect(change.pools).toEqual([stopped(poolStateOf(3), "the slot of node gpu-a is not known")]);
    expect(said[0]).toEndWith("or terminate it; its pool is on hold");
    const known = recover([damaged({}, { doc: "nonsense" })], { pools: [poolStateOf(3)] });
    expect(known.change.pools).toEqual([]);
    const stray = recover([{ ...one, pool: null }], { pools: [poolStateOf(3)] });
    expect(stray.change.pools).toEqual([]);
    expect(stray.said[0]).toEndWith("or terminate it");
    // A pool that nobody knows cannot be stopped.
    expect(recover([one]).change.pools).toEqual([]);
  });

  test("forgets a row of a node that was gone", () => {
    const { snapshot, change, said } = recover([
      damaged({ cordon: "x" }, { columns: { phase: "gone" } }),
    ]);
    expect(change.removedNodes.map(String)).toEqual(["p-3-17"]);
    expect([snapshot.nodes, change.nodes]).toEqual([[], []]);
    expect(said).toEqual(["the stored node p-3-17 cannot be read and was quarantined: bad"]);
  });

  test("recovers nodes first, so that what concerns one finds it, and a pool counts them", () => {
    const operation = row("operation", { node: "p-3-17", reason: "worse" });
    const pool = row("pool", { key: "p", pool: "p", doc: "nonsense" });
    const { snapshot, said } = recover([operation, pool, damaged({ cordon: "x" })]);
    const why = "its stored operation cannot be read: worse";
    expect(snapshot.nodes[0]?.phase).toEqual(HELD(why));
    expect(snapshot.pools[0]).toMatchObject({ desired: 1, nextGen: 1_000_017 });
    expect(said.map((message) => message.split(" ")[2])).toEqual(["node", "pool", "operation"]);
  });
});

describe("recoverSnapshot() of descriptions that cannot be read", () => {
  const gpus = [gpuOf(0), gpuOf(1)];
  const agent = agentOf({ gpus });
  const odd = (place: (doc: Record<string, never>) => void): UnreadableRow => {
    const whole = nodeOf("p-3-17", { slot: 3, gen: 17, fence: 5, agent, phase: nodeOf("x").phase });
    const health = {
      ...whole.health,
      held: [heldOf(), heldOf({}, {}, { key: "b" })],
      aside: [heldOf()],
    };
    const doc = JSON.parse(text({ ...whole, health })) as Record<string, never>;
    place(doc);
    return damaged({}, { doc: text(doc) });
  };
  type Doc = { health: { held: Loose[]; aside: Loose[] }; agent: { inventory: { gpus: Loose[] } } };
  type Loose = Record<string, unknown> & { finding: Record<string, unknown> };
  const at = (change: (doc: Doc) => void) => recover([odd((doc) => change(doc as unknown as Doc))]);

  test("empties them there, and the node goes on as it was", () => {
    const { snapshot, said, change } = at((doc) => {
      for (const one of [doc.health.held[0], doc.health.aside[0]])
        if (one !== undefined) one.finding["mig"] = { gi: -3 };
      const gpu = doc.agent.inventory.gpus[1];
      if (gpu !== undefined) gpu["serial"] = 7;
    });
    const [node] = snapshot.nodes;
    expect(node?.phase.kind).toBe("serving");
    expect(node?.fence).toBe(5);
    expect(node?.health.held.map(({ key, finding }) => [key, finding.mig])).toEqual([
      ["xid/48/node", null],
      ["b", null],
    ]);
    expect(node?.agent?.inventory.gpus.map(({ serial }) => serial)).toEqual([null, null]);
    expect(change.nodes).toEqual(snapshot.nodes);
    expect(said[0]).toEndWith("bad; its description was emptied there, and the node goes on");
  });

  test("empties the innermost place that may be empty, and nothing beside it", () => {
    const { snapshot } = at((doc) => {
      const finding = doc.health.held[0]?.finding;
      if (finding !== undefined) finding["pid"] = "x";
    });
    expect(snapshot.nodes[0]?.health.held[0]).toEqual({
      ...heldOf(),
      finding: { ...heldOf().finding, pid: null },
    });
  });

  test.each<[string, (doc: Doc) => void]>([
    ["a finding without its boot", (doc) => delete doc.health.held[0]?.finding["boot_id"]],
    ["an entry that is none", (doc) => (doc.health.held[0] = 7 as never)],
    ["an entry without its time", (doc) => delete doc.health.held[0]?.["lastAt"]],
    ["what is no description", (doc) => ((doc as unknown as Loose)["cordon"] = "x")],
    ["the boot of its agent", (doc) => ((doc.agent as unknown as Loose)["bootId"] = 7)],
  ])("holds the node where more is lost: %s", (_what, change) => {
    expect(at(change).snapshot.nodes[0]?.phase).toEqual(HELD(WHY));
  });

  test("holds a node whose text is another node's", () => {
    const whole = text({ ...nodeOf("p-0-1"), agent: { ...agent, inventory: null } });
    expect(recover([damaged({}, { doc: whole })]).snapshot.nodes[0]).toMatchObject({
      id: "p-3-17",
      phase: { kind: "held" },
    });
  });

  test("gives up where nearly everything would have to be emptied", () => {
    const many = (count: number) =>
      at((doc) => {
        const gpu = doc.agent.inventory.gpus[0];
        doc.agent.inventory.gpus = Array.from({ length: count }, () => ({
          ...(gpu as Loose),
          serial: 7,
        }));
      }).snapshot.nodes[0]?.phase.kind;
    expect([many(63), many(64)]).toEqual(["serving", "held"]);
  });
});

test("quarantineEvent() names node and pool only where they are names", () => {
  const named = quarantineEvent(row("event", { node: "n", pool: "p" }), NOW, "then");
  expect(named).toEqual({
    at: NOW,
    kind: "store.quarantined",
    node: "n" as NodeId,
    pool: POOL,
    session: null,
    actor: "navarch",
    message: "the stored event k cannot be read and was quarantined: bad; then",
  });
  const odd = quarantineEvent(row("event", { node: "", pool: "" }), NOW);
  expect([odd.node, odd.pool]).toEqual([null, null]);
  expect(odd.message).toEndWith("quarantined: bad");
});
