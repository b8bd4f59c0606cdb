/** What a complete list of a cloud says of machines that are known, asked for, or nobody's. */
import { describe, expect, test } from "bun:test";
import type { InstanceId, NodeId, OperationId, PoolName } from "../../../schema/id.ts";
import type { InstanceFact, Node, Phase } from "../../../schema/node.ts";
import type { Operation, Payload } from "../../../schema/operation.ts";
import type { Fact } from "../../../schema/safety.ts";
import { alike } from "../../../test/world/alike.ts";
import {
  agentOf,
  fleetOf,
  instanceOf,
  nodeOf,
  operationOf,
  POOL,
} from "../../../test/world/part.ts";
import type { Instance } from "../provider.ts";
import {
  adoptInstance,
  bindInstance,
  foldListing,
  type Adoption,
  type Sighting,
} from "./listing.ts";
import { ABSENT_LISTINGS_MIN } from "../provider.ts";
import { newNode } from "./new-node.ts";
import { REACHES_ANY } from "../reach.ts";

const NOW = 1_000_000;
const STARTED = NOW - 100;
const FAKE = "fake" as PoolName;

function seen(id: string, more: Partial<Instance> = {}): Instance {
  const { state, region, zone, instanceType, internalIp, externalIp, pricePerHour } = instanceOf();
  const place = { state, region, zone, instanceType, internalIp, externalIp, pricePerHour };
  const bare = {
    hostKeys: null,
    failure: null,
    notice: null,
    token: null,
    tags: {},
    createdAtMs: 1,
  };
  return { ...place, ...bare, id: id as InstanceId, name: id, ...more };
}

type Case = {
  nodes?: Node[];
  operations?: Operation[];
  instances?: Instance[];
  sightings?: Map<InstanceId, Sighting>;
  silentMs?: number | null;
  heard?: boolean;
  startedAt?: number;
};

function fold({ nodes = [], operations = [], instances = [], ...more }: Case) {
  const { silentMs = null, heard = false, startedAt = STARTED, sightings = new Map() } = more;
  return foldListing(
    fleetOf(nodes, [], [], operations),
    "fake",
    { startedAt, instances },
    {
      now: NOW,
      settleMs: 50,
      reach: REACHES_ANY,
      sightings,
      presence: alike({ silentMs, heard }),
      heartbeatTimeoutMs: 60_000,
    },
  );
}

const known = (more: Partial<InstanceFact> = {}, over: Partial<Node> = {}): Node =>
  nodeOf("n", { instance: instanceOf(more), ...over });
const terminating: Phase = {
  kind: "terminating",
  since: 1,
  purpose: "replace",
  accepted: null,
  notBefore: 0,
};

describe("foldListing() of a machine that it shows", () => {
  const absent = known({ absentSince: 5, absentListings: 3 });

  test("changes nothing where nothing has changed", () => {
    const { nodes, sightings, answers, operations } = fold({
      nodes: [known()],
      instances: [seen("i-1")],
    });
    expect([nodes, [...sightings], answers, operations]).toEqual([[], [], [], []]);
  });

  test("takes its state, addresses and keys, and that it is there", () => {
    const shows = seen("i-1", {
      state: "stopped",
      internalIp: "10.0.0.1",
      externalIp: "192.0.2.1",
      pricePerHour: 4,
      hostKeys: ["A"],
    });
    expect(fold({ nodes: [absent], instances: [shows] }).nodes).toEqual([
      {
        ...absent,
        instance: {
          ...instanceOf(),
          state: "stopped",
          internalIp: "10.0.0.1",
          externalIp: "192.0.2.1",
          pricePerHour: 4,
          hostKeys: ["A"],
          // The price until now, which the row did not record apart.
          cost: { to: 0, pricePerHour: 1, endedAt: null },
        },
      },
    ]);
  });

  test("keeps the price and the keys that the cloud does not tell again", () => {
    const node = known({ pricePerHour: 9, hostKeys: ["A"], absentSince: 5 });
    const next = fold({ nodes: [node], instances: [seen("i-1", { pricePerHour: null })] }).nodes[0];
    expect(next?.instance).toMatchObject({ pricePerHour: 9, hostKeys: ["A"] });
    const bare = known({ absentSince: 5 });
    const after = fold({ nodes: [bare], instances: [seen("i-1")] }).nodes[0]?.instance ?? {};
    expect("hostKeys" in after).toBe(false);
    const many = Array.from({ length: 20 }, (_, i) => `key ${i}`);
    const bounded = fold({ nodes: [bare], instances: [seen("i-1", { hostKeys: many })] });
    expect(bounded.nodes[0]?.instance?.hostKeys).toEqual(many.slice(0, 16));
  });
});

