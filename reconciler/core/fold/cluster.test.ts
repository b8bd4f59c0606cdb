import { describe, expect, test } from "bun:test";
import { kubeOf, objectOf } from "../../../test/world/part.ts";
import type { BootId, InstanceId, NodeId, PoolName, StreamId } from "../../../schema/id.ts";
import { type AgentFact, type KubeFact, type Node, TOKEN_UNCHECKED } from "../../../schema/node.ts";
import { UnitOfWork, newMirror } from "../unit-of-work.ts";
import type { KubeNode } from "../kubernetes/object.ts";
import { foldCluster, identityKeyOf, type Known, subjectOf } from "./cluster.ts";
import { newHealth, newNode } from "./new-node.ts";

const NOW = 1_000_000;
const UUID = "4c4c4544-0051-3010-8057-b7c04f333331";

const object = (name: string, more: Partial<KubeNode> = {}): KubeNode =>
  objectOf({ name, uid: `u-${name}`, resourceVersion: "5", ...more });

/** Bound to object `name` by this identity, as before proofs were asked for, and marked there. */
function bound(name: string, by: KubeFact["by"]): KubeFact {
  const uid = `u-${name}`;
  const mark = { boundAt: 1, unschedulable: true, isolatedUid: uid, own: true };
  const { proof: _, ...unproven } = kubeOf({ name, uid, by, ...mark });
  return unproven;
}

const agent = (ids: string[]): AgentFact => ({
  bootId: "b" as BootId,
  stream: "s" as StreamId,
  version: "1",
  simulated: true,
  registeredAt: 1,
  lastHeartbeatAt: 1,
  inventory: { hostname: "h", gpus: [], provider_ids: ids } as unknown as AgentFact["inventory"],
});

function node(name: string, more: Partial<Node> = {}): Node {
  const id = name as NodeId;
  const pool = "p" as PoolName;
  const made = newNode({ id, pool, slot: 0, gen: 1, at: 0, replaces: null });
  return { ...made, phase: { kind: "serving", since: 1 }, agent: agent([]), ...more };
}

const machine = (internalIp: string | null, id = "i-1"): Node["instance"] => ({
  id: id as InstanceId,
  provider: "fake" as PoolName,
  state: "running",
  region: null,
  zone: null,
  instanceType: "t",
  internalIp,
  externalIp: null,
  pricePerHour: null,
  boundAt: 1,
  absentSince: null,
  absentListings: 0,
});

function fold(
  nodes: Node[],
  objects: KubeNode[],
  known: Known | null = null,
  fleet: string | null = null,
) {
  const mirror = newMirror();
  for (const one of nodes) mirror.nodes.set(one.id, one);
  const work = new UnitOfWork(mirror);
  const ids = nodes.map(({ id }) => id);
  const named = fleet === null ? {} : { fleet };
  const cluster = { objects, known, onUncordon: "cancel", ...named } as const;
  const found = foldCluster(cluster, ids, NOW, work);
  return { found, work, after: (one: Node) => work.node(one.id)?.kube ?? null };
}

describe("foldCluster() of a node whose agent is silent", () => {
  const silent = { ...newHealth(), silentSince: NOW - 60_000 };
  const mark = { unschedulable: true, own: true, annotations: { "navarch.dev/session": "s1" } };

  test.each<[KubeFact["by"], Node, KubeNode]>([
    [
      "agent_name",
      node("n1", {
        kube: { ...bound("n1", "agent_name"), proof: "address" },
        agent: { ...agent([]), origin: { address: "10.0.0.1", vouched: false, pod: null } },
        health: silent,
      }),
      object("n1", { ...mark, ips: ["10.0.0.1"] }),
    ],
    [
      "ip",
      node("n1", { kube: bound("gpu-1", "ip"), instance: machine("10.0.0.1"), health: silent }),
      object("gpu-1", { ...mark, ips: ["10.0.0.1"] }),
    ],
  ])("keeps the object that it is known by (%s)", (_by, one, its) => {
    const { found, after } = fold([one], [its]);
    expect(after(one)).toMatchObject({ absentSince: null, isolatedUid: its.uid });
    expect(found.names.get(one.id)?.name).toBe(its.name);
  });

  test("keeps it when nothing ties the two any more, and nothing says otherwise", () => {
    const one = node("n1", { kube: bound("gpu-1", "system_uuid"), agent: null });
    const { after } = fold([one], [object("gpu-1", { ...mark, systemUuid: UUID })]);
    expect(after(one)).toMatchObject({ absentSince: null, isolatedUid: "u-gpu-1" });
  });

  test("gives it up to a machine that proves to be it", () => {
    const one = node("n1", { kube: bound("gpu-1", "system_uuid"), agent: null });
    const heir = node("n2", { instance: machine(null, "i-2") });
    const its = object("gpu-1", { providerId: "navarch://fake/local/i-2" });
    const { after } = fold([one, heir], [its]);
    expect(after(one)?.absentSince).toBe(NOW);
    expect(after(heir)).toMatchObject({ uid: "u-gpu-1", absentSince: null });
  });

  test("gives it up when the object says that it is another machine", () => {
    const instance = machine("10.0.0.1");
    const one = node("n1", { kube: bound("gpu-1", "ip"), instance, agent: null });
    const its = object("gpu-1", { ips: ["10.0.0.1"], providerId: "navarch://fake/local/i-9" });
    expect(fold([one], [its]).after(one)?.absentSince).toBe(NOW);
  });

  test("lets it go once a whole list shows it no more", () => {
    const one = node("n1", { kube: bound("n1", "agent_name"), health: silent });
    expect(fold([one], [object("other")]).after(one)?.absentSince).toBe(NOW);
  });
});

