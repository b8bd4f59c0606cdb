/** Which limits a node counts in, and how large each of them is. */
import { expect, test } from "bun:test";
import type { InstanceId, PoolName } from "../../../schema/id.ts";
import { configOf } from "../../../test/world/setting.ts";
import {
  agentOf,
  fleetOf,
  instanceOf,
  nodeOf,
  poolStateOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { columnOf, domainsOf, predecessorOf, scopesOf, sizesOf, slotKeyOf } from "./scope.ts";

const placed = (zone: string | null, labels: Record<string, string> = {}) => ({
  instance: instanceOf({ zone }),
  agent: agentOf({ labels }),
});
const pool = (name: string) => name as PoolName;

test.each([
  [null, {}, ["provider:fake"]],
  ["z1", {}, ["provider:fake", "zone:fake/z1"]],
  ["z1", { rack: "r3" }, ["provider:fake", "zone:fake/z1", "rack:r3"]],
  [null, { rack: "" }, ["provider:fake"]],
  [null, { rack: "c", "topology.kubernetes.io/rack": "b" }, ["provider:fake", "rack:b"]],
  [
    null,
    { rack: "c", "topology.kubernetes.io/rack": "b", "navarch.dev/rack": "a" },
    ["provider:fake", "rack:a"],
  ],
  // A label that is set to nothing is an answer; a coarser one does not stand in for it.
  [null, { "navarch.dev/rack": "", rack: "c" }, ["provider:fake"]],
])("domainsOf() in zone %p with labels %p is %p", (zone, labels, domains) => {
  const node = nodeOf("n", placed(zone, labels));
  expect(domainsOf(node)).toEqual(domains);
  expect(domainsOf(node)).toEqual(domains);
});

test("domainsOf() takes the rack of the inventory, unless the agent names one", () => {
  const host = { name: "a", rack: "r4", port: null, user: null, keyPath: null };
  const ownedIn = (labels: Record<string, string>): readonly string[] => {
    const node = nodeOf("n", placed("z1", labels));
    if (node.instance === null) throw new Error("no instance");
    return domainsOf({ ...node, instance: { ...node.instance, host } });
  };
  expect(ownedIn({}).at(-1)).toBe("rack:r4");
  expect(ownedIn({ "navarch.dev/rack": "r17" }).at(-1)).toBe("rack:r17");
});

test("domainsOf() is nothing before there is an instance, and does without an agent", () => {
  const agent = agentOf({ labels: { rack: "r" } });
  expect(domainsOf(nodeOf("n", { instance: null, agent }))).toEqual([]);
  expect(domainsOf(nodeOf("n", { ...placed("z"), agent: null }))).toEqual([
    "provider:fake",
    "zone:fake/z",
  ]);
});

test("scopesOf() goes from the fleet to the finest domain", () => {
  const node = nodeOf("n", placed("z1", { rack: "r" }));
  const scopes = [
    "fleet",
    "pool:p",
    "domain:provider:fake",
    "domain:zone:fake/z1",
    "domain:rack:r",
  ];
  expect(scopesOf(node)).toEqual(scopes);
  expect(scopesOf(node)).toEqual(scopes);
  expect(scopesOf({ ...node, pool: null })).toEqual(["fleet", ...scopes.slice(2)]);
});

test("scopesOf() takes the place of the node that is replaced until there is an instance", () => {
  const before = nodeOf("old", placed("z1"));
  const wanted = nodeOf("new", { instance: null });
  expect(scopesOf(wanted)).toEqual(["fleet", "pool:p"]);
  expect(scopesOf(wanted, before)).toEqual([
    "fleet",
    "pool:p",
    "domain:provider:fake",
    "domain:zone:fake/z1",
  ]);
  const bought = nodeOf("new", placed("z2"));
  expect(scopesOf(bought, before)).toContain("domain:zone:fake/z2");
  expect(scopesOf(bought, before)).not.toContain("domain:zone:fake/z1");
});

test("scopesOf() keeps strangers apart from the fleet", () => {
  expect(scopesOf(unboughtOf("n", { pool: null }))).toEqual(["domain:unmanaged"]);
  expect(scopesOf(unboughtOf("n"))).toEqual(["fleet", "pool:p"]);
});

test.each([
  ["fleet", "fleet"],
  ["pool:fleet", "pool"],
  ["domain:pool:x", "domain"],
  ["domain:provider:fake", "domain"],
] as const)("columnOf(%p) is %p", (scope, column) => {
  expect(columnOf(scope)).toBe(column);
});

test("slotKeyOf() is the place in the pool, or the node itself", () => {
  expect(slotKeyOf(nodeOf("n", { slot: 0 }))).toBe("p/0");
  expect(slotKeyOf(nodeOf("n", { slot: null }))).toBe("n");
});

test("predecessorOf() is the replaced node while it is known", () => {
  const [old, next] = [nodeOf("old"), nodeOf("new", { replaces: nodeOf("old").id })];
  expect(predecessorOf(fleetOf([old, next]), next)).toBe(old);
  expect(predecessorOf(fleetOf([next]), next)).toBeNull();
  expect(predecessorOf(fleetOf([old]), old)).toBeNull();
});

const CONFIG = configOf(`
providers: { fake: {} }
pools:
  - { name: p, provider: fake, instance_type: t, min_nodes: 3, max_nodes: 9 }
  - { name: q, provider: fake, instance_type: t, min_nodes: 2, max_nodes: 9 }
  - { name: own, adopt: true, min_nodes: 4, max_nodes: 4 }
`);
const sizes = (fleet: ReturnType<typeof fleetOf>, ownOnly = false) =>
  Object.fromEntries(
    [...sizesOf(fleet, CONFIG, ownOnly)].map(([key, size]) => [key, [size.slots, size.pools]]),
  );

test("sizesOf() is what is wanted, not what is there", () => {
  expect(sizes(fleetOf([]))).toEqual({
    "pool:p": [3, 1],
    "pool:q": [2, 1],
    "pool:own": [4, 1],
    fleet: [9, 3],
  });
  expect(sizes(fleetOf([], [], [poolStateOf(6)]))).toMatchObject({
    "pool:p": [6, 1],
    fleet: [12, 3],
  });
  const empty = configOf("providers: { fake: {} }\npools: []\n");
  expect([...sizesOf(fleetOf([]), empty)]).toEqual([["fleet", { slots: 0, pools: 1 }]]);
});

test("sizesOf() counts slots of a domain once, and the pools that share it", () => {
  const at = (id: string, slot: number, name = "p") =>
    nodeOf(id, {
      slot,
      pool: pool(name),
      instance: instanceOf({ id: id as InstanceId, zone: "z" }),
    });
  const fleet = fleetOf([
    at("a", 0),
    // Its predecessor, still being ended: the same place.
    { ...at("b", 0), phase: { kind: "gone", since: 0, purpose: "replace" } },
    at("c", 1),
    at("d", 0, "q"),
  ]);
  expect(sizes(fleet)).toMatchObject({
    "domain:provider:fake": [3, 2],
    "domain:zone:fake/z": [3, 2],
  });
});

test("sizesOf() adds unmanaged machines, unless they are wanted already", () => {
  const fleet = fleetOf([
    unboughtOf("a"),
    unboughtOf("b", { pool: pool("own") }),
    unboughtOf("c", { pool: null }),
    unboughtOf("d", { pool: null }),
    unboughtOf("e", { pool: pool("unknown") }),
    unboughtOf("f", { phase: { kind: "gone", since: 0, purpose: "lost" } }),
    nodeOf("g", { pool: null }),
  ]);
  expect(sizes(fleet)).toEqual({
    "pool:p": [4, 1],
    "pool:q": [2, 1],
    "pool:own": [4, 1],
    "domain:unmanaged": [2, 1],
    fleet: [11, 3],
  });
  expect(sizes(fleet, true)).toEqual({
    "pool:p": [3, 1],
    "pool:q": [2, 1],
    "pool:own": [4, 1],
    fleet: [9, 3],
  });
});