describe("foldListing() of a machine that it does not show", () => {
  test("counts it as absent, up to ten times, and since the first", () => {
    let node = known();
    const counts: (number | null | undefined)[] = [];
    for (let i = 0; i < 12; i++) {
      node = fold({ nodes: [node] }).nodes[0] ?? node;
      counts.push(node.instance?.absentListings);
    }
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
    expect(fold({ nodes: [known({ absentSince: 7 })] }).nodes[0]?.instance).toEqual(
      instanceOf({ absentSince: 7, absentListings: 1 }),
    );
    expect(fold({ nodes: [known()] }).nodes[0]?.instance?.absentSince).toBe(NOW);
    const { absentListings: _, ...older } = instanceOf();
    const early = nodeOf("n", { instance: older as InstanceFact });
    expect(fold({ nodes: [early] }).nodes[0]?.instance?.absentListings).toBe(1);
  });

  test("twice makes it absent: one missing row is a list's bad day", () => {
    expect(ABSENT_LISTINGS_MIN).toBe(2);
  });

  const isCounted = (node: Node, more: Case = {}) => fold({ nodes: [node], ...more }).nodes.length;

  test("does not, where it was bound after the list was begun", () => {
    expect(isCounted(known({ boundAt: STARTED + 1 }))).toBe(0);
    expect(isCounted(known({ boundAt: STARTED }))).toBe(1);
  });

  test("does not while its agent speaks: then the cloud is doubted", () => {
    expect(isCounted(known(), { heard: true, silentMs: 60_000 })).toBe(0);
    expect(isCounted(known(), { heard: true, silentMs: 60_001 })).toBe(1);
    expect(isCounted(known(), { heard: true, silentMs: null })).toBe(1);
    expect(isCounted(known(), { heard: false, silentMs: 0 })).toBe(1);
    const ends = known({}, { phase: terminating });
    expect(isCounted(ends, { heard: true, silentMs: 0 })).toBe(1);
  });

  test("does not, where the node is another cloud's, gone, or has no machine", () => {
    expect(isCounted(known({ provider: "other" as PoolName }))).toBe(0);
    expect(isCounted(known({}, { phase: { kind: "gone", since: 1, purpose: "lost" } }))).toBe(0);
    expect(isCounted(nodeOf("n", { instance: null }))).toBe(0);
  });

  test("goes on with the next node after one of another cloud, or one that is gone", () => {
    const others = [
      nodeOf("a", { instance: instanceOf({ provider: "other" as PoolName }) }),
      nodeOf("b", { phase: { kind: "gone", since: 1, purpose: "lost" } }),
      nodeOf("c", { instance: null }),
      nodeOf("d"),
    ];
    expect(fold({ nodes: others }).nodes.map(({ id }) => String(id))).toEqual(["d"]);
  });
});

const create = (name: string, provider: PoolName = FAKE): Payload =>
  ({ kind: "create", provider, request: { name } }) as unknown as Payload;
const opened = (payload: Payload, more: Partial<Operation> = {}): Operation =>
  operationOf(nodeOf("n"), payload, { id: `n.1.${payload.kind}` as OperationId, ...more });

describe("foldListing() of what was asked for", () => {
  test("an instance with the ask's name is its answer", () => {
    const operation = opened(create("x"));
    const shown = seen("i-9", { name: "x" });
    const out = fold({ operations: [operation], instances: [seen("i-8"), shown] });
    expect(out.answers).toEqual([{ operation, instance: shown }]);
    expect(out.operations).toEqual([]);
    // What answers an ask is nobody's to adopt.
    expect([...out.sightings.keys()].map(String)).toEqual(["i-8"]);
  });

  test("one that has ended is no answer, and a list that is settled counts as a look", () => {
    const operation = opened(create("x"), { askedAt: STARTED - 50, lookups: 1 });
    const out = fold({
      operations: [operation],
      instances: [seen("i-9", { name: "x", state: "terminated" })],
    });
    expect(out.answers).toEqual([]);
    expect(out.operations).toEqual([{ ...operation, lookups: 2 }]);
  });

  test.each<[string, Operation]>([
    ["a list that was begun too early", opened(create("x"), { askedAt: STARTED - 49 })],
    ["another cloud's ask", opened(create("x", "other" as PoolName))],
    ["another kind of ask", opened({ kind: "cordon", why: "x" })],
  ])("%s is no look", (_what, operation) => {
    const out = fold({ operations: [operation], instances: [seen("i-9", { name: "y" })] });
    expect([out.answers, out.operations]).toEqual([[], []]);
  });

  test("another cloud's machine of that name is no answer", () => {
    const operation = opened(create("x", "other" as PoolName));
    expect(
      fold({ operations: [operation], instances: [seen("i-9", { name: "x" })] }).answers,
    ).toEqual([]);
  });

  const end = (provider: PoolName = FAKE): Payload => ({
    kind: "terminate",
    provider,
    instanceId: "i-1" as InstanceId,
  });

  test("an end that the cloud shows is an answer", () => {
    const operation = opened(end());
    const ended = seen("i-1", { state: "terminated" });
    expect(fold({ operations: [operation], instances: [ended] }).answers).toEqual([
      { operation, instance: ended },
    ]);
  });

  test.each<[string, Operation, Instance]>([
    ["it still runs", opened(end()), seen("i-1")],
    ["another one has ended", opened(end()), seen("i-2", { state: "terminated" })],
    [
      "it is another cloud's",
      opened(end("other" as PoolName)),
      seen("i-1", { state: "terminated" }),
    ],
    [
      "its end was not asked for",
      opened({ ...end(), kind: "reboot", bootId: null } as Payload),
      seen("i-1", { state: "terminated" }),
    ],
  ])("no end is an answer where %s", (_what, operation, instance) => {
    expect(fold({ operations: [operation], instances: [instance] }).answers).toEqual([]);
  });
});

