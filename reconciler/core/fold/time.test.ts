/** Which records are forgotten, and which are not although somebody could take them for others. */
import { describe, expect, test } from "bun:test";
import type { Config } from "../../../schema/config.ts";
import type { BootId, InstanceId, NodeId, PoolName, StreamId } from "../../../schema/id.ts";
import type { AgentFact, Node } from "../../../schema/node.ts";
import { readConfig } from "../../config/read.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import {
  DAY_MS,
  heldOf,
  instanceOf,
  kubeOf,
  nodeOf,
  sessionOf,
  unboughtOf,
} from "../../../test/world/part.ts";
import { type Fact, factKey } from "../../../schema/safety.ts";
import { BY_KUBERNETES } from "../safety/uncordoned.ts";
import { newHealth, newNode, unmanagedNode } from "./new-node.ts";
import { foldTime } from "./time.ts";

const NOW = 10_000_000;
const NAME = "gpu-a";

function read(text: string): Config {
  const { config } = readConfig([{ name: "f", text }]);
  if (config === null) throw new Error("the configuration cannot be read");
  return config;
}

const CONFIG = read("server: { heartbeat_interval: 10s }\n");

const agent = (boot: string, providerIds: string[] = []): AgentFact => ({
  bootId: boot as BootId,
  stream: "s" as StreamId,
  version: "1",
  simulated: true,
  registeredAt: 1,
  lastHeartbeatAt: 1,
  inventory: {
    hostname: "h",
    gpus: [],
    provider_ids: providerIds,
  } as unknown as AgentFact["inventory"],
});

const onObject = kubeOf({ name: NAME });

/** A machine of ours, as the cluster and its agent show it. */
function bought(more: Partial<Node> = {}): Node {
  const id = "n1" as NodeId;
  const pool = "p" as PoolName;
  return {
    ...newNode({ id, pool, slot: 0, gen: 1, at: 0, replaces: null }),
    phase: { kind: "serving", since: 1 },
    agent: agent("boot-a"),
    kube: onObject,
    instance: { id: "i-1" as InstanceId } as unknown as Node["instance"],
    ...more,
  };
}

/** What spoke under the Node's name before anybody knew whose it is. */
const early = (more: Partial<Node> = {}): Node => ({
  ...unmanagedNode(NAME as NodeId, 1),
  agent: agent("boot-a"),
  ...more,
});

function forgotten(nodes: Node[], silentMs: number | null = 20_000): string[] {
  const mirror = newMirror();
  for (const one of nodes) mirror.nodes.set(one.id, one);
  const { pools, operations, facts } = mirror;
  const fleet = { fleetId: "f", nodes: mirror.nodes, pools, operations, facts };
  const work = new UnitOfWork(mirror);
  const presence = new Map(
    nodes.map(({ id }) => [id, { silentMs: id === NAME ? silentMs : 0, heard: true }]),
  );
  const input = { fleet, config: CONFIG, now: NOW, presence, watchedMs: 0 };
  const ids = foldTime(input, work);
  expect(work.change.removedNodes).toEqual(ids);
  return ids;
}

const ORDER = {
  goal: "drain",
  by: "ann",
  why: "",
  force: false,
  at: 1,
  timeoutMs: null,
} as const;

describe("a record under a Node's name", () => {
  test("goes once the same boot speaks as the machine's node", () => {
    expect(forgotten([early(), bought()])).toEqual([NAME]);
    const told = early({ agent: agent("boot-a", ["x", "i-1"]) });
    expect(forgotten([told, bought({ kube: null })])).toEqual([NAME]);
  });

  const by = { by: "somebody", why: "x", at: 1 };
  test.each<[string, Node[], number | null]>([
    ["it still speaks", [early(), bought()], 19_999],
    ["nobody knows when it spoke", [early(), bought()], null],
    ["another boot has the Node's name", [early(), bought({ agent: agent("boot-b") })], 20_000],
    ["the boot is another Node's", [early(), bought({ kube: null })], 20_000],
    ["the Node's is a machine of nobody's", [early(), bought({ instance: null })], 20_000],
    ["it has never said what it is", [early({ agent: null }), bought()], 20_000],
    ["it counts as silent: somebody was told", [silent(), bought()], 20_000],
    ["there is evidence", [sick(), bought()], 20_000],
    ["a person cordoned it", [early({ cordon: { human: by, product: null } }), bought()], 20_000],
    ["it is marked", [early({ cordon: { human: null, product: by } }), bought()], 20_000],
    ["it is in a repair", [early({ session: sessionOf() }), bought()], 20_000],
    ["a person ordered something", [early({ order: ORDER }), bought()], 20_000],
    ["it has a place", [early({ pool: "p" as PoolName, slot: 0 }), bought()], 20_000],
  ])("stays if %s", (_why, nodes, silentMs) => {
    expect(forgotten(nodes, silentMs)).toEqual([]);
  });
});

function silent(): Node {
  return early({ health: { ...newHealth(), silentSince: NOW - 1_000 } });
}