describe("foldCluster() of nodes that nobody can tell apart", () => {
  test("doubts each of several that claim one object, and changes none of them", () => {
    const from = { address: null, vouched: false, pod: { node: "gpu-1", uid: null } };
    const speaks = { ...agent([UUID]), origin: from };
    const a = node("a", { agent: speaks, kube: bound("gpu-1", "system_uuid") });
    const b = node("b", { agent: speaks });
    const { found, after } = fold([a, b], [object("gpu-1", { systemUuid: UUID })]);
    expect([...found.doubted.keys()].sort()).toEqual([a.id, b.id]);
    expect(found.alarms).toHaveLength(1);
    expect(after(a)).toEqual(a.kube);
    expect(after(b)).toBeNull();
  });

  test("pairs no crowd that shares one identity, in linear work", () => {
    const size = 1_500;
    const work = { read: 0 };
    const objects = Array.from({ length: size }, (_, i) => {
      const made = object(`gpu-${i}`, { systemUuid: UUID });
      // Each tie between a node and an object reads the object's name at least once.
      return Object.defineProperty(made, "name", {
        get: () => {
          work.read++;
          return `gpu-${i}`;
        },
      });
    });
    const nodes = Array.from({ length: size }, (_, i) => node(`n-${i}`, { agent: agent([UUID]) }));
    const { found } = fold(nodes, objects);
    expect(found.names.size).toBe(0);
    expect(found.unproven.size).toBe(size);
    expect(work.read).toBeLessThan(20 * size);
  });
});

describe("foldCluster() with who was whom the last time", () => {
  test("says the same as one that matches again", () => {
    const one = node("n1", { instance: machine(null) });
    const its = object("gpu-1", { providerId: "navarch://fake/local/i-1" });
    const { found } = fold([one], [its]);
    const marked = { ...its, unschedulable: true, others: ["kubectl"] };
    const again = fold([one], [marked], found);
    expect(again.after(one)).toEqual(fold([one], [marked]).after(one));
    expect(again.after(one)).toMatchObject({ unschedulable: true, others: ["kubectl"] });
  });

  test("identityKeyOf() changes with what tells nodes apart, and with nothing else", () => {
    const one = node("n1", { instance: machine("10.0.0.1") });
    const key = identityKeyOf(one);
    expect(identityKeyOf({ ...one, health: { ...newHealth(), silentSince: 1 } })).toBe(key);
    expect(identityKeyOf({ ...one, instance: machine("10.0.0.2") })).not.toBe(key);
    expect(identityKeyOf({ ...one, agent: agent([UUID]) })).not.toBe(key);
    const gone = { kind: "gone", since: 1, purpose: "replace" } as const;
    expect(identityKeyOf({ ...one, phase: gone })).not.toBe(key);
  });
});