describe("foldListing() of machines that nobody claims", () => {
  test("counts in how many lists each was seen, and since when", () => {
    const before = new Map([["i-5" as InstanceId, { firstAt: 3, listings: 2, ignored: true }]]);
    const { sightings } = fold({ instances: [seen("i-5"), seen("i-6")], sightings: before });
    expect(sightings).toEqual(
      new Map([
        ["i-5" as InstanceId, { firstAt: 3, listings: 3, ignored: true }],
        ["i-6" as InstanceId, { firstAt: NOW, listings: 1, ignored: false }],
      ]),
    );
  });

  test("leaves out what ended, what is a node's, and what an ask brought, but not a gone node's", () => {
    const gone: Phase = { kind: "gone", since: 1, purpose: "lost" };
    const { sightings } = fold({
      nodes: [nodeOf("a"), nodeOf("b", { phase: gone })],
      operations: [opened(create("x"))],
      instances: [
        seen("i-a"),
        seen("i-b"),
        seen("i-c", { state: "terminated" }),
        seen("i-d", { name: "x" }),
        seen("i-e"),
      ],
    });
    expect([...sightings.keys()].map(String)).toEqual(["i-b", "i-e"]);
  });
});

const TAGS = {
  "navarch-pool": "p",
  "navarch-slot": "2",
  "navarch-gen": "7",
  "navarch-node": "p-2-7",
};
const asNode: Adoption = { kind: "node" };

function adopt(
  instance: Instance,
  wanted: Adoption = asNode,
  nodes: Node[] = [],
  facts: Fact[] = [],
) {
  return adoptInstance(fleetOf(nodes, facts), FAKE, instance, NOW, wanted);
}

