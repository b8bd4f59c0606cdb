/** What is out of service in each scope, slot by slot. */
import { expect, test } from "bun:test";
import type { OperationId, PoolName } from "../../../schema/id.ts";
import type { Node, Phase } from "../../../schema/node.ts";
import { configOnce, poolYaml } from "../../../test/world/setting.ts";
import {
  fleetOf,
  heldOf,
  instanceOf,
  lastSessionOf,
  nodeOf,
  poolStateOf,
  sessionOf,
  sickOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { addIsolated, addTo, countIsolated, countOut, type Tally } from "./tally.ts";

const CONFIG = configOnce(poolYaml(4));
const NOW = 1_000_000;
const fallen = [heldOf({ definitive: true }, { code: 79 })];
const repairing: Phase = { kind: "repairing", since: 0, rung: "reboot", bootId: null };
const plain = (tally: Tally) =>
  Object.fromEntries([...tally].map(([scope, slots]) => [scope, Object.fromEntries(slots)]));
const zoned = (zone: string) => ({ instance: instanceOf({ zone }) });

test("addTo() counts a slot once in each of its scopes, and remembers what is evident", () => {
  const tally: Tally = new Map();
  addTo(tally, nodeOf("a", zoned("z")));
  const everywhere = (slots: Record<string, boolean>) => ({
    fleet: slots,
    "pool:p": slots,
    "domain:provider:fake": slots,
    "domain:zone:fake/z": slots,
  });
  expect(plain(tally)).toEqual(everywhere({ "p/0": false }));
  addTo(tally, sickOf("b", zoned("z"), fallen));
  expect(plain(tally)).toEqual(everywhere({ "p/0": true }));
  addTo(tally, nodeOf("a", zoned("z")));
  addTo(tally, nodeOf("c", { ...zoned("z"), slot: 1 }));
  expect(plain(tally)).toEqual(everywhere({ "p/0": true, "p/1": false }));
});

test("addTo() stands for the node before while there is no instance", () => {
  const tally: Tally = new Map();
  const before = sickOf("old", zoned("z"), fallen);
  addTo(tally, nodeOf("new", { instance: null }), before);
  expect(plain(tally)["domain:zone:fake/z"]).toEqual({ "p/0": true });
});

test("addTo() of what is stuck counts neither in the fleet nor at its provider", () => {
  const tally: Tally = new Map();
  addTo(tally, nodeOf("a", zoned("z")), null, true);
  expect([...tally.keys()]).toEqual(["pool:p", "domain:zone:fake/z"]);
});

const fleetTally = (nodes: Node[], ownOnly = false, size = 4) =>
  plain(countOut(fleetOf(nodes, [], [poolStateOf(size)]), CONFIG, ownOnly))["fleet"] ?? {};

test("countOut() is what is being repaired, replaced or missing", () => {
  const nodes = [
    nodeOf("a", { slot: 0, phase: repairing }),
    nodeOf("b", { slot: 1 }),
    nodeOf("c", { slot: 2, phase: { kind: "gone", since: 0, purpose: "lost" } }),
    nodeOf("d", { slot: 3 }),
  ];
  expect(fleetTally(nodes)).toEqual({ "p/0": false, "p/2": false });
  const [, b, c] = nodes;
  if (b === undefined || c === undefined) throw new Error("no nodes");
  // A pool that wants no more than what serves is missing nobody, one without a state its minimum.
  const wants = (state: ReturnType<typeof poolStateOf>[]) =>
    plain(countOut(fleetOf([b, c], [], state), CONFIG))["fleet"];
  expect(wants([])).toEqual({ "p/2": false });
  const renamed = [b, c].map((node) => ({ ...node, pool: "unknown" as PoolName }));
  expect(plain(countOut(fleetOf(renamed), CONFIG))).toEqual({});
});

test("countOut() forgets a slot once its replacement serves", () => {
  const old = nodeOf("old", {
    phase: { kind: "terminating", since: 0, purpose: "replace", accepted: null, notBefore: 0 },
  });
  const next = (phase: Phase) => nodeOf("new", { gen: 1, replaces: old.id, phase });
  expect(fleetTally([old])).toEqual({ "p/0": false });
  expect(fleetTally([old, next({ kind: "verifying", since: 0 })])).toEqual({ "p/0": false });
  expect(fleetTally([old, next({ kind: "serving", since: 0 })])).toEqual({});
  expect(fleetTally([old, { ...next({ kind: "serving", since: 0 }), replaces: null }])).toEqual({
    "p/0": false,
  });
});

test("countOut() of a purchase refused in a domain holds up that domain only", () => {
  const refused = (refusal: string | null) =>
    nodeOf("new", {
      instance: null,
      phase: { kind: "requested", since: 0, attempt: 2, notBefore: 0, refusal },
      replaces: nodeOf("old").id,
    });
  const gone = nodeOf("old", { ...zoned("z"), phase: { kind: "gone", since: 0, purpose: "lost" } });
  const count = (node: Node) => Object.keys(plain(countOut(fleetOf([gone, node]), CONFIG)));
  expect(count(refused(null))).toEqual([
    "fleet",
    "pool:p",
    "domain:provider:fake",
    "domain:zone:fake/z",
  ]);
  expect(count(refused("sold out"))).toEqual(["pool:p", "domain:zone:fake/z"]);
});

test("countOut() leaves out what is unmanaged, where it is asked to", () => {
  const nodes = [nodeOf("a", { phase: repairing }), unboughtOf("b", { phase: repairing })];
  expect(fleetTally(nodes)).toEqual({ "p/0": false, b: false });
  expect(fleetTally(nodes, true)).toEqual({ "p/0": false });
});

const isolated = (nodes: Node[], ownOnly = false) =>
  plain(countIsolated(fleetOf(nodes), NOW, 1_000, ownOnly))["fleet"] ?? {};

test.each([
  [null, false],
  [NOW + 1, false],
  [NOW, true],
  [NOW - 999, true],
  [NOW - 1_000, false],
])("countIsolated() of a node cordoned at %p within one second before now is %p", (at, counts) => {
  expect(isolated([nodeOf("a", { isolatedAt: at })])).toEqual(counts ? { "p/0": false } : {});
});

test("countIsolated() counts a cordon that is asked for", () => {
  const operation = (kind: string) => ({ operation: `a.1.${kind}` as OperationId });
  expect(isolated([sickOf("a", operation("cordon"))])).toEqual({ "p/0": false });
  expect(isolated([sickOf("a", operation("drain"))])).toEqual({});
  expect(isolated([nodeOf("a", { ...operation("cordon"), session: sessionOf() })])).toEqual({});
});

test("countIsolated() forgets a quarantined rule's work", () => {
  const cordoned = nodeOf("a", { isolatedAt: NOW });
  const past = (how: string) => ({ ...cordoned, lastSession: lastSessionOf(0, how) });
  expect(isolated([past("quarantined")])).toEqual({});
  expect(isolated([past("recovered")])).toEqual({ "p/0": false });
  expect(isolated([{ ...past("quarantined"), session: sessionOf() }])).toEqual({ "p/0": false });
});

test("countIsolated() counts a slot for the whole window, also once its replacement serves", () => {
  const gone: Phase = { kind: "gone", since: NOW, purpose: "replace" };
  const old = nodeOf("a", { isolatedAt: NOW - 999, phase: gone });
  const next = nodeOf("b", { gen: 1, replaces: old.id });
  expect(isolated([old, next])).toEqual({ "p/0": false });
  expect(isolated([{ ...old, isolatedAt: NOW - 1_000 }, next])).toEqual({});
});

test("what is evident by itself spends no budget of isolation", () => {
  const dead = { ...sickOf("a", {}, fallen), isolatedAt: NOW };
  expect(isolated([dead, nodeOf("b", { slot: 1, isolatedAt: NOW })])).toEqual({ "p/1": false });
  const tally: Tally = new Map();
  addIsolated(tally, dead);
  expect(plain(tally)).toEqual({});
});

test("countIsolated() leaves out what is unmanaged, where it is asked to", () => {
  const nodes = [nodeOf("a", { isolatedAt: NOW }), unboughtOf("b", { isolatedAt: NOW })];
  expect(isolated(nodes)).toEqual({ "p/0": false, b: false });
  expect(isolated(nodes, true)).toEqual({ "p/0": false });
});
