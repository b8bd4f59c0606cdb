import { describe, expect, test } from "bun:test";
import { instanceOf, kubeOf } from "../../../test/world/part.ts";
import type { Action } from "../plan.ts";
import type { Config } from "../../../schema/config.ts";
import type { HeldFinding } from "../../../schema/held.ts";
import type { InstanceId, NodeId, PoolName, SessionId } from "../../../schema/id.ts";
import type { Health, KubeFact, Node, Phase, Session } from "../../../schema/node.ts";
import { configOf, poolYaml } from "../../../test/world/world.ts";
import { endingOf, sightOf as clearSight, type View } from "../../../test/world/ask.ts";
import type { Fleet, KubeSight, Sight } from "../fleet.ts";
import { applyAction } from "../fold/action.ts";
import { newHealth, newNode } from "../fold/new-node.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { openBudgets } from "../safety/budget.ts";
import { decide } from "./decide.ts";
import { darkness, mirrorOf } from "./kube.ts";
import { lintPlan } from "./lint.ts";

const NOW = 1_000_000;
const MINE = { by: "human:ann", why: "mine", at: 2 };
const OURS = { by: "navarch", why: "xid 79", at: 2 };

const fact = (slot: number, more: Partial<KubeFact> = {}): KubeFact =>
  kubeOf({ name: `gpu-${slot}`, uid: `u${slot}`, ...more });

/** In service, with a machine, an agent and an object; no mark is on it. */
function node(slot: number, more: Partial<Node> = {}): Node {
  const id = `n${slot}` as NodeId;
  const pool = "p" as PoolName;
  const made = newNode({ id, pool, slot, gen: slot + 1, at: 0, replaces: null });
  return {
    ...made,
    phase: { kind: "serving", since: 1 },
    instance: instanceOf({ id: `i-${slot}` as InstanceId }),
    health: well(),
    kube: fact(slot),
    ...more,
  };
}

const well = (more: Partial<Health> = {}): Health => ({
  ...newHealth(),
  verdict: "healthy",
  lastCheckAt: NOW - 1_000,
  lastCheckClean: true,
  ...more,
});

/** Unhealthy by something that might still pass: no proof by itself. */
function sick(): Partial<Node> {
  const finding = { kind: "xid", code: 13, at: "2026-01-01T00:00:00.000Z" };
  const held = {
    key: "xid/13/GPU-0",
    firstAt: 1,
    lastAt: 1,
    count: 1,
    cleanSince: 0,
    finding,
    judgement: { rule: "r", result: "unhealthy", because: "XID 13", definitive: false },
  } as unknown as HeldFinding;
  const session: Session = {
    id: "s1" as SessionId,
    openedAt: 1,
    bootId: null,
    instanceId: null,
    reasons: [],
    attempts: {},
    definitive: false,
    epoch: 0,
  };
  const health = { ...newHealth(), verdict: "unhealthy" as const, held: [held], unhealthyRun: 5 };
  return { health: { ...health, lastCountedAt: NOW - 20_000 }, session };
}

const suspect = { kind: "suspect", since: 1 } as const;
const verifying = { kind: "verifying", since: 1 } as const;

const LIGHT: KubeSight = {
  dark: null,
  known: true,
  forbidden: false,
  mirrorsCordon: true,
  ambiguous: new Map(),
};

/** Three pods on every node, and a cluster that says so. */
const sightOf = (more: View = {}): Sight =>
  clearSight({
    now: NOW,
    attentiveMs: 3_600_000,
    left: { kind: "busy", remaining: 3, message: "3 pods left" },
    fake: { bringsAgent: false, canReboot: false },
    kube: LIGHT,
    ...more,
  });

function fleetOf(nodes: Node[], desired = nodes.length): Fleet {
  const pool = { ...newPoolState("p" as PoolName, desired, 1), nextGen: 100 };
  return {
    fleetId: "fleet",
    nodes: new Map(nodes.map((one) => [one.id, one])),
    pools: new Map([[pool.name, pool]]),
    operations: new Map(),
    facts: new Map(),
  };
}

