import { describe, expect, test } from "bun:test";
import { kubeOf } from "../../../test/world/part.ts";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import type { KubeFact, Node } from "../../../schema/node.ts";
import { configOf, poolYaml } from "../../../test/world/world.ts";
import { kubeSightOf, sightOf } from "../../../test/world/ask.ts";
import type { Fleet, KubeSight, Sight } from "../fleet.ts";
import { newNode } from "../fold/new-node.ts";
import { newPoolState } from "../fold/new-pool.ts";
import { desiredStateOf } from "./desired-state.ts";

const NOW = 1_000_000;
const config = configOf(poolYaml(1));

const fact = (more: Partial<KubeFact> = {}): KubeFact =>
  kubeOf({ name: "gpu-1", uid: "u1", unschedulable: true, isolatedUid: "u1", own: true, ...more });

function draining(more: Partial<Node> = {}): Node {
  const id = "n1" as NodeId;
  const pool = "p" as PoolName;
  return {
    ...newNode({ id, pool, slot: 0, gen: 1, at: 0, replaces: null }),
    cordon: { product: { by: "navarch", why: "XID 79", at: 2 }, human: null },
    phase: {
      kind: "draining",
      since: NOW - 1_000,
      deadlineAt: NOW + 60_000,
      drainedAt: null,
      sawWork: true,
      purpose: "replace",
    },
    kube: fact(),
    ...more,
  };
}

/** Why the drain of the node may ask nobody; `null` = it may. */
function pausedOf(node: Node, kube: Partial<KubeSight> = {}, more: Partial<Sight> = {}) {
  const pool = newPoolState("p" as PoolName, 1, 1);
  const fleet: Fleet = {
    fleetId: "fleet",
    nodes: new Map([[node.id, node]]),
    pools: new Map([[pool.name, pool]]),
    operations: new Map(),
    facts: new Map(),
  };
  const left = { kind: "busy", remaining: 3, message: "3 pods left" } as const;
  const clear = { now: NOW, attentiveMs: 3_600_000, left, kube: kubeSightOf(kube) };
  const sight = sightOf({ ...clear, ...more });
  const { drains } = desiredStateOf(fleet, config, sight);
  expect(drains).toHaveLength(1);
  return drains[0]?.paused ?? null;
}

test("C39: a reload changes labels and taints of a node that did not change", () => {
  const node = draining();
  const fleet: Fleet = {
    fleetId: "fleet",
    nodes: new Map([[node.id, node]]),
    ...{ pools: new Map(), operations: new Map(), facts: new Map() },
  };
  const shown = (pool: object) => {
    const pools = config.pools.map((one) => ({ ...one, ...pool }));
    return desiredStateOf(fleet, { ...config, pools }, sightOf({ now: NOW })).shown[0];
  };
  expect(shown({ labels: { gpu: "t4" } })).toMatchObject({ labels: { gpu: "t4" }, taints: [] });
  const taint = { key: "k", value: "", effect: "NoSchedule" };
  expect(shown({ labels: { gpu: "l4" }, taints: [taint] })).toMatchObject({
    labels: { gpu: "l4" },
    taints: [{ ...taint, value: null }],
  });
});

describe("desiredStateOf() of a drain", () => {
  const order = { by: "ann", why: "o", force: false, at: 1, timeoutMs: null };

  test("waits for the mark, unless no marks are written there", () => {
    const unmarked = draining({ kube: fact({ isolatedUid: null, own: false }) });
    expect(pausedOf(unmarked)).toContain("not marked");
    expect(pausedOf(unmarked, { mirrorsCordon: false })).toBeNull();
    expect(pausedOf(draining())).toBeNull();
  });

  test("stops at a person's hold, and goes on at a person's order", () => {
    const held = draining({ kube: fact({ hold: true }) });
    expect(pausedOf(held)).toContain("navarch.dev/hold");
    expect(pausedOf({ ...held, order: { ...order, goal: "replace" } })).toBeNull();
  });

  test("stops while everything is frozen, or nobody can see", () => {
    expect(pausedOf(draining(), {}, { frozen: "change freeze (ann)" })).toContain("freeze");
    expect(pausedOf(draining(), {}, { blind: ["paused"] })).toBe("paused");
    expect(pausedOf(draining(), { dark: "it does not answer" })).toContain("does not answer");
  });
});