function sick(): Node {
  const judgement = { definitive: false, result: "degraded" };
  const held = [{ key: "xid:79", judgement }] as unknown as Node["health"]["held"];
  return early({ health: { ...newHealth(), held } });
}

const RETAIN_MS = 3_600_000;
const TIMED = read(
  "server: { heartbeat_interval: 10s, heartbeat_timeout: 60s }\n" +
    "instance_manager: { retain_terminated: 1h }\n" +
    "kubernetes: { mirror: { delete_node: true }, uncordon_review: 30m }\n" +
    "providers: { f: { type: fake } }\n" +
    "pools: { p: { provider: f, instance_type: gpu_8x_h100, scaling: { min_nodes: 0, max_nodes: 4 } } }\n",
);
const AT = 100 * DAY_MS;

/** What time alone makes of one node. */
function pass(
  node: Node,
  more: { config?: Config; facts?: Fact[]; silentMs?: number | null; heard?: boolean } = {},
) {
  const { config = TIMED, facts = [], silentMs = 0, heard = true } = more;
  const mirror = newMirror();
  mirror.nodes.set(node.id, node);
  for (const fact of facts) mirror.facts.set(factKey(fact), fact);
  const work = new UnitOfWork(mirror);
  const input = {
    fleet: { fleetId: "f", ...mirror },
    config,
    now: AT,
    presence: new Map([[node.id, { silentMs, heard }]]),
    watchedMs: 0,
  };
  const removed = foldTime(input, work);
  const change = work.finish();
  expect(change?.removedNodes ?? []).toEqual(removed);
  return {
    isRemoved: removed.length > 0,
    node: change?.nodes[0] ?? null,
    kinds: (change?.events ?? []).map(({ kind }) => kind),
  };
}

describe("foldTime() of a node that is gone", () => {
  const gone = (since: number, more: Partial<Node> = {}): Node =>
    nodeOf("n", { phase: { kind: "gone", since, purpose: "lost" }, ...more });
  const kube = kubeOf({ absentSince: null });
  const keeps = read(
    "instance_manager: { retain_terminated: 1h }\nkubernetes: { mirror: { delete_node: false } }\n",
  );

  test("forgets it after its time, and does nothing else with it", () => {
    expect(pass(gone(AT - RETAIN_MS + 1))).toEqual({ isRemoved: false, node: null, kinds: [] });
    expect(pass(gone(AT - RETAIN_MS))).toEqual({ isRemoved: true, node: null, kinds: [] });
    expect(pass(nodeOf("n")).isRemoved).toBe(false);
  });

  test("keeps it as long after its Node is gone", () => {
    const late = (absentSince: number) =>
      pass(gone(1, { kube: { ...kube, absentSince } })).isRemoved;
    expect([late(AT - RETAIN_MS + 1), late(AT - RETAIN_MS), late(1)]).toEqual([false, true, true]);
  });

  test("keeps it for a week while its Node is to be deleted", () => {
    const owed = (since: number, config = TIMED) =>
      pass(gone(since, { kube }), { config }).isRemoved;
    expect([owed(AT - 7 * DAY_MS + 1), owed(AT - 7 * DAY_MS)]).toEqual([false, true]);
    expect(owed(AT - RETAIN_MS, keeps)).toBe(true);
    expect(pass(gone(AT - RETAIN_MS, { kube: null })).isRemoved).toBe(true);
    const deleted = { ...kube, absentSince: AT - RETAIN_MS };
    expect(pass(gone(AT - RETAIN_MS, { kube: deleted })).isRemoved).toBe(true);
  });
});