describe("foldCluster() beside another install", () => {
  const origin = { address: "10.0.0.1", vouched: false, pod: null };
  const its = object("n1", { ips: ["10.0.0.1"], labels: { "navarch.dev/fleet": "other" } });

  test("leaves a Node alone that the other one shows itself on, and says how to take it", () => {
    const one = node("n1", { agent: { ...agent([]), origin } });
    const { found, after } = fold([one], [its], null, "ours");
    expect(after(one)).toBeNull();
    expect(found.doubted.get(one.id)).toContain("another Navarch install, fleet other");
    expect(found.alarms[0]).toContain("remove the label navarch.dev/fleet");
    expect(fold([one], [its], null, "other").after(one)).toMatchObject({ uid: "u-n1" });
  });

  test("takes the Node of a machine that it bought, whatever the label says", () => {
    const one = node("n1", { instance: machine("10.0.0.1") });
    expect(fold([one], [its], null, "ours").after(one)).toMatchObject({ uid: "u-n1" });
  });
});

describe("foldCluster() of a claim", () => {
  const mark = { unschedulable: true, own: true, annotations: { "navarch.dev/session": "s1" } };
  const speaks = (address: string | null, ids: string[] = []): AgentFact => ({
    ...agent(ids),
    origin: { address, vouched: false, pod: null },
  });
  const its = object("gpu-1", { ...mark, systemUuid: UUID, ips: ["10.0.0.1"] });
  const proven = { ...bound("gpu-1", "system_uuid"), proof: "address" } as const;
  const leaves = (one: Node, objects: readonly KubeNode[] = [its]) => {
    const { after, found, work } = fold([one], [...objects]);
    const left = work.fact("leaving:u-gpu-1") !== null;
    return { ends: after(one)?.absentSince !== null, left, unproven: found.unproven.get(one.id) };
  };

  test("that is not proven binds nothing, and says what is missing", () => {
    const { found, after } = fold([node("x", { agent: speaks("10.0.0.9", [UUID]) })], [its]);
    expect(after(node("x"))).toBeNull();
    expect([...found.unproven.values()]).toEqual([
      "no proof that this agent runs on Node gpu-1: its reports come from 10.0.0.9",
    ]);
  });

  test("that its agent has dropped ends, and the object is to be cleared", () => {
    const one = node("x", { agent: speaks("10.0.0.1"), kube: proven });
    expect(leaves(one)).toMatchObject({ ends: true, left: true });
  });

  test("that was proven lasts while its agent reports from elsewhere, and says so", () => {
    const one = node("x", { agent: speaks("10.0.0.9", [UUID]), kube: proven });
    expect(leaves(one)).toMatchObject({ ends: false, left: false });
    expect(leaves(one).unproven).toContain("10.0.0.9");
  });

  test("of a version that asked for no proof lasts while its mark does", () => {
    const agent = speaks("10.0.0.9", [UUID]);
    const marked = bound("gpu-1", "system_uuid");
    expect(leaves(node("x", { agent, kube: marked }))).toMatchObject({ ends: false });
    const unmarked = { ...marked, isolatedUid: null };
    const free = object("gpu-1", { systemUuid: UUID, ips: ["10.0.0.1"] });
    expect(leaves(node("x", { agent, kube: unmarked }), [free])).toMatchObject({
      ends: true,
      left: true,
    });
  });

  test("of such a version lasts while our cordon is there, although its reading was not stored", () => {
    const unread = { ...bound("gpu-1", "system_uuid"), isolatedUid: null };
    const one = node("x", { agent: speaks("10.0.0.9", [UUID]), kube: unread });
    expect(leaves(one)).toMatchObject({ ends: false, left: false });
  });

  test("is reported as unproven only where nothing is done for it", () => {
    const fresh = node("x", { agent: speaks("10.0.0.9", [UUID]) });
    const told = (one: Node) => {
      const { found, work } = fold([one], [its]);
      const kinds = work.change.events.map(({ kind }) => kind);
      return { unbound: [...found.unbound.keys()], said: kinds.includes("kube.unproven") };
    };
    expect(told(fresh)).toEqual({ unbound: ["x" as NodeId], said: true });
    // Its pod was replaced, and the API server has not listed the new one's address yet.
    expect(told({ ...fresh, kube: proven })).toEqual({ unbound: [], said: false });
    // Its token is under review.
    const origin = { address: null, vouched: false, pod: null, tokenProblem: TOKEN_UNCHECKED };
    const shown = { ...agent([UUID]), origin };
    expect(told({ ...fresh, agent: shown })).toEqual({ unbound: [], said: false });
    // After an upgrade from a version that did not look where reports come from.
    const early = node("x", { agent: agent([UUID]), kube: bound("gpu-1", "system_uuid") });
    expect(told(early)).toEqual({ unbound: [], said: false });
    const marked = { ...fresh, kube: bound("gpu-1", "system_uuid") };
    expect(told(marked)).toEqual({ unbound: ["x" as NodeId], said: true });
  });

  test("that moves to another object leaves the first one", () => {
    const agent = speaks("10.0.0.2", ["aaaaaaaa-0000-4000-8000-000000000001"]);
    const next = object("gpu-2", {
      systemUuid: "aaaaaaaa-0000-4000-8000-000000000001",
      ips: ["10.0.0.2"],
    });
    const one = node("x", { agent, kube: proven });
    const { after, work } = fold([one], [its, next]);
    expect(after(one)).toMatchObject({ uid: "u-gpu-2", proof: "address", isolatedUid: null });
    expect(work.fact("leaving:u-gpu-1")).toMatchObject({ name: "gpu-1", node: "x" });
  });

  test("that has ended is begun again by a proof alone, and ends once", () => {
    const kube = { ...proven, absentSince: 5 };
    const one = node("x", { agent: speaks(null, [UUID]), kube });
    expect(leaves(one)).toMatchObject({ ends: true, left: false });
    const back = node("x", { agent: speaks("10.0.0.1", [UUID]), kube });
    expect(leaves(back)).toMatchObject({ ends: false });
  });

  test("leaves its object to whoever is bound to it next", () => {
    const one = node("x", { agent: speaks("10.0.0.9"), kube: proven });
    const heir = node("y", { agent: speaks("10.0.0.1", [UUID]) });
    const { after, work } = fold([one, heir], [its]);
    expect(after(heir)).toMatchObject({ uid: "u-gpu-1" });
    expect(work.fact("leaving:u-gpu-1")).toBeNull();
  });
});

