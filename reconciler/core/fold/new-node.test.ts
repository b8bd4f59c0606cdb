import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { NodeId, PoolName } from "../../../schema/id.ts";
import { Node, PoolState } from "../../../schema/node.ts";
import { newNode, unmanagedNode } from "./new-node.ts";
import { newPoolState } from "./new-pool.ts";

describe("a node that begins", () => {
  test("is requested for the first time, and nothing is known, done or held against it", () => {
    const stray = unmanagedNode("n1" as NodeId, 7);
    expect(stray).toEqual({
      id: "n1" as NodeId,
      pool: null,
      slot: null,
      gen: 0,
      createdAt: 7,
      phase: { kind: "verifying", since: 7 },
      cordon: { product: null, human: null },
      instance: null,
      agent: null,
      health: {
        verdict: "unknown",
        lastReport: "unknown",
        held: [],
        history: [],
        unhealthyRun: 0,
        lastCountedAt: 0,
        lastCheckAt: null,
        lastCheckClean: false,
        silentSince: null,
      },
      session: null,
      sessions: 0,
      fence: 0,
      restUntil: 0,
      operation: null,
      order: null,
      replaces: null,
      isolatedAt: null,
      lastSession: null,
      offer: null,
      rebootedAt: null,
      kube: null,
      slurm: null,
      sparedAt: null,
      waiver: null,
      bootstrap: null,
      worker: null,
    });
    expect(v.parse(Node, JSON.parse(JSON.stringify(stray)))).toEqual(stray);
  });

  test("for a slot is asked for at once, for the first time", () => {
    const from = { id: "n1" as NodeId, pool: "p" as PoolName, slot: 2, gen: 5 };
    const node = newNode({ ...from, at: 7, replaces: "n0" as NodeId });
    expect(node).toEqual({
      ...unmanagedNode(from.id, 7),
      ...from,
      phase: { kind: "requested", since: 7, attempt: 1, notBefore: 0, refusal: null },
      replaces: "n0" as NodeId,
    });
  });

  test("of a new pool has generation 1, so that 0 names nothing", () => {
    const pool = newPoolState("p" as PoolName, 3, 9);
    expect(pool).toEqual({
      name: "p" as PoolName,
      desired: 3,
      desiredBy: "config",
      desiredAt: 9,
      nextGen: 1,
      hold: null,
      failures: 0,
      guards: {},
      asked: [],
      lastScaleAt: null,
      demand: null,
      offers: {},
    });
    expect(v.parse(PoolState, JSON.parse(JSON.stringify(pool)))).toEqual(pool);
  });
});