describe("foldTime() of an unmanaged machine", () => {
  const silentFor = (ms: number, more: Partial<Node> = {}): Node =>
    unboughtOf("n", {
      pool: null,
      health: { ...newHealth(), silentSince: AT - ms, lastCountedAt: AT },
      ...more,
    });
  const quiet = { silentMs: 90_000, heard: false };

  test("forgets it when it has been silent for long", () => {
    expect(pass(silentFor(RETAIN_MS - 1), quiet).isRemoved).toBe(false);
    expect(pass(silentFor(RETAIN_MS), quiet)).toEqual({ isRemoved: true, node: null, kinds: [] });
    expect(pass(unboughtOf("n", { pool: null }), quiet).isRemoved).toBe(false);
    const own = { ...nodeOf("n"), health: silentFor(RETAIN_MS).health };
    expect(pass(own, quiet).isRemoved).toBe(false);
  });

  test("never forgets one that speaks, although nothing is to be kept", () => {
    const none = structuredClone(TIMED);
    none.server.retainTerminatedMs = 0;
    expect(pass(unboughtOf("n", { pool: null }), { ...quiet, config: none }).isRemoved).toBe(false);
    expect(pass(silentFor(0), { ...quiet, config: none }).isRemoved).toBe(true);
  });

  test("keeps what is gone while its cordon spends the isolation budget", () => {
    const none = structuredClone(TIMED);
    none.server.retainTerminatedMs = 0;
    const { windowMs } = none.safety.budgets.isolate;
    const gone = (isolatedAt: number): Node =>
      nodeOf("n", { phase: { kind: "gone", since: AT - 1, purpose: "replace" }, isolatedAt });
    expect(pass(gone(AT - windowMs + 1), { ...quiet, config: none }).isRemoved).toBe(false);
    expect(pass(gone(AT - windowMs), { ...quiet, config: none }).isRemoved).toBe(true);
  });

  test("keeps it while its Node is marked: the record says why", () => {
    const marked = kubeOf({ uid: "u", isolatedUid: "u" });
    expect(pass(silentFor(RETAIN_MS, { kube: marked }), quiet).isRemoved).toBe(false);
    const other = kubeOf({ uid: "u", isolatedUid: "v" });
    expect(pass(silentFor(RETAIN_MS, { kube: other }), quiet).isRemoved).toBe(true);
  });

  test("has the pool that its agent names, if that is one of ours", () => {
    const at = (pool: string | null, named: string | null): Node => {
      const made = agent("b");
      const inventory = { ...made.inventory, pool: named };
      return unboughtOf("n", { pool: pool as PoolName, agent: { ...made, inventory } });
    };
    expect(pass(at(null, "p")).node).toMatchObject({ pool: "p", pooledAt: AT });
    expect(pass(at("p", "p")).node).toBeNull();
    expect(pass(at("p", "other")).node).toMatchObject({ pool: null, pooledAt: AT });
    expect(pass(at(null, null)).node).toBeNull();
    expect(pass(unboughtOf("n", { pool: null, agent: null })).node).toBeNull();
    const bought = { ...at("q", "p"), slot: 0 };
    expect(pass(bought).node).toBeNull();
  });
});

describe("foldTime() of a node in service", () => {
  const waiver = { by: BY_KUBERNETES, why: "x", at: AT - 30 * 60_000, evidence: ["r/xid/48/node"] };
  const broken = (more: Partial<Node> = {}): Node => {
    const made = nodeOf("n", { waiver, kube: kubeOf(), ...more });
    const held = [heldOf({ definitive: true })];
    return { ...made, health: { ...made.health, held, verdict: "unhealthy", lastCountedAt: AT } };
  };

  test("ends a waiver that has nothing to speak of any more", () => {
    const { node, kinds } = pass(nodeOf("n", { waiver }));
    expect([node?.waiver, kinds]).toEqual([null, []]);
  });

  test("reminds people of broken hardware in service", () => {
    const { node, kinds } = pass(broken());
    expect(node?.waiver).toEqual({ ...waiver, remindedAt: AT });
    expect(kinds).toEqual(["kube.uncordoned_broken"]);
    expect(pass(broken({ waiver: { ...waiver, at: AT - 30 * 60_000 + 1 } })).kinds).toEqual([]);
  });

  test("tells people of a Node that stays away, where Kubernetes is not switched off", () => {
    const away = (absentSince: number): Node =>
      nodeOf("n", { instance: instanceOf(), kube: kubeOf({ absentSince }) });
    const told = pass(away(AT - 900_000));
    expect(told.kinds).toEqual(["kube.lost"]);
    expect(told.node?.kube?.missedAt).toBe(AT);
    expect(pass(away(AT - 899_999)).kinds).toEqual([]);
    const off = read("kubernetes: { enabled: false }\n");
    expect(pass(away(AT - 900_000), { config: off }).kinds).toEqual([]);
    const silent = pass(away(AT - 900_000), { silentMs: 60_001 });
    expect(silent.kinds).toEqual(["kube.lost", "node.silent"]);
    expect(silent.node).toMatchObject({
      kube: { missedAt: AT },
      health: { silentSince: AT - 60_001 },
    });
  });

  test("folds silence into what else has changed", () => {
    const both = pass(broken(), { silentMs: 60_001 });
    expect(both.kinds).toEqual(["kube.uncordoned_broken", "node.silent"]);
    expect(both.node?.waiver).toEqual({ ...waiver, remindedAt: AT });
    expect(both.node?.health.silentSince).toBe(AT - 60_001);
    const freed = pass(nodeOf("n", { waiver }), { silentMs: 60_001 });
    expect(freed.node).toMatchObject({ waiver: null, health: { silentSince: AT - 60_001 } });
    expect(pass(nodeOf("n"), { silentMs: 60_000 })).toEqual({
      isRemoved: false,
      node: null,
      kinds: [],
    });
  });

  test("does not miss who was told to restart", () => {
    const told = {
      kind: "upgrading",
      node: "n",
      campaign: "c",
      step: "told",
      dueAt: AT,
    } as unknown as Fact;
    const campaign = { kind: "upgrade", id: "c", state: "running" } as unknown as Fact;
    const quiet = { silentMs: 60_001, heard: false };
    expect(pass(nodeOf("n"), { ...quiet, facts: [told, campaign] }).kinds).toEqual([]);
    expect(pass(nodeOf("n"), { ...quiet, facts: [campaign] }).kinds).toEqual(["node.silent"]);
  });
});