describe("foldCluster() of a pod token", () => {
  const shows = (of: string, uid = `u-${of}`): AgentFact => ({
    ...agent([]),
    origin: { address: null, vouched: false, pod: { node: of, uid } },
  });
  const [first, second] = [object("gpu-1"), object("gpu-2")];
  const proven = { ...bound("gpu-1", "token"), proof: "token", isolatedUid: null } as const;

  test("ties a node to the Node of the pod", () => {
    const one = node("gpu-1", { agent: shows("gpu-1") });
    const { found, after } = fold([one], [first]);
    expect(after(one)).toMatchObject({ uid: "u-gpu-1", by: "token", proof: "token" });
    expect(found.alarms).toEqual([]);
    const again = node("gpu-1", { agent: shows("gpu-1"), kube: proven });
    expect(fold([again], [first]).after(again)).toMatchObject({ uid: "u-gpu-1" });
  });

  test("takes the address as a proof until the token is reviewed", () => {
    const from = { address: "10.0.0.1", vouched: false, pod: null, tokenProblem: TOKEN_UNCHECKED };
    const one = node("gpu-1", { agent: { ...agent([]), origin: from } });
    const { after } = fold([one], [object("gpu-1", { ips: ["10.0.0.1"] })]);
    expect(after(one)).toMatchObject({ by: "agent_name", proof: "address" });
  });

  test("ties to no Node that was created again since", () => {
    const one = node("gpu-1", { agent: shows("gpu-1", "u-before") });
    expect(fold([one], [first]).after(one)).toBeNull();
  });

  test("moves no node from a Node that is still there, and raises an alarm", () => {
    const thief = node("x", { agent: shows("gpu-2"), kube: { ...proven, by: "system_uuid" } });
    const { found, after } = fold([thief], [first, second]);
    expect(after(thief)).toEqual(thief.kube);
    expect(found.alarms).toEqual([
      "node x is tied to Node gpu-1, but node x shows a pod token of Node gpu-2: if Node gpu-1 is " +
        "an old object of the same machine, delete it; otherwise a credential or the token may be " +
        "stolen",
    ]);
    expect(found.doubted.get(thief.id)).toBe(found.alarms[0] ?? "");
  });

  test("follows a machine whose earlier Node is gone", () => {
    const one = node("x", { agent: shows("gpu-2"), kube: proven });
    const { found, after } = fold([one], [second]);
    expect(after(one)).toMatchObject({ uid: "u-gpu-2", by: "token" });
    expect(found.alarms).toEqual([]);
  });

  test("takes no Node from the node that is tied to it, which goes on as before", () => {
    const from = { address: "10.0.0.1", vouched: false, pod: null };
    const kube = { ...proven, by: "system_uuid", proof: "address", unschedulable: false } as const;
    const holder = node("host-1", { agent: { ...agent([UUID]), origin: from }, kube });
    const thief = node("x", { agent: shows("gpu-1") });
    const its = object("gpu-1", { systemUuid: UUID, ips: ["10.0.0.1"], unschedulable: true });
    const { found, after } = fold([holder, thief], [its]);
    expect(after(thief)).toBeNull();
    expect(after(holder)).toMatchObject({ uid: "u-gpu-1", absentSince: null, unschedulable: true });
    expect([...found.doubted.keys()]).toEqual([thief.id]);
    expect(found.alarms[0]).toStartWith("Node gpu-1 is node host-1, but node x shows a pod token");
  });
});

