/** What Slurm's list and failed purchases change in a pool's power saving, and what Slurm is told. */
import { expect, test } from "bun:test";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { Node } from "../../../schema/node.ts";
import { configOf } from "../../../test/world/setting.ts";
import { instanceOf, nodeOf, sessionOf } from "../../../test/world/part.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { changeFor } from "../../slurm/power-mirror.ts";
import type { SlurmNode } from "./object.ts";
import {
  type PowerInput,
  drainsLeft,
  powerMarks,
  stepPower,
  suspendedNodes,
  tellPower,
} from "./power-save.ts";

const NAMES = ["c0", "c1", "c2"];
const [POOL] = configOf(`
server: { address: "127.0.0.1:50051" }
providers: { fake: { gpu_count: 2 } }
pools:
  - name: cloud
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 2 }
    slurm: { nodes: "c[0-2]", power_save: true }
`).pools;
if (POOL === undefined) throw new Error("no pool");
const pool = POOL;

const BEGIN = newPoolState("cloud" as PoolName, 0, 0);
const NOW = 1_000_000;

function row(name: string, state: string, more: Partial<SlurmNode> = {}): SlurmNode {
  const [base = "", ...flags] = state.split("+");
  return {
    name,
    base,
    flags,
    reason: null,
    reasonBy: null,
    reservation: null,
    bootTime: null,
    slurmdStartedAt: null,
    address: name,
    hostname: null,
    partitions: ["cloud"],
    gres: null,
    features: [],
    ...more,
  };
}

function input(rows: SlurmNode[], more: Partial<PowerInput> = {}): PowerInput {
  return {
    pool,
    state: BEGIN,
    names: NAMES,
    nodes: [],
    list: { rows: new Map(rows.map((one) => [one.name, one])), seenAt: NOW },
    waits: [],
    attentiveMs: 10_000_000,
    now: NOW,
    ...more,
  };
}

const told = (verb: "resume" | "suspend", slots: number[], now: number, state = BEGIN) =>
  tellPower(pool, state, { verb, slots, why: "told", now }).state;
const on = (state: typeof BEGIN): number[] =>
  (state.power ?? []).flatMap((one) => (one.on ? one.slot : []));

test("S38: told twice is told once", () => {
  const once = told("resume", [1], 10);
  expect(told("resume", [1], 20, once)).toBe(once);
  expect([once.desired, once.desiredBy]).toEqual([1, "slurm"]);
  const off = told("suspend", [1], 30, once);
  expect(told("suspend", [1], 40, off)).toBe(off);
  expect(off.desired).toBe(0);
});

test("S38: Slurm's list puts right what its programs could not tell", () => {
  const up = input([row("c0", "MIXED+CLOUD+POWERING_UP"), row("c1", "IDLE+CLOUD+POWERED_DOWN")]);
  expect(on(stepPower(up).state)).toEqual([0]);
  const state = told("resume", [1], NOW - 60_000);
  expect(on(stepPower({ ...up, state }).state)).toEqual([0]);
  // A list that was asked for before the message arrived tells nothing about it.
  const young = told("resume", [1], NOW - 5_000);
  expect(on(stepPower({ ...up, state: young, list: null }).state)).toEqual([1]);
  expect(on(stepPower({ ...input([row("c1", "IDLE+POWERED_DOWN")]), state: young }).state)).toEqual(
    [1],
  );
});

test("S38: a node that is absent from the list is unknown, not powered down", () => {
  const state = told("resume", [1], NOW - 14_000);
  expect(on(stepPower({ ...input([]), state }).state)).toEqual([1]);
});

test("S38: without a record, a machine that Slurm uses stays", () => {
  const rows = [row("c0", "ALLOCATED+CLOUD", { bootTime: 5 }), row("c1", "IDLE", { bootTime: 5 })];
  const nodes = [{ ...nodeOf("n0"), pool: pool.name, slot: 0, gen: 7 }];
  const { state } = stepPower(input(rows, { nodes }));
  expect(state.power?.map(({ slot, on: is, gen }) => [slot, is, gen])).toEqual([[0, true, 0]]);
});