const configFor = (size: number): Config =>
  configOf(poolYaml(size, "    health: { unhealthy_threshold: 1 }\n"));

const planFor = (one: Node, desired = 1, sight = sightOf()): Action[] =>
  decide(fleetOf([one], desired), configFor(desired), sight).actions;

const kinds = (actions: Action[]): string[] =>
  actions.map((action) => {
    if (action.kind === "advance") return action.to.kind;
    if (action.kind !== "effect") return action.kind;
    const { payload } = action;
    return "mirror" in payload && payload.mirror === true ? `mirror ${payload.kind}` : payload.kind;
  });

describe("mirrorOf()", () => {
  test("asks for the marks of people's cordons without their counting against the budget", () => {
    const theirs = (slot: number): Node =>
      node(slot, { ...sick(), phase: suspect, cordon: { product: null, human: MINE } });
    const ours = node(3, {
      ...sick(),
      phase: suspect,
      cordon: { product: OURS, human: null },
      kube: fact(3, { isolatedUid: "u3", own: true, unschedulable: true }),
    });
    const fleet = fleetOf([theirs(0), theirs(1), theirs(2), ours]);
    const config = configFor(4);
    const plan = decide(fleet, config, sightOf());
    expect(kinds(plan.actions).filter((one) => one === "mirror cordon")).toHaveLength(3);
    expect(lintPlan(fleet, config, sightOf(), plan)).toEqual([]);
  });

  test("asks for a mark that is, while it is out, no isolation for its health", () => {
    const cordon = { product: null, human: MINE };
    const one = node(0, { ...sick(), phase: suspect, cordon });
    const [mark] = planFor(one);
    if (mark === undefined) throw new Error("nothing is planned");
    expect(kinds([mark])).toEqual(["mirror cordon"]);
    const pool = newPoolState("p" as PoolName, 1, 1);
    const out = applyAction(mark, one, pool, NOW);
    expect(out.node?.operation).not.toBeNull();
    const fleet = fleetOf([out.node ?? one]);
    const rooms = openBudgets(fleet, configFor(1), NOW).rooms();
    const used = rooms.flatMap((room) => (room.rung === "isolate" ? [room.used] : []));
    expect(used).not.toEqual([]);
    expect(used).toEqual(used.map(() => 0));
  });

  test("rests after a refusal, and then asks again", () => {
    const cordon = { product: null, human: MINE };
    const rested = node(0, { cordon, kube: fact(0, { restUntil: NOW + 1, refusals: 1 }) });
    expect(planFor(rested)).toEqual([]);
    const due = node(0, { cordon, kube: fact(0, { restUntil: NOW, refusals: 1 }) });
    expect(kinds(planFor(due))).toEqual(["mirror cordon"]);
  });

  test("has no mark for an object that is gone", () => {
    const cordon = { product: null, human: MINE };
    const there = node(0, { cordon });
    expect(mirrorOf(there, { sight: sightOf() })).not.toBeNull();
    const gone = node(0, { cordon, kube: fact(0, { absentSince: NOW - 1 }) });
    expect(mirrorOf(gone, { sight: sightOf() })).toBeNull();
  });

  test.each<[string, Phase]>([
    ["is not bought yet", { kind: "requested", since: 1, attempt: 0, notBefore: 0, refusal: null }],
    ["is being ended", endingOf()],
    ["has ended", { kind: "gone", since: 1, purpose: "operator" }],
  ])("has no mark for a machine that %s", (_name, phase) => {
    const cordon = { product: null, human: MINE };
    expect(mirrorOf(node(0, { cordon, phase }), { sight: sightOf() })).toBeNull();
  });

  test("does not come before a forced end", () => {
    const order = { goal: "terminate", by: "ann", why: "o", at: 1, timeoutMs: null } as const;
    const cordon = { product: null, human: MINE };
    const forced = node(0, { cordon, order: { ...order, force: true } });
    expect(kinds(planFor(forced))).toEqual(["terminating"]);
    const asked = node(0, { cordon, order: { ...order, force: false } });
    expect(kinds(planFor(asked))).toEqual(["mirror cordon"]);
  });

  test.each<[string, Node["cordon"]["product"]]>([
    ["without a cordon", null],
    ["of a scale-down that was called off", { by: "navarch", why: "scale down: x", at: 1 }],
  ])("does not ask to lift a mark %s while a person holds the node", (_whose, product) => {
    const cordon = { product, human: null };
    const mark = { isolatedUid: "u0", own: true, unschedulable: true };
    const held = node(0, { cordon, kube: fact(0, { ...mark, hold: true }) });
    expect(planFor(held)).toEqual([]);
    const free = node(0, { cordon, kube: fact(0, mark) });
    expect(planFor(free)).toHaveLength(1);
  });

  test("lifts a share that no record explains once the node is well, and not before", () => {
    const share = { own: true, unschedulable: true, boundAt: NOW - 5_000 };
    const proven = node(0, { kube: fact(0, share) });
    expect(kinds(planFor(proven))).toEqual(["mirror uncordon"]);
    const unproven: Partial<Node>[] = [
      { instance: instanceOf({ state: "terminating" }) },
      { health: well({ lastCheckClean: false }) },
      { health: well({ silentSince: NOW - 1 }) },
      { kube: fact(0, { ...share, hold: true }) },
      { kube: fact(0, { ...share, own: false, others: ["kubectl"] }) },
    ];
    for (const more of unproven)
      expect(kinds(planFor({ ...proven, ...more }))).not.toContain("mirror uncordon");
  });

  test("clears what an uncordon left of a repair that was called off, not of one that is open", () => {
    const left = node(0, { kube: fact(0, { noted: true }) });
    expect(kinds(planFor(left))).toEqual(["mirror uncordon"]);
    const cordoned = fact(0, { noted: true, unschedulable: true, others: ["kubectl"] });
    expect(kinds(planFor(node(0, { kube: cordoned })))).toEqual(["mirror uncordon"]);
    const { session } = node(0, sick());
    expect(session).not.toBeNull();
    for (const more of [
      { session },
      { kube: fact(0, { noted: true, hold: true }) },
      { kube: fact(0) },
    ]) {
      expect(kinds(planFor({ ...left, ...more }))).not.toContain("mirror uncordon");
    }
  });
});

