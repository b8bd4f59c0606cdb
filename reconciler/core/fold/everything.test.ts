/** One activation's facts in their order, and what is believed of a cloud's list. */
import { describe, expect, test } from "bun:test";
import { compilePolicy, type CompiledPolicy } from "../../../health/policy/compile.ts";
import type { Command } from "../../../schema/command.ts";
import type {
  CommandId,
  InstanceId,
  NodeId,
  OperationId,
  PoolName,
  StreamId,
} from "../../../schema/id.ts";
import type { Node, Phase, PoolState } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import type { Fact } from "../../../schema/safety.ts";
import { factKey } from "../../../schema/safety.ts";
import {
  agentOf,
  findingOf,
  heldOf,
  instanceOf,
  kubeOf,
  nodeOf,
  operationOf,
  POOL,
  poolStateOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { readPolicy } from "../../config/policy.ts";
import { readConfig } from "../../config/read.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import type { Instance, Listing } from "../provider.ts";
import type { InboxEntry } from "../store.ts";
import { foldEverything, type FoldInput } from "./everything.ts";
import type { Sighting } from "./listing.ts";

const NOW = 1_000_000_000;
const MINUTE_MS = 60_000;
const RECORD: Fact = { kind: "record", since: 1 };

function policyOf(text: string) {
  const { policy } = readPolicy({ name: "p.yaml", text });
  const answer = policy === null ? null : compilePolicy(policy);
  if (answer === null || !answer.ok) throw new Error("the policy cannot be used");
  return answer.compiled;
}
const POLICY = policyOf(
  'rules:\n  - { name: bad, condition: "event.metrics.xid_code == 48", result: unhealthy, hold: until_reset }\n' +
    '  - { name: rest, condition: "true", result: healthy }\n',
);

function configOf(more = "") {
  const { config, problems } = readConfig([
    {
      name: "f",
      text:
        "server: { heartbeat_timeout: 60s }\nproviders: { fake: { type: fake } }\n" +
        "pools: { p: { provider: fake, instance_type: gpu_8x_h100, " +
        `scaling: { min_nodes: 1, max_nodes: 3 }, drain: { timeout: 5m } } }\n${more}`,
    },
  ]);
  if (config === null) throw new Error(JSON.stringify(problems));
  return config;
}
const CONFIG = configOf();

type World = {
  nodes?: Node[];
  operations?: Operation[];
  facts?: Fact[];
  pools?: PoolState[];
  policy?: CompiledPolicy;
} & Partial<Omit<FoldInput, "fleet">>;

function fold(world: World) {
  const {
    nodes = [],
    operations = [],
    facts = [RECORD],
    pools = [],
    policy = POLICY,
    ...more
  } = world;
  const mirror = newMirror();
  for (const node of nodes) mirror.nodes.set(node.id, node);
  for (const operation of operations) mirror.operations.set(operation.id, operation);
  for (const fact of facts) mirror.facts.set(factKey(fact), fact);
  for (const pool of pools) mirror.pools.set(pool.name, pool);
  const work = new UnitOfWork(mirror);
  const input: FoldInput = {
    fleet: { fleetId: "f", ...mirror },
    config: CONFIG,
    now: NOW,
    answers: [],
    listings: [],
    looks: [],
    entries: [],
    commands: [],
    sightings: new Map(),
    collapsed: new Map(),
    presence: new Map(nodes.map(({ id }) => [id, { silentMs: 0, heard: false }])),
    settleMs: new Map([["fake", 100]]),
    reaches: new Map(),
    blind: false,
    watchedMs: 0,
    cluster: null,
    slurm: null,
    ...more,
  };
  // A clone has no functions: what is folded is a value, and the same value folds the same.
  const again = new UnitOfWork(mirror);
  const repeated = foldEverything(structuredClone(input), policy, again);
  const result = foldEverything(input, policy, work);
  expect(repeated).toEqual(result);
  const change = work.finish();
  expect(again.finish()).toEqual(change);
  const kinds = (change?.events ?? []).map(({ kind }) => kind);
  return { result, change, kinds, work };
}

const seen = (id: string, more: Partial<Instance> = {}): Instance => ({
  id: id as InstanceId,
  name: id,
  hostKeys: null,
  failure: null,
  notice: null,
  token: null,
  state: "running",
  tags: {},
  region: null,
  zone: null,
  instanceType: "h100-8x",
  internalIp: null,
  externalIp: null,
  createdAtMs: 5,
  pricePerHour: 1,
  ...more,
});
const listing = (instances: Instance[], startedAt = NOW - 10): Listing => ({
  provider: "fake",
  startedAt,
  answer: { kind: "ok", instances },
});

describe("foldEverything()", () => {
  test("changes nothing where nothing has happened, and returns what it was given again", () => {
    const sightings = new Map([
      ["fake", new Map([["i" as InstanceId, { firstAt: 1, listings: 1, ignored: false }]])],
    ]);
    const collapsed = new Map([["fake", { at: 5, seen: 0, known: 1 }]]);
    const { result, change } = fold({ nodes: [nodeOf("n")], sightings, collapsed });
    expect(change).toBeNull();
    expect(result).toEqual({
      sightings,
      collapsed,
      listed: [],
      unlisted: [],
      removed: [],
      commands: [],
      problems: [],
      judged: { matches: [], shadows: [], errors: [] },
      known: null,
      knownSlurm: null,
    });
    expect(result.collapsed).not.toBe(collapsed);
  });

  test("begins the record once", () => {
    expect(fold({ facts: [] }).change?.facts).toEqual([{ kind: "record", since: NOW }]);
    expect(fold({}).change).toBeNull();
  });

  test("takes answers, and ends what was overtaken", () => {
    const payload: Payload = { kind: "cordon", why: "x" };
    const node = nodeOf("n", { operation: "n.1.cordon" as OperationId });
    const open = operationOf(node, payload);
    const outcome = { kind: "done", instance: null, message: null } as const;
    const told = fold({ nodes: [node], operations: [open], answers: [{ id: open.id, outcome }] });
    expect(told.kinds).toEqual(["node.cordoned"]);
    const gone: Phase = { kind: "gone", since: NOW, purpose: "lost" };
    const over = fold({
      nodes: [{ ...node, phase: gone }],
      operations: [{ ...open, attempts: 1 }],
    });
    expect(over.change?.operations[0]?.state).toBe("abandoned");
  });

  test("folds time, and leaves the Node of a record that is removed", () => {
    const node = unboughtOf("n", { pool: null, kube: kubeOf({ isolatedUid: null }) });
    const health = { ...node.health, silentSince: 1 };
    const { result, change } = fold({ nodes: [{ ...node, health }] });
    expect(result.removed.map(String)).toEqual(["n"]);
    expect(change?.facts.map(factKey)).toEqual(["leaving:uid-1"]);
  });

  test("looks at a cluster where there is one", () => {
    const cluster = { objects: [], known: null, onUncordon: "cancel" } as const;
    const leaving: Fact = { kind: "leaving", uid: "u9", name: "x", node: "m", pool: null, at: NOW };
    const node = nodeOf("n", { kube: kubeOf() });
    const { result, change, kinds } = fold({ nodes: [node], facts: [RECORD, leaving], cluster });
    expect(result.known?.names.size).toBe(0);
    expect(kinds).toEqual(["kube.lost"]);
    expect(change?.removedFacts).toEqual(["leaving:u9"]);
    expect(fold({ nodes: [node], facts: [RECORD, leaving] }).change).toBeNull();
  });

  test("judges again what is held by other rules, and what a discredited agent said", () => {
    const held = [heldOf({}, { metrics: {} }, { agent: "0.9" })];
    const make = (more: Partial<Node["health"]>): Node => {
      const node = nodeOf("n", { agent: agentOf({}, "1.0.0") });
      const health = {
        ...node.health,
        held,
        verdict: "unhealthy",
        lastCountedAt: NOW,
        ...more,
      } as const;
      return { ...node, health: { ...health, basis: POLICY.policy.hash } };
    };
    const fixed = { ...make({}).health, basis: "older", held: [heldOf({}, { code: 31 })] };
    const freed = fold({ nodes: [{ ...make({}), health: fixed }] });
    expect(freed.change?.nodes[0]?.health.held).toEqual([]);
    expect(freed.kinds).toEqual(["node.health"]);
    const discredited: Fact = { kind: "discredited", agent: "0.9", at: 1, why: "x" };
    const gone = fold({ nodes: [make({})], facts: [RECORD, discredited] });
    expect(gone.change?.nodes[0]?.health.held).toEqual([]);
    expect(gone.kinds).toEqual(["node.health"]);
    expect(fold({ nodes: [make({})] }).change).toBeNull();
  });
});

describe("foldEverything() of the labels of a pool", () => {
  const config = configOf();
  const [pool] = config.pools;
  if (pool === undefined) throw new Error("there is a pool");
  const other = { ...pool, name: "q" as PoolName, labels: { bad: "no" } };
  const labelled = { ...config, pools: [other, { ...pool, labels: { bad: "yes" } }] };
  const policy = policyOf(
    "rules:\n  - { name: mine, condition: \"node.labels.bad == 'yes'\", result: unhealthy, hold: until_reset }\n" +
      '  - { name: rest, condition: "true", result: healthy }\n',
  );

  test("judges a report, and what is held, by those of the node's own pool", () => {
    const entry = {
      node: "n" as NodeId,
      bootId: "boot-1",
      stream: "s" as StreamId,
      agentVersion: "1",
      simulated: false,
      inventory: null,
      check: null,
      findings: [{ seq: 1, finding: findingOf() }],
      gaps: [],
      results: [],
    };
    const entries = [{ id: 1, receivedAt: NOW, entry }];
    const at = (name: string) =>
      fold({ nodes: [nodeOf("n", { pool: name as PoolName })], config: labelled, policy, entries })
        .result.judged.matches[0]?.rule;
    expect([at("p"), at("q")]).toEqual(["mine", "rest"]);
    const sick = (name: string): Node => {
      const node = nodeOf("n", { pool: name as PoolName });
      const aside = [heldOf({ rule: "older" })];
      return { ...node, health: { ...node.health, aside, basis: "older" } };
    };
    const again = (name: string) =>
      fold({ nodes: [sick(name)], config: labelled, policy }).change?.nodes[0]?.health.held.length;
    expect([again("p"), again("q")]).toEqual([1, 0]);
  });
});

describe("foldEverything() of a person's order", () => {
  const order = (node: string): Command => ({
    id: "c1" as CommandId,
    node: node as NodeId,
    type: "cordon",
    reason: "disk",
    force: false,
    timeoutMs: null,
    issuedBy: "ann",
    issuedAt: 1,
    state: "accepted",
    message: null,
  });

  test("carries it out, and says so", () => {
    const { result, change, kinds } = fold({ nodes: [nodeOf("n")], commands: [order("n")] });
    const applied = { ...order("n"), state: "applied" as const };
    expect(result.commands).toEqual([applied]);
    expect(change?.commands).toEqual([applied]);
    expect(change?.nodes[0]?.cordon.human?.by).toBe("human:ann");
    expect(kinds).toEqual(["node.cordoned"]);
  });

  test("refuses one for a node that does not exist", () => {
    const { result, change } = fold({ commands: [order("x")] });
    const refused = { ...order("x"), state: "refused" as const, message: "no node x" };
    expect(result.commands).toEqual([refused]);
    expect(change?.commands).toEqual([refused]);
  });
});

describe("foldEverything() of a report", () => {
  const entry = (more: Partial<InboxEntry> = {}): InboxEntry => ({
    node: "n" as NodeId,
    bootId: "boot-1",
    stream: "s" as StreamId,
    agentVersion: "1.0.0",
    simulated: false,
    inventory: null,
    check: null,
    findings: [{ seq: 4, finding: findingOf() }],
    gaps: [],
    results: [],
    ...more,
  });
  const stored = (one: InboxEntry) => [{ id: 7, receivedAt: NOW - 1, entry: one }];

  test("takes it in once, with its findings", () => {
    const { result, change, kinds } = fold({ nodes: [nodeOf("n")], entries: stored(entry()) });
    expect(change?.foldedEntries).toEqual([7]);
    expect(change?.findings).toEqual([
      {
        node: "n" as NodeId,
        stream: "s" as StreamId,
        seq: 4,
        receivedAt: NOW - 1,
        finding: findingOf(),
      },
    ]);
    expect(change?.nodes[0]?.health.verdict).toBe("unhealthy");
    expect(kinds).toEqual(["node.finding", "node.unhealthy"]);
    expect(result.judged).toEqual({
      matches: [{ rule: "bad", result: "unhealthy" }],
      shadows: [],
      errors: [],
    });
    expect(result.problems).toEqual([]);
  });

  test("meets an agent that nobody asked for", () => {
    const { change } = fold({ entries: stored(entry({ node: "x" as NodeId })) });
    expect(change?.nodes[0]).toMatchObject({ id: "x", pool: null, phase: { kind: "verifying" } });
  });

  test("counts what a quarantined rule would say", () => {
    const rule = POLICY.rules.find((one) => one.rule.name === "bad")?.key ?? "";
    const quarantine: Fact = { kind: "quarantine", rule, at: 1, why: "x" };
    const { result } = fold({
      nodes: [nodeOf("n")],
      facts: [RECORD, quarantine],
      entries: stored(entry()),
    });
    expect(result.judged.shadows).toEqual([{ rule: "bad", result: "unhealthy" }]);
  });

  test("tells of a rule that cannot be evaluated", () => {
    const policy = policyOf(
      'rules:\n  - { name: odd, condition: "event.metrics.nothing > 3", result: unhealthy }\n' +
        '  - { name: rest, condition: "true", result: healthy }\n',
    );
    const { result } = fold({ nodes: [nodeOf("n")], entries: stored(entry()), policy });
    expect(result.judged.errors.map((one) => one.rule)).toEqual(["odd"]);
    expect(result.problems).toHaveLength(1);
    expect(result.problems[0]?.message).toStartWith("policy rule odd could not be evaluated: ");
    expect(result.problems[0]?.fields).toEqual({ rule: "odd" });
  });

  test("sets one aside that cannot be folded, loudly, and goes on", () => {
    const broken = { ...entry(), gaps: null } as unknown as InboxEntry;
    const { result, change } = fold({
      nodes: [nodeOf("n")],
      entries: [...stored(broken), { id: 8, receivedAt: NOW, entry: entry() }],
    });
    expect(change?.foldedEntries).toEqual([7, 8]);
    // The event is what is logged.
    expect(result.problems).toEqual([]);
    const [event] = change?.events ?? [];
    expect(event).toMatchObject({ kind: "node.gap", node: "n", pool: "p", at: NOW, session: null });
    expect(event?.message).toStartWith(
      "a report of n could not be processed and was quarantined: ",
    );
  });
});

const failed: Listing = {
  provider: "fake",
  startedAt: NOW,
  answer: { kind: "failed", class: "auth", message: "no key" },
};

describe("foldEverything() of a list that failed", () => {
  test("is a problem, and no list", () => {
    const { result } = fold({ listings: [failed], nodes: [nodeOf("n")] });
    expect(result.problems).toEqual([
      { message: "cannot list fake: no key", fields: { provider: "fake", class: "auth" } },
    ]);
    expect(result.unlisted.map(({ provider }) => provider)).toEqual(["fake"]);
    expect(result.listed).toEqual([]);
  });

  test.each([
    [NOW - 10 * MINUTE_MS + 1, true],
    [NOW - 10 * MINUTE_MS, false],
  ])("forgets a collapsed list after ten minutes: since %d, %p", (since, isKept) => {
    const { result } = fold({
      listings: [failed],
      collapsed: new Map([["fake", { at: since, seen: 0, known: 4 }]]),
    });
    expect(result.collapsed.has("fake")).toBe(isKept);
  });
});

describe("foldEverything() of a list that shows too little", () => {
  const fleet = (count: number, more: Partial<Node> = {}): Node[] =>
    Array.from({ length: count }, (_, i) => nodeOf(`n${i}`, more));
  const shown = (count: number) => Array.from({ length: count }, (_, i) => seen(`i-n${i}`));
  const doubts = (nodes: Node[], count: number, more: World = {}) =>
    fold({ nodes, listings: [listing(shown(count))], ...more }).result.problems[0]?.message ?? null;
  const say = (some: number, all: number) =>
    `fake lists ${some} of ${all} known instances: not believed yet`;

  test("does not miss what was absent from believed lists before", () => {
    const gone = {
      ...nodeOf("n0").instance,
      absentSince: 1,
      absentListings: 2,
    } as Node["instance"];
    const nodes = fleet(4).map((node, i) =>
      i < 3
        ? { ...node, instance: { ...node.instance, ...gone, id: `i-n${i}` } as Node["instance"] }
        : node,
    );
    expect(doubts(nodes, 0)).toBe(say(0, 1));
    expect(fold({ nodes, listings: [listing([seen("i-n3")])] }).result.problems).toEqual([]);
  });

  test("is believed if it shows as many others of the fleet, unless they have ended", () => {
    const others = [seen("a"), seen("b")];
    expect(fold({ nodes: fleet(4), listings: [listing(others)] }).result.problems).toEqual([]);
    const ended = others.map((one) => ({ ...one, state: "terminated" as const }));
    const { result } = fold({ nodes: fleet(4), listings: [listing(ended)] });
    expect(result.problems[0]?.message).toBe(say(0, 4));
  });

  test.each([
    [0, say(0, 4)],
    [1, say(1, 4)],
    [2, null],
  ])("of 4 that a restored backup knew it shows %d: %p", (some, expected) => {
    const knew: Fact = { kind: "record", since: NOW, knew: { fake: 4, other: 1 } };
    const { result, work } = fold({ nodes: [], listings: [listing(shown(some))], facts: [knew] });
    expect(result.problems[0]?.message ?? null).toBe(expected);
    // Until then alone: its machines are nodes again.
    const kept = work.change.facts.find((fact) => fact.kind === "record");
    expect(kept).toEqual(expected === null ? { ...knew, knew: { other: 1 } } : undefined);
  });

  test.each([
    [4, 1, say(1, 4)],
    [4, 2, null],
    [3, 1, say(1, 3)],
    [3, 2, null],
    [2, 1, null],
    [2, 0, say(0, 2)],
    [1, 0, say(0, 1)],
    [1, 1, null],
    [0, 0, null],
    [10, 4, say(4, 10)],
    [10, 5, null],
  ])("of %d it shows %d: %p", (known, some, expected) => {
    expect(doubts(fleet(known), some)).toBe(expected);
  });

  test("is not taken in, and remembered since when", () => {
    const { result, change } = fold({ nodes: fleet(4), listings: [listing([])] });
    expect(change).toBeNull();
    expect([result.listed, [...result.collapsed]]).toEqual([
      [],
      [["fake", { at: NOW, seen: 0, known: 4 }]],
    ]);
    expect(result.problems[0]?.fields).toEqual({ provider: "fake" });
    const later = new Map([["fake", { at: NOW - 5, seen: 1, known: 9 }]]);
    const again = fold({ nodes: fleet(4), listings: [listing([])], collapsed: later }).result;
    expect([...again.collapsed]).toEqual([["fake", { at: NOW - 5, seen: 0, known: 4 }]]);
  });

  test("is believed after ten minutes, or once it shows more", () => {
    const since = (ms: number) => new Map([["fake", { at: NOW - ms, seen: 0, known: 4 }]]);
    const at = (ms: number, count = 0) =>
      fold({ nodes: fleet(4), listings: [listing(shown(count))], collapsed: since(ms) });
    expect(at(10 * MINUTE_MS - 1).result.listed).toEqual([]);
    const believed = at(10 * MINUTE_MS);
    expect([believed.result.listed, believed.result.collapsed.size]).toEqual([["fake"], 0]);
    expect(believed.change?.nodes).toHaveLength(4);
    expect(at(1, 4).result.collapsed.size).toBe(0);
  });

  const phase = (kind: string): Partial<Node> => ({ phase: { kind, since: 1 } as Phase });
  test.each<[string, Partial<Node>]>([
    ["it has none", { instance: null }],
    ["it is another cloud's", { instance: instanceOf({ provider: "other" as PoolName }) }],
    ["it was bound after the list was begun", { instance: instanceOf({ boundAt: NOW - 9 }) }],
    ["its end was ordered", phase("terminating")],
    ["it is gone", phase("gone")],
    ["it has ended", { instance: instanceOf({ state: "terminated" }) }],
  ])("is not doubted for the machine of a node where %s", (_what, more) => {
    expect(doubts(fleet(5, more), 0)).toBeNull();
    const known = nodeOf("x", { instance: instanceOf({ boundAt: NOW - 10 }) });
    expect(doubts([...fleet(5, more), known], 0)).toBe(say(0, 1));
  });
});

describe("foldEverything() of a list", () => {
  const ask = {
    kind: "create",
    provider: "fake",
    offer: "o",
    request: { name: "x" },
  } as unknown as Payload;

  test("settles what it answers, counts what it does not, and writes what changed", () => {
    const node = nodeOf("n", {
      instance: null,
      phase: { kind: "requested", since: 1, attempt: 1, notBefore: 0, refusal: null },
      operation: "n.1.create" as OperationId,
    });
    const open = operationOf(node, ask);
    const found = fold({
      nodes: [node],
      operations: [open],
      listings: [listing([seen("i-1", { name: "x" })])],
    });
    expect(found.change?.operations[0]).toMatchObject({
      state: "done",
      message: "found in a listing",
    });
    expect(found.change?.nodes[0]?.phase.kind).toBe("booting");
    expect(found.result.listed).toEqual(["fake"]);
    const none = fold({ nodes: [node], operations: [open], listings: [listing([])] });
    expect(none.change?.operations[0]?.lookups).toBe(1);
    const late = fold({ operations: [{ ...open, askedAt: NOW - 109 }], listings: [listing([])] });
    expect(late.change).toBeNull();
    const stopped = fold({
      nodes: [nodeOf("n")],
      listings: [listing([seen("i-n", { state: "stopped" })])],
    });
    expect(stopped.change?.nodes[0]?.instance?.state).toBe("stopped");
  });

  test("is not asked for what was answered in the same activation", () => {
    const open = operationOf(nodeOf("n"), ask);
    const outcome = {
      kind: "refused",
      class: "capacity",
      message: "no",
      retryAfterMs: null,
    } as const;
    const { change } = fold({
      operations: [open],
      answers: [{ id: open.id, outcome }],
      listings: [listing([])],
    });
    expect(change?.operations[0]).toMatchObject({ state: "refused", lookups: 0 });
  });
});

const TAGS = {
  "navarch-pool": "p",
  "navarch-slot": "0",
  "navarch-gen": "4",
  "navarch-node": "p-0-4",
};
const ripe = (more: Partial<Sighting> = {}): FoldInput["sightings"] =>
  new Map([
    [
      "fake",
      new Map([
        ["i-5" as InstanceId, { firstAt: NOW - 100, listings: 1, ignored: false, ...more }],
      ]),
    ],
  ]);
const stray = (tags: Record<string, string> = TAGS, more: Partial<Instance> = {}): Listing[] => [
  listing([seen("i-5", { tags, ...more })]),
];

describe("foldEverything() of a machine that nobody claims", () => {
  const adopt = (more: World = {}) => {
    const { change, kinds, result } = fold({ sightings: ripe(), listings: stray(), ...more });
    const left = result.sightings.get("fake")?.get("i-5" as InstanceId) ?? null;
    return {
      node: change?.nodes.find(({ instance }) => instance?.id === "i-5") ?? null,
      kinds,
      left,
      change,
    };
  };

  test("adopts it when it was seen twice, and for as long as a list needs to settle", () => {
    const { node, kinds, left } = adopt();
    expect(node).toMatchObject({ id: "p-0-4", pool: "p", slot: 0, phase: { kind: "booting" } });
    expect([kinds, left]).toEqual([["instance.adopted"], null]);
    const early = adopt({ sightings: ripe({ firstAt: NOW - 99 }) });
    expect([early.node, early.left]).toEqual([
      null,
      { firstAt: NOW - 99, listings: 2, ignored: false },
    ]);
    const once = adopt({ sightings: ripe({ listings: 0 }) });
    expect([once.node, once.left?.listings]).toEqual([null, 1]);
    const first = adopt({ sightings: new Map() });
    expect([first.node, first.left?.listings]).toEqual([null, 1]);
  });

  test("adopts nothing while it does not trust its eyes", () => {
    const { node, left } = adopt({ blind: true });
    expect([node, left?.listings]).toEqual([null, 2]);
  });

  test("leaves alone, and notes, what names no pool that could be one", () => {
    const { node, left } = adopt({ listings: stray({}) });
    expect([node, left]).toEqual([null, { firstAt: NOW - 100, listings: 2, ignored: true }]);
  });

  test("gives the pool a next generation beyond it", () => {
    const nextGen = (before: number) =>
      adopt({ pools: [poolStateOf(1, { nextGen: before })] }).change?.pools[0]?.nextGen ?? null;
    expect([nextGen(3), nextGen(4), nextGen(5)]).toEqual([5, 5, null]);
  });

  const held: Phase = { kind: "held", since: 1, heldBy: "navarch", why: "x" };
  test("binds it to the node that is held for it, whose record cannot be read", () => {
    const waits = nodeOf("p-0-4", { instance: null, phase: held });
    const { node, kinds, left } = adopt({ nodes: [waits] });
    expect(node).toMatchObject({ id: "p-0-4", phase: held, instance: { boundAt: NOW } });
    expect(node?.instance?.adopted).toBeUndefined();
    expect([kinds, left]).toEqual([[], null]);
    const others = [
      { ...waits, phase: nodeOf("x").phase },
      { ...waits, instance: instanceOf({ id: "i-7" as InstanceId, boundAt: NOW }) },
      { ...waits, pool: null },
    ];
    for (const other of others) expect(adopt({ nodes: [other] }).node?.id).not.toBe("p-0-4");
  });

  test("binds one of two machines that name the same node that is held", () => {
    const waits = nodeOf("p-0-4", { instance: null, phase: held });
    const [first, second] = ["i-5", "i-6"].map((id) => seen(id, { tags: TAGS }));
    if (first === undefined || second === undefined) throw new Error("there are two");
    const sighting = { firstAt: 1, listings: 1, ignored: false };
    const both = new Map([first, second].map(({ id }) => [id, sighting]));
    const { change } = fold({
      nodes: [waits],
      sightings: new Map([["fake", both]]),
      listings: [listing([first, second])],
    });
    const bound = change?.nodes.find(({ id }) => id === waits.id);
    expect(bound?.instance?.id).toBe(first.id);
    expect(change?.nodes.map(({ id }) => String(id))).toEqual(["p-0-4", "i-6"]);
  });

  test("takes two machines for one slot as one node and a surplus", () => {
    const both = new Map([
      ["i-5" as InstanceId, { firstAt: 1, listings: 1, ignored: false }],
      ["i-6" as InstanceId, { firstAt: 1, listings: 1, ignored: false }],
    ]);
    const two = [
      listing([
        seen("i-5", { tags: TAGS }),
        seen("i-6", { tags: { ...TAGS, "navarch-node": "p-0-9" } }),
      ]),
    ];
    const { kinds } = fold({ sightings: new Map([["fake", both]]), listings: two });
    expect(kinds).toEqual(["instance.adopted", "instance.surplus"]);
  });
});

describe("foldEverything() of a slot that may want a machine", () => {
  const became = (more: World = {}, listings = stray()) => {
    const { change } = fold({ sightings: ripe(), listings, ...more });
    const node = change?.nodes.find(({ instance }) => instance?.id === "i-5");
    const pool = change?.pools.find(({ name }) => name === POOL);
    return { phase: node?.phase ?? null, desired: pool?.desired ?? null };
  };
  const surplus = { kind: "draining", purpose: "surplus", deadlineAt: NOW + 5 * MINUTE_MS };
  const taken = (slot: number, more: Partial<Node> = {}): Node =>
    nodeOf(`t${slot}`, {
      slot,
      instance: instanceOf({ id: `i-t${slot}` as InstanceId, boundAt: NOW }),
      ...more,
    });

  test.each<[string, Record<string, string>, Partial<Instance>]>([
    ["its pool is none of ours", { ...TAGS, "navarch-pool": "q" }, {}],
    ["it ends already", TAGS, { state: "terminating" }],
  ])("is a surplus where %s", (_what, tags, more) => {
    const { phase } = became({}, stray(tags, more));
    expect(phase).toMatchObject({ purpose: "surplus" });
  });

  test("is a surplus of its slot where another node is there, for as long as its pool drains", () => {
    expect(became({ nodes: [taken(0)] }).phase).toMatchObject(surplus);
    const larger = poolStateOf(3, { nextGen: 9 });
    expect(became({ nodes: [taken(0)], pools: [larger] }).phase).toMatchObject(surplus);
    const elsewhere: [string, Partial<Node>][] = [
      ["is of another pool", { pool: "q" as PoolName }],
      ["has no slot", { slot: null, instance: null }],
      ["is gone", { phase: { kind: "gone", since: NOW, purpose: "lost" } }],
    ];
    for (const [, more] of elsewhere) {
      expect(became({ nodes: [taken(0, more)] }).phase?.kind).toBe("booting");
    }
  });

  test("may have the slot of a node that a person has put aside, and no list shows", () => {
    const absent = instanceOf({ id: "i-t0" as InstanceId, boundAt: NOW, absentListings: 1 });
    const human = { product: null, human: { by: "human:ann", why: "x", at: 1 } };
    const held: Phase = { kind: "held", since: 1, heldBy: "human:ann", why: "x" };
    const at = (more: Partial<Node>) => became({ nodes: [taken(0, more)] }).phase?.kind;
    expect(at({ cordon: human, instance: absent })).toBe("booting");
    expect(at({ phase: held, instance: absent })).toBe("booting");
    expect(at({ phase: held })).toBe("draining");
    expect(at({ instance: absent })).toBe("draining");
  });

  test("is wanted up to the pool's size", () => {
    expect(became({ nodes: [taken(1)] }).phase).toMatchObject(surplus);
    expect(became({ nodes: [taken(1)], pools: [poolStateOf(2, { nextGen: 9 })] })).toMatchObject({
      phase: { kind: "booting" },
      desired: null,
    });
  });

  test("raises a size that is only the configuration's guess, up to its most", () => {
    const nodes = [taken(1), taken(2)];
    const guess = poolStateOf(2, { nextGen: 9, desiredBy: "config" });
    expect(became({ nodes, pools: [guess] })).toMatchObject({
      phase: { kind: "booting" },
      desired: 3,
    });
    const said = poolStateOf(2, { nextGen: 9, desiredBy: "human:ann" });
    expect(became({ nodes, pools: [said] })).toMatchObject({ phase: surplus, desired: null });
    const full = [...nodes, taken(3)];
    expect(became({ nodes: full, pools: [guess] })).toMatchObject({
      phase: surplus,
      desired: null,
    });
  });
});