test("S38: while nothing was told or seen of a slot, its machine stays", () => {
  const node = { ...nodeOf("n0"), pool: pool.name, slot: 0, gen: 7 };
  expect([...suspendedNodes(pool, BEGIN, [node])]).toEqual([]);
  const { state } = stepPower(input([row("c0", "IDLE+POWERED_DOWN")], { nodes: [node] }));
  expect([...suspendedNodes(pool, state, [node])]).toEqual([node.id]);
  const kept = [
    { ...node, cordon: { product: null, human: { by: "alice", why: "x", at: 0 } } },
    { ...node, phase: { kind: "held", since: 0, heldBy: "navarch", why: "x" } as const },
    { ...node, session: sessionOf() },
  ];
  for (const one of kept) expect(suspendedNodes(pool, state, [one]).size).toBe(0);
});

test("S38: a name that was taken from slurm.nodes is suspended", () => {
  const state = told("resume", [2], NOW - 60_000);
  const step = stepPower({ ...input([row("c0", "IDLE")]), state, names: ["c0", "c1"] });
  expect(on(step.state)).toEqual([]);
});

test("S41: a name without a machine fails with the reason, rests longer each time", () => {
  const waits = [
    {
      ...{ node: null, pool: pool.name, reason: "provider" as const, until: null },
      why: { code: "work", work: "no stock" } as const,
    },
  ];
  let state = told("resume", [0], NOW);
  expect(on(stepPower(input([], { state, waits, now: NOW + 14_000 })).state)).toEqual([0]);
  for (const restMs of [60_000, 120_000, 240_000]) {
    const now = NOW + 15_000;
    const step = stepPower(input([], { state, waits, now }));
    const failure = step.state.power?.[0]?.failure;
    expect([failure?.why, (failure?.until ?? 0) - now]).toEqual(["no stock", restMs]);
    expect(step.events.at(-1)?.message).toContain("NodeName c0 gets no machine: no stock");
    expect(powerMarks(pool, step.state, NAMES, [], now)).toEqual([
      { name: "c0", kind: "down", why: "no stock" },
    ]);
    expect(powerMarks(pool, step.state, NAMES, [], now + restMs)[0]?.kind).toBe("release");
    state = told("resume", [0], NOW, step.state);
  }
});

test("our own drain of a powered-down name without a machine is released, and no other", () => {
  const reason = "navarch:cloud-0-1.s1 XID79 on GPU 3";
  const left = row("c0", "IDLE+CLOUD+DRAIN+POWERED_DOWN", { reason });
  const marksOf = (one: SlurmNode, nodes: readonly Node[] = []) =>
    drainsLeft(NAMES, nodes, new Map([[one.name, one]]));
  expect(marksOf(left)).toEqual([{ name: "c0", kind: "undrain" }]);
  expect(changeFor({ name: "c0", kind: "undrain" }, left)).toEqual({ state: "undrain" });
  const down = row("c0", "DOWN+CLOUD+DRAIN+POWERED_DOWN", { reason });
  expect(changeFor({ name: "c0", kind: "undrain" }, down)).toEqual({ state: "resume" });
  // Its machine lives, or ended: the phase counts, not Slurm's word.
  const node = { ...nodeOf("n0"), pool: pool.name, slot: 0 };
  expect(marksOf(left, [node])).toEqual([]);
  const phase = { kind: "gone", since: 0, purpose: "surplus" } as const;
  expect(marksOf(left, [{ ...node, phase }])).toHaveLength(1);
  for (const other of [
    row("c0", "IDLE+CLOUD+DRAIN+POWERED_DOWN", { reason: "maint by alice" }),
    row("c0", "IDLE+CLOUD+DRAIN", { reason }),
    row("c0", "IDLE+CLOUD+POWERED_DOWN", { reason }),
  ]) {
    expect(marksOf(other)).toEqual([]);
    expect(changeFor({ name: "c0", kind: "undrain" }, other)).toBeNull();
  }
});