describe("subjectOf()", () => {
  const inventory = {
    ...agent(["id-1"]).inventory,
    provider: "agent's",
    region: "ar",
    zone: "az",
  } as AgentFact["inventory"];
  const speaks = { ...agent([]), inventory };

  test("takes the cloud's word before the agent's, and no address of the agent's", () => {
    const instance = { ...(machine("10.0.0.1") as object), region: "r", zone: "z" } as never;
    const origin = { address: "10.0.0.9", vouched: true, pod: null };
    const one = node("n1", { instance, agent: { ...speaks, origin } });
    expect(subjectOf(one)).toEqual({
      id: one.id,
      provider: "fake",
      instanceId: "i-1",
      region: "r",
      zone: "z",
      internalIp: "10.0.0.1",
      externalIp: null,
      agentHostname: "h",
      agentName: "n1",
      providerIds: ["id-1"],
      origin,
      silent: false,
      live: true,
    });
  });

  test("of an unmanaged machine takes the agent's word", () => {
    expect(subjectOf(node("n1", { agent: speaks }))).toMatchObject({
      provider: "agent's",
      instanceId: null,
      region: "ar",
      zone: "az",
      internalIp: null,
      origin: null,
    });
    expect(subjectOf(node("n1", { agent: null }))).toMatchObject({
      agentHostname: null,
      agentName: null,
      providerIds: [],
      provider: null,
    });
  });

  test("is silent only where no cloud tells that the machine runs", () => {
    const silent = { ...newHealth(), silentSince: 5 };
    const of = (more: Partial<Node>) => subjectOf(node("n1", more)).silent;
    expect([
      of({ health: silent }),
      of({}),
      of({ health: silent, instance: machine(null) }),
    ]).toEqual([true, false, false]);
  });
});

describe("foldCluster() of nodes that are gone", () => {
  const gone = (kube: KubeFact | null): Node =>
    node("n1", { phase: { kind: "gone", since: 1, purpose: "lost" }, kube });

  test("says when the object of one is gone, once", () => {
    const one = gone(bound("gpu-1", "ip"));
    const { after, work } = fold([one], []);
    expect(after(one)?.absentSince).toBe(NOW);
    expect(work.change.events.map(({ kind }) => kind)).toEqual(["kube.lost"]);
    for (const kube of [null, { ...bound("gpu-1", "ip"), absentSince: 5 }]) {
      expect(fold([gone(kube)], []).work.finish()).toBeNull();
    }
  });

  test("changes nothing of one whose object is there", () => {
    expect(fold([gone(bound("gpu-1", "ip"))], [object("gpu-1")]).work.finish()).toBeNull();
  });

  test("takes no object for one that could be a live node's", () => {
    const origin = { address: "10.0.0.1", vouched: false, pod: null };
    const speaks = { ...agent([]), origin };
    const over = { ...gone(null), agent: speaks };
    expect(fold([over], [object("n1", { ips: ["10.0.0.1"] })]).after(over)).toBeNull();
  });
});