describe("decide() of a machine that arrives with pods on it", () => {
  const failing = (more: Partial<Node> = {}): Node =>
    node(0, { ...sick(), session: null, phase: verifying, ...more });

  test("marks and drains it before it is ended for its health", () => {
    const arrived = failing();
    expect(kinds(planFor(arrived))).toEqual(["cordon"]);
    const marked = failing({
      cordon: { product: OURS, human: null },
      kube: fact(0, { isolatedUid: "u0", own: true, unschedulable: true }),
    });
    expect(kinds(planFor(marked))).toEqual(["drain"]);
  });

  test("marks it before it is ended for a smaller pool", () => {
    const arrived = node(0, { phase: verifying, health: newHealth() });
    expect(kinds(planFor(arrived, 0))).toEqual(["cordon"]);
  });

  test("waits for a cluster that does not answer, and ends at once what nothing runs on", () => {
    const arrived = failing();
    const dark = sightOf({ kube: { ...LIGHT, dark: "it does not answer" } });
    expect(planFor(arrived, 1, dark)).toEqual([]);
    const idle = sightOf({ left: { kind: "empty", seenAt: NOW } });
    expect(kinds(planFor(arrived, 1, idle))).toContain("terminating");
  });
});

describe("decide() of a drain whose deadline has passed", () => {
  const overdue = (more: Partial<Node> = {}): Node =>
    node(0, {
      ...sick(),
      cordon: { product: OURS, human: null },
      kube: fact(0, { isolatedUid: "u0", own: true, unschedulable: true }),
      phase: {
        kind: "draining",
        since: NOW - 100_000,
        deadlineAt: NOW - 1,
        drainedAt: null,
        sawWork: true,
        purpose: "replace",
      },
      ...more,
    });

  test("waits for the later deadline that its drain was given back", () => {
    const left = { kind: "busy", remaining: 3, message: "3 pods left" } as const;
    const later = sightOf({ left: { ...left, deadlineAt: NOW + 60_000 } });
    expect(planFor(overdue(), 1, later)).toEqual([]);
    expect(planFor(overdue())).toHaveLength(1);
  });

  test("names that deadline as the earliest, and none while a hold stops it", () => {
    const left = { kind: "busy", remaining: 3, message: "3 pods left" } as const;
    const later = sightOf({ left: { ...left, deadlineAt: NOW + 60_000 } });
    const waitOf = (one: Node) => decide(fleetOf([one], 1), configFor(1), later).waits[0];
    expect(waitOf(overdue())).toMatchObject({ reason: "drain", until: NOW + 60_000 });
    const kube = { ...overdue().kube, hold: true } as KubeFact;
    const held = waitOf(overdue({ kube }));
    expect(held).toMatchObject({ reason: "human", until: null });
    expect(held?.why).toMatchObject({ code: "work_kept", kept: { code: "node_held" } });
  });

  test("names no instant while no pod may be evicted: it would move", () => {
    const left = { kind: "busy", remaining: 3, message: "paused: why; 3 pods left" } as const;
    const later = sightOf({ left: { ...left, deadlineAt: NOW + 60_000, paused: true } });
    const { waits } = decide(fleetOf([overdue()], 1), configFor(1), later);
    expect(waits[0]).toMatchObject({ reason: "drain", until: null });
  });

  test("is not over by an empty sight of a cluster that is dark", () => {
    const left = { kind: "empty", seenAt: NOW } as const;
    const dark = { ...LIGHT, dark: "it does not answer" };
    expect(planFor(overdue(), 1, sightOf({ left, kube: dark }))).toEqual([]);
    expect(planFor(overdue(), 1, sightOf({ left }))).toHaveLength(1);
  });
});