test("S41: a purchase that is not answered fails no name, a repair neither", () => {
  const state = told("resume", [0, 1], NOW - 60_000);
  const asked = {
    ...nodeOf("n0"),
    ...{ pool: pool.name, slot: 0, gen: 5, operation: "o" as never },
    phase: { kind: "requested", since: 0, attempt: 1, notBefore: 0, refusal: null } as const,
  };
  const next = { ...asked, id: "n1" as NodeId, slot: 1, operation: null, gen: 6 };
  const before = {
    ...nodeOf("n1a"),
    ...{ pool: pool.name, slot: 1, gen: 5, instance: instanceOf() },
    phase: { kind: "gone", since: 0, purpose: "replace" } as const,
  };
  expect(on(stepPower(input([], { state, nodes: [asked, next, before] })).state)).toEqual([0, 1]);
});

test("S41: names beyond max_nodes fail, the oldest wishes are kept", () => {
  const state = told("resume", [0], NOW - 9_000, told("resume", [1, 2], NOW - 10_000));
  const step = stepPower(input([], { state }));
  expect(on(step.state)).toEqual([1, 2]);
  expect(step.state.power?.[0]?.failure?.why).toBe("the pool has its max_nodes of 2");
});

test("S41: DOWN and powered down, then released; a node in use is never hit", () => {
  const down = { name: "c0", kind: "down", why: "no stock" } as const;
  const own = { reason: "navarch:power NO_MACHINE no stock" };
  expect(changeFor(down, row("c0", "MIXED+CLOUD+POWERING_UP"))).toEqual({
    state: "down",
    reason: "navarch:power NO_MACHINE no stock",
  });
  const begun = row("c0", "DOWN+CLOUD+POWERING_UP", own);
  expect(changeFor(down, begun)).toEqual({ state: "power_down_force" });
  for (const state of ["DOWN+POWERED_DOWN", "DOWN+POWERING_DOWN"]) {
    expect(changeFor(down, row("c0", state, own))).toBeNull();
    const release = { name: "c0", kind: "release" } as const;
    expect(changeFor(release, row("c0", state, own))).toEqual({ state: "resume" });
    expect(changeFor(release, row("c0", state, { reason: "maint by alice" }))).toBeNull();
  }
  for (const state of ["ALLOCATED+CLOUD", "IDLE", "IDLE+POWERED_DOWN", "DOWN", "MIXED+DRAIN"]) {
    expect(changeFor(down, row("c0", state, { reason: "maint by alice" }))).toBeNull();
  }
});

test("S39: the machine's address is told once it runs, and again after a power-down", () => {
  const state = told("resume", [0], NOW);
  const machine = { ...instanceOf(), state: "running" as const, internalIp: "10.0.0.7" };
  const node = { ...nodeOf("n0"), pool: pool.name, slot: 0, gen: 1, instance: machine };
  const marks = powerMarks(pool, state, NAMES, [node], NOW);
  expect(marks).toEqual([{ name: "c0", kind: "address", address: "10.0.0.7" }]);
  const [mark] = marks;
  if (mark === undefined) throw new Error("no mark");
  expect(changeFor(mark, row("c0", "MIXED+POWERING_UP"))).toEqual({ address: "10.0.0.7" });
  const set = row("c0", "MIXED+POWERING_UP", { address: "10.0.0.7" });
  expect(changeFor(mark, set)).toBeNull();
  expect(changeFor(mark, row("c0", "IDLE+POWERED_DOWN"))).toBeNull();
  expect(powerMarks(pool, state, NAMES, [{ ...node, gen: 0 }], NOW)).toEqual([]);
});