describe("foldCluster() of what ties a node and its object no more", () => {
  const its = object("gpu-1", { systemUuid: UUID });
  const drops = (by: KubeFact["by"], more: Partial<KubeFact>, speaks: AgentFact | null) => {
    const one = node("x", { kube: { ...bound("gpu-1", by), ...more }, agent: speaks });
    return fold([one], [its]).after(one)?.absentSince !== null;
  };
  const from = (ids: string[] = []): AgentFact => ({
    ...agent(ids),
    origin: { address: "10.0.0.9", vouched: false, pod: null },
  });
  const free = { isolatedUid: null };

  test.each<[string, boolean, Parameters<typeof drops>]>([
    ["a provider's id", false, ["provider_id", free, from()]],
    ["an address of the cloud's", false, ["ip", free, from()]],
    ["a proof by the instance", false, ["metadata", { ...free, proof: "instance" }, from()]],
    ["nothing, and no agent speaks", false, ["system_uuid", free, null]],
    ["a claim that was dropped", true, ["system_uuid", { ...free, proof: "address" }, from()]],
    ["a dropped claim that a token proved", false, ["token", { ...free, proof: "token" }, from()]],
    [
      "a claim that was proven once",
      false,
      ["system_uuid", { ...free, proof: "address" }, from([UUID])],
    ],
    ["a claim of an agent of old", false, ["system_uuid", free, agent([UUID])]],
    ["a claim without a proof", true, ["system_uuid", free, from([UUID])]],
    ["such a claim, and a mark", false, ["system_uuid", { isolatedUid: "u-gpu-1" }, from([UUID])]],
    [
      "such a claim, and a mark elsewhere",
      true,
      ["system_uuid", { isolatedUid: "u-9" }, from([UUID])],
    ],
  ])("known by %s: lost %p", (_what, isLost, given) => {
    expect(drops(...given)).toBe(isLost);
  });

  test("keeps the proof that it had", () => {
    const kube = { ...bound("gpu-1", "system_uuid"), proof: "address" } as const;
    const one = node("x", { kube: { ...kube, gpus: 1 }, agent: from([UUID]) });
    expect(fold([one], [its]).after(one)).toMatchObject({
      proof: "address",
      by: "system_uuid",
      gpus: 8,
    });
    const older = node("x", { kube: bound("gpu-1", "ip"), agent: null });
    expect("proof" in (fold([older], [its]).after(older) ?? {})).toBe(false);
  });
});

describe("foldCluster() with who was whom the last time, where objects have changed", () => {
  const one = node("n1", { instance: machine(null) });
  const its = object("gpu-1", { providerId: "navarch://fake/local/i-1" });

  test("loses the node whose object is not listed any more", () => {
    const first = fold([one], [its]);
    const paired = { ...one, kube: first.after(one) };
    const later = fold([paired], [object("other")], first.found);
    expect(later.after(one)?.absentSince).toBe(NOW);
    expect(fold([one], [object("other")], first.found).after(one)).toBeNull();
  });

  test("tells what it says of a match, and what is not proven, once", () => {
    const { work } = fold([one], [its]);
    expect(work.change.events.map(({ kind }) => kind)).toEqual(["kube.matched"]);
    const claim = node("x", {
      agent: { ...agent([UUID]), origin: { address: "10.0.0.9", vouched: false, pod: null } },
    });
    const claimed = object("gpu-2", { systemUuid: UUID, ips: ["10.0.0.1"] });
    const first = fold([claim], [claimed]);
    const [event] = first.work.change.events;
    expect(event).toMatchObject({
      kind: "kube.unproven",
      node: claim.id,
      pool: claim.pool,
      session: null,
      actor: "navarch",
      at: NOW,
      message: "no proof that this agent runs on Node gpu-2: its reports come from 10.0.0.9",
    });
    const mirror = newMirror();
    mirror.nodes.set(claim.id, claim);
    const again = (unbound: Known["unbound"]) => {
      const work = new UnitOfWork(mirror);
      const cluster = { objects: [claimed], known: null, onUncordon: "cancel", unbound } as const;
      foldCluster(cluster, [claim.id], NOW, work);
      return work.change.events.length;
    };
    expect([
      again(first.found.unbound),
      again(new Map()),
      again(new Map([[claim.id, "else"]])),
    ]).toEqual([0, 1, 1]);
  });

  test("reports a claim again that has no object any more", () => {
    const speaks = { ...agent([UUID]), origin: { address: "10.0.0.9", vouched: false, pod: null } };
    const kube = { ...bound("gpu-1", "system_uuid"), proof: "address", absentSince: 5 } as const;
    const claim = node("x", { agent: speaks, kube });
    const { found } = fold([claim], [object("gpu-1", { systemUuid: UUID, ips: ["10.0.0.1"] })]);
    expect([...found.unbound.keys()]).toEqual([claim.id]);
  });

  test("counts a Node of another install as nobody's", () => {
    const origin = { address: "10.0.0.1", vouched: false, pod: null };
    const labels = { "navarch.dev/fleet": "other" };
    const theirs = object("n1", { ips: ["10.0.0.1"], labels });
    const speaks = node("n1", { agent: { ...agent([]), origin } });
    const { found } = fold([speaks], [theirs], null, "ours");
    expect([...found.names]).toEqual([]);
    expect(found.alarms).toEqual([
      "Node n1 is managed by another Navarch install, fleet other; " +
        "remove the label navarch.dev/fleet from it if that install is gone",
    ]);
  });
});