describe("darkness()", () => {
  const dark = "the cluster's pods are not known yet";

  test.each<[string, Partial<KubeSight>, KubeFact | null, string | null]>([
    ["a cluster that answers hides nothing", { dark: null }, fact(0), null],
    ["one that is dark hides what is in it", {}, fact(0), dark],
    ["whose object is gone runs nothing there", {}, fact(0, { absentSince: 1 }), null],
    ["an unmatched node may be in it before its first full list", { known: false }, null, dark],
    ["an unmatched node is not in it after its first full list", {}, null, null],
    ["one that may not be listed at all is none", { known: false, forbidden: true }, null, null],
  ])("%s", (_name, more, kube, why) => {
    const sight = sightOf({ kube: { ...LIGHT, dark, ...more } });
    const found = darkness(node(0, { kube }), { sight, pool: null, bySlot: new Map() });
    expect(found).toEqual(why === null ? null : { code: "cluster_dark", said: why });
  });

  test("one that joined since the last list may be in it, where its pool is", () => {
    const sight = sightOf({ kube: { ...LIGHT, dark } });
    const late = node(0, { kube: null });
    const in1 = (kube: KubeFact | null) =>
      new Map([
        [0, [late]],
        [1, [node(1, { kube })]],
      ]);
    const dark1 = (kube: KubeFact | null) =>
      darkness(late, { sight, pool: null, bySlot: in1(kube) });
    expect(dark1(fact(1))).toEqual({ code: "cluster_dark", said: dark });
    expect(dark1(fact(1, { absentSince: 1 }))).toBeNull();
    expect(dark1(null)).toBeNull();
  });
});