describe("adoptInstance()", () => {
  const found = seen("i-5", { tags: TAGS });
  const id = "p-2-7" as NodeId;

  test("charges a machine from where its record ended, however its provider was called then", () => {
    const old = seen("i-5", { tags: TAGS, createdAtMs: NOW - 500_000 });
    const until = NOW - 100_000;
    const gone = (provider: string, over: Partial<Instance> = {}): Node => {
      const bound = bindInstance(provider as never, { ...old, ...over }, NOW - 500_000);
      const instance = { ...bound, cost: { to: until, pricePerHour: 30, endedAt: until } };
      const phase = { kind: "gone", since: until, purpose: "lost" } as const;
      return {
        ...newNode({ id, pool: POOL, slot: 2, gen: 7, at: 1, replaces: null }),
        instance,
        phase,
      };
    };
    const chargedFrom = (...nodes: Node[]) => adopt(old, asNode, nodes)?.node.instance?.cost?.to;
    expect(chargedFrom()).toBe(NOW - 500_000);
    expect(chargedFrom(gone(FAKE))).toBe(until);
    expect(chargedFrom(gone("former"))).toBe(until);
    expect(chargedFrom({ ...gone("former"), id: "i-5" as NodeId })).toBe(until);
    // Another account may have given the same id.
    expect(chargedFrom({ ...gone("former"), id: "q-0-1" as NodeId })).toBe(NOW - 500_000);
    expect(chargedFrom(gone(FAKE, { id: "i-6" as never }))).toBe(NOW - 500_000);
  });

  test("makes a node of its slot of it, which may have served before", () => {
    const base = newNode({ id, pool: POOL, slot: 2, gen: 7, at: NOW, replaces: null });
    expect(adopt(found)).toEqual({
      node: {
        ...base,
        instance: { ...bindInstance(FAKE, found, NOW), adopted: true },
        phase: { kind: "booting", since: NOW },
      },
      event: {
        at: NOW,
        kind: "instance.adopted",
        node: id,
        pool: POOL,
        session: null,
        actor: "navarch",
        message: "adopted instance i-5, which carries this fleet's mark",
      },
    });
  });

  test.each([
    [999, true],
    [1_000, undefined],
    [1_001, undefined],
  ])("made at %d, where this record begins at 1000, is older: %p", (createdAtMs, adopted) => {
    const record: Fact = { kind: "record", since: 1_000 };
    const made = adopt({ ...found, createdAtMs }, asNode, [], [record]);
    expect(made?.node.instance?.adopted).toBe(adopted);
  });

  test.each<[string, Record<string, string>]>([
    ["no pool", { ...TAGS, "navarch-pool": "" }],
    ["no slot", { "navarch-pool": "p", "navarch-gen": "7" }],
    ["a slot that is none", { ...TAGS, "navarch-slot": "1.5" }],
    ["a slot below zero", { ...TAGS, "navarch-slot": "-1" }],
    ["a node name that is none", { ...TAGS, "navarch-node": "" }],
  ])("knows nothing of a machine whose tags name %s", (_what, tags) => {
    expect(adopt({ ...found, tags })).toBeNull();
  });

  test.each([
    ["0", 0],
    ["1", 1],
    ["-1", 0],
    ["x", 0],
  ])("takes generation %s for %d", (tag, gen) => {
    expect(adopt({ ...found, tags: { ...TAGS, "navarch-gen": tag } })?.node.gen).toBe(gen);
    const { "navarch-gen": _, ...none } = TAGS;
    expect(adopt({ ...found, tags: { ...none, "navarch-slot": "0" } })?.node).toMatchObject({
      gen: 0,
      slot: 0,
    });
  });

  test("takes the machine's own id where no node is named, or another has the name", () => {
    const { "navarch-node": _, ...unnamed } = TAGS;
    expect(String(adopt({ ...found, tags: unnamed })?.node.id)).toBe("i-5");
    expect(String(adopt(found, asNode, [nodeOf("p-2-7")])?.node.id)).toBe("i-5");
  });

  test("goes on with the agent that was met before, as its node", () => {
    const met = nodeOf("p-2-7", {
      slot: null,
      instance: null,
      pool: null,
      agent: agentOf({}, "9"),
    });
    expect(adopt(found, asNode, [met])?.node).toEqual({
      ...met,
      pool: POOL,
      slot: 2,
      gen: 7,
      instance: { ...bindInstance(FAKE, found, NOW), adopted: true },
    });
  });

  test("drains what no slot wants, for as long as its pool gives", () => {
    const surplus = adopt(found, { kind: "surplus", drainMs: 500 });
    expect(surplus?.node.phase).toEqual({
      kind: "draining",
      since: NOW,
      purpose: "surplus",
      drainedAt: null,
      sawWork: false,
      deadlineAt: NOW + 500,
    });
    expect(surplus?.event).toMatchObject({
      kind: "instance.surplus",
      message: "instance i-5 carries this fleet's mark but no slot wants it",
    });
    expect(adopt(found, { kind: "surplus", drainMs: 0 })?.node.phase).toMatchObject({
      deadlineAt: 0,
    });
  });

  test.each(["provisioning", "stopped", "terminating"] as const)(
    "ends what no slot wants and nothing can run on: %s",
    (state) => {
      expect(adopt({ ...found, state }, { kind: "surplus", drainMs: 500 })?.node.phase).toEqual({
        kind: "terminating",
        since: NOW,
        purpose: "surplus",
        accepted: null,
        notBefore: 0,
      });
    },
  );
});

test("bindInstance() keeps the provider's own words, and sixteen host keys", () => {
  const hostKeys = Array.from({ length: 17 }, (_, i) => `key ${i}`);
  expect(bindInstance(FAKE, seen("i-5", { hostKeys }), NOW)).toEqual({
    ...instanceOf({ id: "i-5" as InstanceId, boundAt: NOW, runningAt: NOW }),
    hostKeys: hostKeys.slice(0, 16),
    cost: { to: 1, pricePerHour: 1, endedAt: null },
  });
  expect("hostKeys" in bindInstance(FAKE, seen("i-5"), NOW)).toBe(false);
});
